# What quickstart.star works on: files beside this one; no cloud, no server.
# To run the same script elsewhere, declare the same names with another kind: the script stays as it is.

datastore "local" "raw" {
  description = "The records as published."
  path        = "data"
  mode        = "read"
}

datastore "local" "clean" {
  description = "What passed the checks."
  path        = "out"
  create      = true
}

topic "file" "events" {
  description = "One CloudEvent a line."
  path        = "out/events.jsonl"
}
