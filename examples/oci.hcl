# datastore "oci": buckets of Oracle Cloud's Object Storage.

# What `oci setup config` wrote, or the session of `oci session authenticate`.
datastore "oci" "raw" {
  bucket = "example-raw"
  region = "eu-frankfurt-1"
  mode   = "read"
}

credential "oci" "team" {
  tenancy          = "ocid1.tenancy.oc1..exampleuniqueid"
  user             = "ocid1.user.oc1..exampleuniqueid"
  fingerprint      = "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
  private_key_file = "oci_api_key.pem"
  passphrase       = env("OCI_KEY_PASSPHRASE")
  region           = "eu-frankfurt-1"
}

datastore "oci" "lake" {
  description          = "A part of a bucket, in the cheaper tier, made when it is missing."
  bucket               = "example-lake"
  prefix               = "clean/"
  namespace            = "examplens"
  compartment_id       = "ocid1.compartment.oc1..exampleuniqueid"
  credential           = credential.oci.team
  storage_tier         = "InfrequentAccess"
  create_if_not_exists = true
  default              = true
}

# On a compute instance, without any key.
credential "oci" "instance" {
  method = "instance_principal"
}

datastore "oci" "results" {
  bucket     = "example-results"
  region     = "us-ashburn-1"
  credential = credential.oci.instance
  mode       = "append"
}
