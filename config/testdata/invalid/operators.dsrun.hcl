locals {
  a = 1 + "x"          # ERROR: Invalid operand
  b = 1 / 0            # ERROR: Infinite number
  c = [1, 2][5]        # ERROR: Invalid index
  d = { a = 1 }.b      # ERROR: Unsupported attribute
  e = !5               # ERROR: Invalid operand
  f = true ? 1 : [2]   # ERROR: Inconsistent conditional result types
}
