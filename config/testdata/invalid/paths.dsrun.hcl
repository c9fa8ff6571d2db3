datastore "local" "a" {
  path = "" # ERROR: Unsuitable value
}
datastore "local" "b" {
  path = "~/data" # ERROR: Unsuitable value
}
