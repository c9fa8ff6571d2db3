# datastore "azure_blob": containers of Azure Blob storage.

# An identity needs the role "Storage Blob Data Reader" or "Storage Blob Data Contributor".
credential "azure" "team" {
  tenant_id     = "00000000-0000-0000-0000-000000000000"
  client_id     = "11111111-1111-1111-1111-111111111111"
  client_secret = env("DSRUN_CLIENT_SECRET")
}

datastore "azure_blob" "lake" {
  description = "A part of a container."
  account     = "examplelake"
  container   = "clean"
  prefix      = "2026/"
  credential  = credential.azure.team
  access_tier = "Cool"
  default     = true
}

credential "azure" "public" {
  method = "anonymous"
}

datastore "azure_blob" "open" {
  account    = "exampleopendata"
  container  = "public"
  credential = credential.azure.public
  mode       = "read"
}

credential "azure" "key" {
  account_key = env("AZURE_ACCOUNT_ACCESS_KEY") # dsrun:ignore account-key for accounts without identities
}

datastore "azure_blob" "results" {
  account              = "examplelake"
  container            = "results"
  credential           = credential.azure.key
  create_if_not_exists = true
}
