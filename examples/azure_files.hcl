# datastore "azure_files": shares of Azure Files.

# A key or a SAS needs no role. An identity needs "Storage File Data Privileged Reader" or "Storage File Data Privileged
# Contributor".
credential "azure" "team" {
  tenant_id     = "00000000-0000-0000-0000-000000000000"
  client_id     = "11111111-1111-1111-1111-111111111111"
  client_secret = env("DSRUN_CLIENT_SECRET")
}

datastore "azure_files" "exports" {
  description = "A directory of a share that machines of the laboratory write to."
  account     = "examplelake"
  share       = "laboratory"
  prefix      = "exports/"
  credential  = credential.azure.team
  mode        = "read"
}

credential "azure" "key" {
  account_key = env("AZURE_ACCOUNT_ACCESS_KEY") # dsrun:ignore account-key for accounts without identities
}

datastore "azure_files" "results" {
  account              = "examplelake"
  share                = "results"
  credential           = credential.azure.key
  create_if_not_exists = true
  default              = true
}
