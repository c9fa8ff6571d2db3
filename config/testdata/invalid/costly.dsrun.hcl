locals {
  l0 = "0123456789012345678901234567890123456789"
  l1 = join("", [for a in range(100) : join("", [for b in range(100) : local.l0])])
  l2 = "${local.l1}${local.l1}${local.l1}" # ERROR: Value too large
}
