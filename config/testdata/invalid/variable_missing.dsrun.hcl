variable "bucket" { # ERROR: Missing value
  type = string
}
datastore "s3" "a" {
  bucket = var.bucket
}
