credential "aws" "prod" {
}
datastore "s3" "one" {
  bucket     = "one"
  credential = credential.aws.prd # ERROR: Unknown credential
}
datastore "s3" "two" {
  bucket     = "two"
  credential = credential.asw.prod # ERROR: Unknown credential family
}
datastore "s3" "three" {
  bucket     = "three"
  credential = credentials.aws.prod # ERROR: Unknown reference
}
datastore "s3" "four" {
  bucket     = "four"
  credential = credential.prod # ERROR: Unknown credential family
}
datastore "s3" "five" {
  bucket     = "five"
  credential = credential["aws"]["prd"] # ERROR: Unknown credential
}
datastore "s3" "six" {
  bucket     = credential.aws.prod.role_arn # ERROR: Attribute of a block
}
datastore "s3" "seven" {
  bucket     = "seven"
  credential = credential.gcp.prod # ERROR: Unknown credential
}
