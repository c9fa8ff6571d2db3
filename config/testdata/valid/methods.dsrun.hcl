# One credential of each family by each method.
credential "aws" "m1" {
}
credential "aws" "m2" {
  access_key_id     = "AK"
  secret_access_key = "SK"
}
credential "aws" "m3" {
  profile = "dev"
}
credential "aws" "m4" {
  role_arn    = "arn"
  external_id = "x"
  duration    = "1h"
  source      = credential.aws.m3
}
credential "aws" "m5" {
  role_arn   = "arn"
  token_file = "token"
}
credential "aws" "m6" {
  method = "anonymous"
}
credential "gcp" "m1" {
}
credential "gcp" "m2" {
  key_file = "key.json"
}
credential "gcp" "m3" {
  access_id = "a"
  secret    = "s"
}
credential "gcp" "m4" {
  target = "x@y"
  source = credential.gcp.m2
}
credential "gcp" "m5" {
  access_token = env("TOKEN")
}
credential "azure" "m1" {
  cloud = "china"
}
credential "azure" "m2" {
  account_key = "k"
}
credential "azure" "m3" {
  tenant_id        = "t"
  client_id        = "c"
  certificate_file = "c.pem"
}
credential "azure" "m4" {
  method    = "managed_identity"
  client_id = "c"
}
credential "azure" "m5" {
  sas_token = secret::exec("pass", "show", "sas")
}
credential "azure" "m6" {
  json_file = "sp.json"
}
credential "oci" "m1" {
  profile = "p"
}
credential "oci" "m2" {
  tenancy          = "t"
  user             = "u"
  fingerprint      = "f"
  private_key_file = "k.pem"
  passphrase       = null
}
credential "oci" "m3" {
  method = "security_token"
}
credential "databricks" "m1" {
  credential = credential.azure.m1
}
credential "databricks" "m2" {
  client_id     = "c"
  client_secret = "s"
}
credential "hdfs" "m1" {
  user = "me"
}
credential "alipan" "m1" {
  refresh_token = "r"
}
credential "alipan" "m2" {
  client_id     = "c"
  client_secret = "s"
  refresh_token = "r"
}
credential "sftp" "m1" {
  username   = "u"
  key_file   = "id"
  passphrase = "p"
}
credential "huggingface" "m1" {
  token = "hf"
}
