# quickstart.star on S3 and EventBridge: the same names on other kinds, and the script stays as it is.
#
#     dsrun cp -c examples/quickstart_s3.hcl --var bucket=NAME examples/data/birdstrikes.csv raw:birdstrikes.csv
#     dsrun run -c examples/quickstart_s3.hcl --var bucket=NAME examples/quickstart.star

variable "bucket" {
  type        = string
  default     = "example-quickstart"
  description = "Holds the records below raw/ and what passed the checks below clean/."
}

variable "region" {
  type    = string
  default = "us-east-1"
}

variable "endpoint" {
  type        = string
  default     = null
  description = "A service that speaks S3, such as https://minio.example.com; Amazon S3 when absent."
}

variable "bus" {
  type        = string
  default     = "default"
  description = "Name of the event bus."
}

variable "events_endpoint" {
  type    = string
  default = null
}

datastore "s3" "raw" {
  description = "The records as published."
  bucket      = var.bucket
  prefix      = "raw/"
  region      = var.region
  endpoint    = var.endpoint
  mode        = "append"
}

datastore "s3" "clean" {
  description = "What passed the checks."
  bucket      = var.bucket
  prefix      = "clean/"
  region      = var.region
  endpoint    = var.endpoint
}

topic "eventbridge" "events" {
  bus      = var.bus
  region   = var.region
  endpoint = var.events_endpoint
}
