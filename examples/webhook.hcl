# topic "webhook": events are posted to an address as CloudEvents. Declared durable, they wait in the state folder while
# the receiver is down; what it refuses for good is kept with the reason.

topic "webhook" "events" {
  url         = "https://ci.example.com/hooks/retrain"
  signing_key = env("HOOK_SIGNING_KEY") # at least 24 bytes
  durable     = true
  dead_letter = datastore.local.refused
  schema      = jsonencode({ type = "object" })
}

datastore "local" "refused" {
  path   = "out/refused"
  create = true
}
