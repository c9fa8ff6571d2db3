# datastore "memory" and topic "memory": for tests, and for data that need not outlive the run.

datastore "memory" "fixtures" {
  fixtures = "data" # the files of this folder are the objects it begins with
}

datastore "memory" "scratch" {
  max_size = "64MiB"
}

topic "memory" "events" {}
