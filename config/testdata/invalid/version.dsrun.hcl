settings {
  required_version = ">= 2" # ERROR: Unsuitable version of dsrun
}
