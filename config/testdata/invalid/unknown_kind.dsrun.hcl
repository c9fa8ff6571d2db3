datastore "locl" "inbox" { # ERROR: Unknown datastore kind
  path = "data"
}
credential "amazon" "main" { # ERROR: Unknown credential family
}
topic "kafka" "t" { # ERROR: Unknown topic kind
}
datastore "local" "ok" {
  path = "x"
}
