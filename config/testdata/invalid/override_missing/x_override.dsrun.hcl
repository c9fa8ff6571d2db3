datastore "local" "lak" { # ERROR: Nothing to override
  path = "y"
}
locals {
  regoin = "us" # ERROR: Nothing to override
}
datastore "local" "lake" {
  pth = "y" # ERROR: Unsupported argument
}
