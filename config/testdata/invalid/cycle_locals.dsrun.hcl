locals {
  a = local.b # ERROR: Reference cycle
  b = "${local.c}x"
  c = [local.a]
  d = local.d # ERROR: Reference cycle
}
