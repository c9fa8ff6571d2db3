locals {
  region = "us"
}
datastore "s3" "lake" {
  bucket = "first"
}
