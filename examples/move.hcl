# What move.star works on. Any kinds will do: only this file changes when the data lives elsewhere.

datastore "memory" "source" {
  description = "The files of a folder, held in memory."
  fixtures    = "data"
  mode        = "read"
}

datastore "memory" "target" {
  description = "Gone when the run ends."
}

topic "memory" "train" {
  source = "/examples/move"
}
