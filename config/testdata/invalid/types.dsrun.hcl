datastore "s3" "lake" {
  bucket          = ["a"]      # ERROR: Unsuitable value
  path_style      = "maybe"    # ERROR: Unsuitable value
  part_size       = "8 bytes"  # ERROR: Unsuitable value
  retain_days     = 1.5        # ERROR: Unsuitable value
  mirrors         = "one"      # ERROR: Unsuitable value
  labels          = ["a"]      # ERROR: Unsuitable value
  timeout         = 5          # ERROR: Unsuitable value
  max_attempts    = 0          # ERROR: Invalid value
  max_concurrency = "many"     # ERROR: Unsuitable value
  mode            = "reed"     # ERROR: Unsuitable value
  prefix          = "/in"      # ERROR: Invalid value
}
datastore "s3" "small" {
  bucket      = "ab"           # ERROR: Invalid value
  part_size   = -1             # ERROR: Unsuitable value
  retain_days = 1e300          # ERROR: Unsuitable value
  timeout     = "-5s"          # ERROR: Invalid value
  mirrors     = [null]         # ERROR: Unsuitable value
  labels      = { a = null }   # ERROR: Unsuitable value
  prefix      = "a/../b"       # ERROR: Invalid value
}
