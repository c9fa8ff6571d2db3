# What retrain.star works on by itself: new data beside this file, and a file of CloudEvents instead of a bus.

datastore "local" "raw" {
  path = "data"
  mode = "read"
}

topic "file" "retrain" {
  path   = "out/retrain.jsonl"
  create = true
  source = "ml3_platform"
}
