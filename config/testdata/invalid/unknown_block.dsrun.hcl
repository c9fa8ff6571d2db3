datastor "local" "in" { # ERROR: Unsupported block type
  path = "data"
}
resource "x" { # ERROR: Unsupported block type
}
datastore "local" "a" {
  path = "a"
  lifecycle { # ERROR: Unsupported block type
  }
}
