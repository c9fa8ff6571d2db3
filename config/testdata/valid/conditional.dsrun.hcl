# References in conditionals, lists and loops; null means unset.
variable "cloud" {
  default = "aws"
}
locals {
  creds = { aws = credential.aws.a, keys = credential.aws_compatible.b }
  same  = credential.aws.a == credential.aws.a
  late  = env("WHICH", "") == "x" ? credential.aws.a : credential.aws.a2
}
credential "aws" "a" {
  profile = "p"
}
credential "aws" "a2" {
  method = "anonymous"
}
credential "aws_compatible" "b" {
  access_key_id     = "AK"
  secret_access_key = sensitive("abcdef")
  endpoint_url      = null
}
datastore "s3" "one" {
  credential = var.cloud == "aws" ? credential.aws.a : null
  bucket     = "one"
  path_style = local.same
}
datastore "s3" "two" {
  credential = local.creds["keys"]
  bucket     = "${var.cloud}-two"
}
datastore "s3" "three" {
  credential = local.late
  bucket     = env("BUCKET")
  prefix     = env("PREFIX", null)
}
