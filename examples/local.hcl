# datastore "local": the files of a folder. Paths are relative to this file.

datastore "local" "input" {
  path = "data"
  mode = "read" # nothing is written or deleted, whatever a script does
}

datastore "local" "archive" {
  description = "New objects only: what is there stays."
  path        = "out/archive"
  create      = true
  mode        = "append"
  labels      = { team = "data" }
}

datastore "local" "reports" {
  description = "A part of the same folder: scripts see only what lies below the prefix."
  path        = "out"
  create      = true
  prefix      = "reports/"
  default     = true
}
