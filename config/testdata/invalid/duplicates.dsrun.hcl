variable "a" {
  default = 1
}
variable "a" { # ERROR: Duplicate variable
  default = 2
}
locals {
  x = 1
}
locals {
  x = 2 # ERROR: Duplicate local
}
datastore "local" "d" {
  path = "a"
}
datastore "memory" "d" { # ERROR: Duplicate name
}
topic "file" "d" { # ERROR: Duplicate name
  path = "x"
}
credential "aws" "d" {
}
credential "aws" "d" { # ERROR: Duplicate name
}
settings {
}
settings { # ERROR: Duplicate block
}
