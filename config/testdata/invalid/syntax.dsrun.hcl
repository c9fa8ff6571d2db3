datastore "local" "a" {
  path = # ERROR: Invalid expression
}
