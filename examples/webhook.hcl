# topic "webhook": events are posted to an address as CloudEvents. Declared durable, they wait in the state folder while
# the receiver is down; what it refuses for good is kept with the reason.

variable "hook_key" {
  type        = string
  default     = "set-me-to-at-least-24-bytes"
  sensitive   = true
  description = "Key that the receiver checks signatures with."
}

topic "webhook" "events" {
  url         = "https://ci.example.com/hooks/retrain"
  signing_key = var.hook_key
  durable     = true
  dead_letter = datastore.local.refused
  schema      = jsonencode({ type = "object" })
}

datastore "local" "refused" {
  path   = "out/refused"
  create = true
}
