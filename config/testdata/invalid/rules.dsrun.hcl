datastore "s3" "a" {
  bucket = "aaa"
  sse    = "kms" # ERROR: Invalid combination of arguments
}
datastore "gcs" "b" {
  bucket     = "bbb"
  project    = "p"
  project_id = "q" # ERROR: Invalid combination of arguments
}
datastore "azure_blob" "c" { # ERROR: Invalid combination of arguments
  account = "c"
}
datastore "azure_blob" "d" {
  account    = "d"
  container  = "d"
  filesystem = "d" # ERROR: Invalid combination of arguments
}
topic "webhook" "e" { # ERROR: Invalid combination of arguments
  url = "https://example.com"
}
