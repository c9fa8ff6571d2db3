datastore "local" { # ERROR: Missing block label
  path = "a"
}
datastore { # ERROR: Missing block label
}
variable "a" "b" { # ERROR: Extraneous block label
}
settings "x" { # ERROR: Extraneous block label
}
