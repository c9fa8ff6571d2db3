datastore "local" "d" { # ERROR: Duplicate name
  path = "x"
}
