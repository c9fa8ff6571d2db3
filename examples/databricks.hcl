# datastore "databricks": files of a Databricks workspace, in volumes of Unity Catalog or in DBFS.

# What `databricks configure` wrote, or DATABRICKS_HOST and DATABRICKS_TOKEN.
datastore "databricks" "raw" {
  path = "/Volumes/main/default/raw"
  mode = "read"
}

# A service principal of Databricks. Its host is that of the datastores that use it.
credential "databricks" "job" {
  host          = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"
  client_id     = "00000000-0000-0000-0000-000000000000"
  client_secret = env("DATABRICKS_JOB_SECRET")
}

datastore "databricks" "clean" {
  description = "A folder in a volume; large files go up in parts of 64 MiB."
  path        = "/Volumes/main/default/clean/v2"
  credential  = credential.databricks.job
  part_size   = "64MiB"
  default     = true
}

# A workspace on Azure, with an identity of Microsoft Entra.
credential "azure" "lake" {
  tenant_id     = "00000000-0000-0000-0000-000000000000"
  client_id     = "11111111-1111-1111-1111-111111111111"
  client_secret = env("AZURE_CLIENT_SECRET")
}

credential "databricks" "entra" {
  credential = credential.azure.lake
}

datastore "databricks" "results" {
  host       = "https://adb-1234567890123456.7.azuredatabricks.net"
  path       = "/Volumes/main/default/results"
  credential = credential.databricks.entra
  mode       = "append"
}

# DBFS is deprecated by Databricks; new accounts do not have it.
credential "databricks" "team" {
  profile = "TEAM"
}

datastore "databricks" "old" {
  path       = "dbfs:/data/old"
  credential = credential.databricks.team
  mode       = "read"
}
