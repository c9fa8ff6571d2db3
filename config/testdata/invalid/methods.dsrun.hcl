credential "aws" "a" { # ERROR: No method fits
  access_key_id = "AK"
}
credential "aws" "b" { # ERROR: No method fits
  access_key_id     = "AK"
  secret_access_key = "SK"
  profile           = "p"
}
credential "aws" "c" {
  method            = "static" # ERROR: Missing required argument
  access_key_id     = "AK"
}
credential "aws" "d" {
  method  = "static" # ERROR: Missing required argument
  profile = "p"      # ERROR: Unsupported argument for the method
}
credential "aws" "e" {
  method = "statik" # ERROR: Unknown method
}
credential "azure" "f" { # ERROR: Ambiguous method
  client_id = "c"
}
credential "hdfs" "g" { # ERROR: No method fits
}
credential "gcp" "h" { # ERROR: No method fits
  json     = "{}"
  key_file = "k"
}
credential "gcp" "i" {
  method   = "service_account" # ERROR: Invalid combination of arguments
  json     = "{}"
  key_file = "k"
}
credential "aws" "j" {
  method = 5 # ERROR: Unsuitable value
}
credential "aws" "k" {
  method = env("M") # ERROR: Unsuitable value
}
