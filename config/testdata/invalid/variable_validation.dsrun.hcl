variable "n" {
  type    = number
  default = 11 # ERROR: Invalid value for variable
  validation {
    condition     = var.n < 10
    error_message = "n is below ten, not ${var.n}."
  }
}
variable "m" {
  default = 1
  validation { # ERROR: Missing required argument
    condition = true
  }
  validation {
    condition     = "maybe" # ERROR: Unsuitable value
    error_message = "x."
  }
  validation {
    condition     = true
    error_message = "x."
    eror_message  = "y." # ERROR: Unsupported argument
  }
}
