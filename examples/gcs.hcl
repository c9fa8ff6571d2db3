# datastore "gcs": buckets of Google Cloud Storage.

# Application default credentials: what GOOGLE_APPLICATION_CREDENTIALS names, what
# `gcloud auth application-default login` wrote, or the machine's service account.
datastore "gcs" "raw" {
  bucket = "example-raw"
  mode   = "read"
}

# A service account's key, as `gcloud iam service-accounts keys create gcp-key.json --iam-account=EMAIL` writes it. On
# the bucket it needs roles/storage.objectViewer to read and roles/storage.objectUser to write.
credential "gcp" "loader" {
  key_file = "gcp-key.json"
}

datastore "gcs" "lake" {
  description          = "A part of a bucket in a cheaper class, made when it is missing."
  bucket               = "example-lake"
  prefix               = "clean/"
  project              = "example-project"
  location             = "europe-west3"
  credential           = credential.gcp.loader
  storage_class        = "NEARLINE"
  kms_key_name         = "projects/example-project/locations/europe-west3/keyRings/data/cryptoKeys/lake"
  create_if_not_exists = true
  default              = true
}

# Another service account, impersonated: the loader needs roles/iam.serviceAccountTokenCreator on it.
credential "gcp" "reporter" {
  target = "reporter@example-project.iam.gserviceaccount.com"
  source = credential.gcp.loader
}

# The owner of this bucket lets its readers pay.
datastore "gcs" "partner" {
  bucket       = "example-partner"
  credential   = credential.gcp.reporter
  user_project = "example-project"
  mode         = "read"
}

# An HMAC key (Settings > Interoperability) goes by the XML API, which has no conditional writes.
credential "gcp" "interoperable" {
  access_id = "GOOG1EXAMPLE"
  secret    = env("GCS_SECRET")
}

datastore "gcs" "exchange" {
  bucket     = "example-exchange"
  credential = credential.gcp.interoperable
}

# Public buckets need no account.
credential "gcp" "nobody" {
  method = "anonymous"
}

datastore "gcs" "landsat" {
  bucket     = "gcp-public-data-landsat"
  credential = credential.gcp.nobody
  mode       = "read"
}
