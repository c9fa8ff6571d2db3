locals {
  l0 = "abcdefghijabcdefghijabcdefghijabcdefghij"
  l1 = join("", [for a in range(100) : join("", [for b in range(100) : local.l0])])
  l2 = "${local.l1}${local.l1}${local.l1}" # ERROR: Value too large
}
