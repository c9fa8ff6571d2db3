locals {
  i = 1e999 # ERROR: Number out of range
}
