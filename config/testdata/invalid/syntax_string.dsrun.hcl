datastore "local" "a" {
  path = "data # ERROR: Invalid multi-line string
}
