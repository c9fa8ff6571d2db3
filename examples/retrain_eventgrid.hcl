# Triggers a training through Azure Event Grid: the topic was made with --input-schema eventgridschema, and its handlers
# expect the type "retrain_trigger" and the subject "ml3_platform", which the source stands for in Event Grid's own schema.
#
#   dsrun publish retrain -c retrain_eventgrid.hcl --type retrain_trigger --data '{"model_id": "m1"}' --var access_key=...

variable "endpoint" {
  type        = string
  default     = "https://training.westeurope-1.eventgrid.azure.net/api/events"
  description = "What az eventgrid topic show --query endpoint prints."
}

variable "access_key" {
  type        = string
  default     = "set-me"
  sensitive   = true
  description = "What az eventgrid topic key list --query key1 prints."
}

credential "azure" "topic" {
  method     = "access_key"
  access_key = var.access_key
}

topic "eventgrid" "retrain" {
  endpoint   = var.endpoint
  credential = credential.azure.topic
  source     = "ml3_platform"
  format     = "native"
  default    = true
}
