locals {
  a   = replace("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a", local.big) # ERROR: Error in function call
  b   = format("%1000000000d", 1) # ERROR: Error in function call
  c   = range(100000000) # ERROR: Error in function call
  d   = join(local.big, split(",", ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,")) # ERROR: Error in function call
  big = join("", [for x in range(1000) : "0123456789012345678901234567890123456789"])
  e   = regex("(a{1000}){1000}", "a") # ERROR: Invalid function argument
  f   = "${1e300 * 1e300 * 1e300 * 1e300 * 1e300 * 1e300}" # ERROR: Value too large
  g   = "${"1e99999999" * 1}" # ERROR: Value too large
  h   = tonumber("1e999999999") # ERROR: Infinite number
}
