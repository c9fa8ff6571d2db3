credential "aws" "a" {
  default = true
}
credential "aws" "b" {
  default = true # ERROR: Duplicate default
}
credential "gcp" "c" {
  default = true
}
datastore "local" "d" {
  path    = "d"
  default = true
}
datastore "memory" "e" {
  default = true # ERROR: Duplicate default
}
