credential "gcp" "g" {
}
datastore "local" "d" {
  path = "d"
}
datastore "s3" "one" {
  bucket     = "one"
  credential = credential.gcp.g # ERROR: Wrong credential family
}
datastore "s3" "two" {
  bucket     = "two"
  credential = datastore.local.d # ERROR: Unsuitable value
}
datastore "s3" "three" {
  bucket     = "three"
  credential = "credential.gcp.g" # ERROR: Unsuitable value
}
datastore "local" "four" {
  path       = "four"
  credential = credential.gcp.g # ERROR: Unsupported argument
}
topic "file" "five" {
  path        = "x"
  dead_letter = credential.gcp.g # ERROR: Unsuitable value
}
datastore "s3" "six" {
  bucket = credential.gcp.g # ERROR: Unsuitable value
}
