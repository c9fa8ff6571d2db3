variable "workers" {
  type = number
}
variable "env" {
  default = "dev"
}
variable "token" {
  type      = number
  sensitive = true
}
