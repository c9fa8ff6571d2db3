datastore "local" "d" {
  path = "a"
  path = "b" # ERROR: Attribute redefined
}
