settings {
  log_level  = "warning" # ERROR: Unsuitable value
  log_format = "xml"     # ERROR: Unsuitable value
}
credential "azure" "a" {
  cloud = "chine" # ERROR: Unsuitable value
}
