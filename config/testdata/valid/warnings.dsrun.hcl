datastore "adls_gen1" "old" { # WARNING: Discouraged kind
  account    = "a"
  filesystem = "f"
}
datastore "s3" "lake" {
  bucket        = "lake"
  bucket_region = "eu" # WARNING: Deprecated argument
  insecure      = true # WARNING: Insecure connection
}
