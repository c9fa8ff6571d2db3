datastore "local" "d" {
  path = "x"
}
