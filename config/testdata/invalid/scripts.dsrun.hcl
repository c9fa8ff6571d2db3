datastore "local" "lake" {
  path = "x"
}
topic "file" "events" {
  path = "x"
}
script "*.star" {
  trust  = "trusted"   # ERROR: Unsuitable value
  topics = ["event"]   # ERROR: Unknown topic
  store "lak" { # ERROR: Unknown datastore
    ops = ["list"]
  }
  store "lake" {
    ops    = ["list", "reed"] # ERROR: Unsuitable value
    prefix = env("P")         # ERROR: Unsuitable value
  }
  store "lake" { # ERROR: Duplicate block
    ops = ["list"]
  }
  limits {
    steps  = 0     # ERROR: Invalid value
    memory = "1"   # ERROR: Invalid value
    time   = "5m"  # ERROR: Unsupported argument
  }
  limits { # ERROR: Duplicate block
  }
}
script "[" { # ERROR: Invalid pattern
}
script "*.star" { # ERROR: Duplicate block
}
script "x" {
  store "lake" { # ERROR: Missing required argument
  }
}
