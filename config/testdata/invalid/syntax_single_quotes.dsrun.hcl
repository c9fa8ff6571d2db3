datastore "local" "a" {
  path = 'data' # ERROR: Invalid character
}
