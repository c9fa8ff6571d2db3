datastore "local" "My-Store" { # ERROR: Invalid name
  path = "a"
}
datastore "local" "1st" { # ERROR: Invalid name
  path = "a"
}
variable "Größe" { # ERROR: Invalid name
}
locals {
  bad-name = 1 # ERROR: Invalid name
}
datastore "local" "names" { # ERROR: Reserved name
  path = "a"
}
topic "file" "for" { # ERROR: Reserved name
  path = "a"
}
