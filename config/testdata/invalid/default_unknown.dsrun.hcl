datastore "local" "d" {
  path    = "d"
  default = env("X") == "1" # ERROR: Unsuitable value
}
