locals {
  a = upper()                 # ERROR: Not enough function arguments
  b = upper("a", "b")         # ERROR: Too many function arguments
  c = jsondecode("{")         # ERROR: Error in function call
  d = file("missing.txt")     # ERROR: Error in function call
  e = regex("[", "x")         # ERROR: Invalid function argument
  f = env("A", "b", "c")      # ERROR: Invalid function argument
  g = env("")                 # ERROR: Invalid function argument
  h = base64decode("%")       # ERROR: Invalid function argument
  i = tonumber("x")           # ERROR: Invalid function argument
  j = length(5)               # ERROR: Invalid function argument
}
