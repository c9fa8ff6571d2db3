datastore "local" "a" {
  path: "data" # ERROR: Argument or block definition required
}
