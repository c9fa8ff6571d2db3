# retrain.star on Google Cloud Pub/Sub. A message's data is
#
#   {"project_id": ..., "topic_name": ..., "source": "ml3_platform", "event_type": "retrain_trigger", "payload": {"model_id": ...}}
#
# Who publishes needs the role on the topic:
#
#   gcloud pubsub topics add-iam-policy-binding TOPIC --role=roles/pubsub.publisher --member=...

variable "project" {
  type        = string
  default     = "example-project"
  description = "Id of the project."
}

variable "topic" {
  type        = string
  default     = "training"
  description = "Id of the topic."
}

datastore "local" "raw" {
  path = "data"
  mode = "read"
}

topic "pubsub" "retrain" {
  project = var.project
  topic   = var.topic
  source  = "ml3_platform"
  format  = "native"
}
