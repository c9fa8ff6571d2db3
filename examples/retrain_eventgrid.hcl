# retrain.star on Azure Event Grid. The topic was made with --input-schema eventgridschema, and an event of it is
#
#   {"id": ..., "subject": "ml3_platform", "eventType": "retrain_trigger", "eventTime": ..., "dataVersion": "1.0",
#    "data": {"model_id": ...}}
#
# where the source stands for the subject. Without a script:
#
#   dsrun publish retrain -c retrain_eventgrid.hcl --type retrain_trigger --data '{"model_id": "m1"}'

variable "endpoint" {
  type        = string
  default     = "https://training.westeurope-1.eventgrid.azure.net/api/events"
  description = "What az eventgrid topic show --query endpoint prints."
}

credential "azure" "topic" {
  method     = "access_key"
  access_key = env("EVENTGRID_ACCESS_KEY") # dsrun:ignore account-key this key may send events to one topic, and nothing else
}

datastore "local" "raw" {
  path = "data"
  mode = "read"
}

topic "eventgrid" "retrain" {
  endpoint   = var.endpoint
  credential = credential.azure.topic
  source     = "ml3_platform"
  format     = "native"
  default    = true
}
