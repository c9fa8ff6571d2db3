datastore "local" "a" {
  path = secret::vault("a", "b") # ERROR: Reserved function
}
datastore "local" "b" {
  path = secret::keyring("a", "b") # ERROR: Reserved function
}
datastore "local" "c" {
  path = secret::fil("a") # ERROR: Unknown function
}
