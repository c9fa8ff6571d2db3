variable "n" {
  type    = number
  default = "many" # ERROR: Unsuitable value
}
variable "o" {
  type    = object({ a = string })
  default = { b = "x" } # ERROR: Unsuitable value
}
variable "t" {
  type    = strng # ERROR: Invalid type specification
  default = "x"
}
variable "d" {
  descripton = "x" # ERROR: Unsupported argument
  default    = 1
}
variable "s" {
  sensitive = "perhaps" # ERROR: Unsuitable value
  default   = 1
}
variable "r" {
  default = var.n # ERROR: Reference not allowed
}
