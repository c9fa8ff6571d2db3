workers = "several" # ERROR: Unsuitable value
wokers  = 3 # ERROR: Unknown variable
env     = var.workers # ERROR: Reference not allowed
token   = "hunter2" # ERROR: Unsuitable value
block { # ERROR: Unsupported block type
}
