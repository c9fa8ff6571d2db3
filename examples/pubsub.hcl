# topic "pubsub": events to a topic of Google Cloud Pub/Sub. Who publishes needs roles/pubsub.publisher on the topic:
#
#   gcloud pubsub topics add-iam-policy-binding training --role=roles/pubsub.publisher --member=serviceAccount:...
#
# With PUBSUB_EMULATOR_HOST in the environment events go to the emulator there instead.

# Application default credentials, as gcloud or the machine has them.
credential "gcp" "trainer" {
  method = "default"
}

# CloudEvents. Those of one subject are delivered in order to subscriptions that ask for it; events that cannot be sent
# now wait in the state folder.
topic "pubsub" "events" {
  project      = "example-project"
  topic        = "training"
  credential   = credential.gcp.trainer
  ordering_key = "{subject}"
  endpoint     = "https://europe-west1-pubsub.googleapis.com"
  attributes   = { team = "ml" }
  source       = "/pipelines/nightly"
  durable      = true
  default      = true
}

# The object {project_id, topic_name, source, event_type, payload}, for receivers of retrain triggers.
topic "pubsub" "retrain" {
  project    = "example-project"
  topic      = "training"
  credential = credential.gcp.trainer
  source     = "ml3_platform"
  format     = "native"
}
