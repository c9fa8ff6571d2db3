# datastore "adls_gen2": file systems of Azure Data Lake Storage Gen2.

# An identity needs the role "Storage Blob Data Reader" or "Storage Blob Data Contributor", or access by ACL.
credential "azure" "team" {
  tenant_id     = "00000000-0000-0000-0000-000000000000"
  client_id     = "11111111-1111-1111-1111-111111111111"
  client_secret = env("DSRUN_CLIENT_SECRET")
}

datastore "adls_gen2" "lake" {
  description = "A directory of a file system; abfss://raw@examplelake.dfs.core.windows.net/sales/ is the same place."
  account     = "examplelake"
  filesystem  = "raw"
  prefix      = "sales/"
  credential  = credential.azure.team
  mode        = "read"
}

credential "azure" "key" {
  account_key = env("AZURE_ACCOUNT_ACCESS_KEY") # dsrun:ignore account-key for accounts without identities
}

datastore "adls_gen2" "results" {
  account              = "examplelake"
  filesystem           = "results"
  credential           = credential.azure.key
  part_size            = "64MiB"
  create_if_not_exists = true
  default              = true
}
