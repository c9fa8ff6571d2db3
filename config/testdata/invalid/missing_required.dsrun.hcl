datastore "local" "inbox" { # ERROR: Missing required argument
}
datastore "s3" "lake" {
  bucket = null # ERROR: Missing required argument
}
