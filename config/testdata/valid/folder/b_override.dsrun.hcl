datastore "s3" "lake" {
  bucket = var.bucket
}
