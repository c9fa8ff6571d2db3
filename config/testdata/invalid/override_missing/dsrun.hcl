locals {
  region = "eu"
}
datastore "local" "lake" {
  path = "x"
}
