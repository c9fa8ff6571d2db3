settings {
  timeout         = "soon"  # ERROR: Unsuitable value
  memory_limit    = "1KiB"  # ERROR: Invalid value
  max_concurrency = -1      # ERROR: Invalid value
  colour          = "red"   # ERROR: Unsupported argument
}
