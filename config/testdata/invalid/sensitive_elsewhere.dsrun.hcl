variable "pw" {
  sensitive = true
  default   = "hunter22"
}
locals {
  url = "https://${var.pw}@example.com"
}
datastore "s3" "a" {
  bucket   = var.pw # ERROR: Sensitive value
  endpoint = local.url # ERROR: Sensitive value
  region   = secret::file("x") # ERROR: Sensitive value
  labels   = { a = sensitive("b") } # ERROR: Sensitive value
  mirrors  = [sensitive("zzzz")] # ERROR: Sensitive value
}
