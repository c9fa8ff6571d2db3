# topic "eventgrid": events to Azure Event Grid. The identity needs the role "EventGrid Data Sender" on the topic:
#   az role assignment create --assignee CLIENT_ID --role "EventGrid Data Sender" --scope $(az eventgrid topic show -n training -g GROUP --query id -o tsv)

credential "azure" "trainer" {
  method        = "service_principal"
  tenant_id     = "00000000-0000-0000-0000-000000000000"
  client_id     = "11111111-1111-1111-1111-111111111111"
  client_secret = env("AZURE_CLIENT_SECRET")
}

# A topic that was made with --input-schema cloudeventschemav1_0 takes CloudEvents.
topic "eventgrid" "events" {
  endpoint   = "https://training.westeurope-1.eventgrid.azure.net/api/events"
  credential = credential.azure.trainer
  source     = "/pipelines/nightly"
  default    = true
}

# A topic of a namespace, whose events are fetched by their receivers. Declared durable, they wait here during an outage.
topic "eventgrid" "audit" {
  endpoint   = "https://audit.westeurope-1.eventgrid.azure.net/topics/runs"
  credential = credential.azure.trainer
  durable    = true
}
