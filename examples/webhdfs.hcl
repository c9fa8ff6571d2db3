# datastore "webhdfs": files of a Hadoop cluster, by the REST API of its name node.

# A cluster without Kerberos believes the name that it is told.
credential "hdfs" "etl" {
  user = "etl"
}

datastore "webhdfs" "raw" {
  endpoint   = "http://namenode.example.com:9870" # dsrun:ignore plain-http the cluster is in a network of its own
  root       = "/data/raw"
  credential = credential.hdfs.etl
  mode       = "read"
}

# One with Kerberos takes a delegation token that was got beforehand.
credential "hdfs" "secure" {
  delegation_token = env("HDFS_DELEGATION_TOKEN")
}

datastore "webhdfs" "clean" {
  description = "Redirects lead to the data nodes of another domain, which are named."
  endpoint    = "https://gateway.example.com:9871"
  root        = "/data/clean"
  data_nodes  = [".datanodes.example.net"]
  credential  = credential.hdfs.secure
  default     = true
}
