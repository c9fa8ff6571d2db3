# datastore "s3": buckets of Amazon S3 and of services that speak its protocol.

# Public data needs no credential. Where the environment holds one, it is used.
datastore "s3" "public" {
  bucket = "example-public-data"
  region = "us-west-2"
  mode   = "read"
}

credential "aws" "team" {
  role_arn    = "arn:aws:iam::111122223333:role/dsrun"
  external_id = env("DSRUN_EXTERNAL_ID")
}

datastore "s3" "lake" {
  description   = "A part of a bucket, with keys of the team's own in KMS."
  bucket        = "example-lake"
  prefix        = "clean/"
  region        = "eu-central-1"
  credential    = credential.aws.team
  sse           = "aws:kms"
  kms_key_id    = "alias/lake"
  storage_class = "INTELLIGENT_TIERING"
  default       = true
}

datastore "s3" "partner" {
  bucket         = "example-partner"
  credential     = credential.aws.team
  requester_pays = true
  acl            = "bucket-owner-full-control"
  mode           = "append" # new objects only
}

credential "aws_compatible" "minio" {
  access_key_id     = env("MINIO_USER", "minio")
  secret_access_key = env("MINIO_PASSWORD")
  endpoint_url      = "https://minio.example.com"
}

datastore "s3" "onsite" {
  bucket               = "results"
  preset               = "minio"
  credential           = credential.aws_compatible.minio
  create_if_not_exists = true
}

credential "aws_compatible" "r2" {
  access_key_id     = env("R2_ACCESS_KEY_ID")
  secret_access_key = env("R2_SECRET_ACCESS_KEY")
  endpoint_url      = "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com"
}

datastore "s3" "edge" {
  bucket     = "results"
  credential = credential.aws_compatible.r2
}
