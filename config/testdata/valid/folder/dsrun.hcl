variable "bucket" {}
variable "sizes" {
  type    = list(number)
  default = []
}
locals {
  region = "eu"
}
datastore "s3" "lake" {
  bucket = "wrong name that is replaced"
  region = local.region
}
