# retrain.star on Amazon EventBridge. A rule sees the event by its source and detail-type:
#
#   {"source": [{"prefix": "ml3_platform"}], "detail-type": [{"prefix": "retrain_trigger"}]}
#
# The credential needs events:PutEvents on arn:aws:events:REGION:ACCOUNT:event-bus/NAME, and events:DescribeEventBus so
# that a bus that does not exist is noticed.

variable "bus" {
  type        = string
  default     = "default"
  description = "Name of the event bus."
}

variable "region" {
  type    = string
  default = "us-east-1"
}

variable "endpoint" {
  type        = string
  default     = null
  description = "The service's URL; Amazon's when absent."
}

datastore "local" "raw" {
  path = "data"
  mode = "read"
}

# The event's data alone is the detail: {"model_id": ...}.
topic "eventbridge" "retrain" {
  bus      = var.bus
  region   = var.region
  endpoint = var.endpoint
  source   = "ml3_platform"
  format   = "native"
}
