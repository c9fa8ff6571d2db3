datastore "local" "日本" { # ERROR: Invalid name
  path = "x"
}
