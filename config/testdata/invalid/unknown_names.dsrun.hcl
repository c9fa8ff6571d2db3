variable "region" {
  default = "eu"
}
locals {
  bucket = "lake"
}
datastore "s3" "lake" {
  bucket = local.bukket  # ERROR: Unknown local
  region = var.regoin    # ERROR: Unknown variable
  mode   = read          # ERROR: Unknown reference
  kms_key_id = "k"
  sse    = uper("x")     # ERROR: Unknown function
  endpoint = env.HOME    # ERROR: Unknown reference
  mirrors  = var         # ERROR: Incomplete reference
}
