# datastore "adls_gen1": Azure Data Lake Storage Gen1, which Microsoft retired on 2024-02-29. Each use gives a warning.

credential "azure" "team" {
  tenant_id     = "00000000-0000-0000-0000-000000000000"
  client_id     = "11111111-1111-1111-1111-111111111111"
  client_secret = env("DSRUN_CLIENT_SECRET")
}

datastore "adls_gen1" "archive" {
  description = "What a gateway still serves under the account's name."
  account     = "examplelake"
  root        = "/archive"
  endpoint    = "https://gateway.example.com"
  credential  = credential.azure.team
  mode        = "read"
}
