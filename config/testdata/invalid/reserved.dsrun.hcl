runner "kubernetes" "big" { # ERROR: Reserved block type
}
module "x" { # ERROR: Reserved block type
}
datastore "local" "d" {
  path     = "d"
  for_each = ["a"] # ERROR: Reserved argument name
  count    = 2     # ERROR: Reserved argument name
  dynamic "x" {    # ERROR: Reserved block type
  }
}
