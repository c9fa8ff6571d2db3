settings {
  required_version = ">= 1.2, < 2"
  timeout          = "30m"
  memory_limit     = "512MiB"
  max_concurrency  = 8
  state_dir        = ".dsrun"
  log_level        = var.level
}

variable "level" {
  type        = string
  default     = "info"
  description = "How much is logged."
  validation {
    condition     = contains(["info", "debug"], var.level)
    error_message = "The level is info or debug."
  }
}

variable "options" {
  type    = object({ name = string, size = optional(number, 3) })
  default = { name = "x" }
}

variable "password" {
  type      = string
  sensitive = true
  default   = "correct horse"
}

locals {
  role  = "arn:${local.part}:iam"
  part  = "aws"
  words = split(" ", file("words.txt"))
  pick  = var.level == "info" ? credential.aws.main : credential.aws.keys
  none  = null
  all   = [for w in local.words : upper(w) if w != ""]
  names = { for i, w in local.words : w => i }
  splat = [{ a = 1 }, { a = 2 }][*].a
  odd   = try(local.words[9], "none")
}

credential "aws" "main" {
  default  = true
  role_arn = local.role
  source   = credential.aws.keys
}

credential "aws" "keys" {
  access_key_id     = env("AWS_KEY")
  secret_access_key = secret::file("key.txt")
  session_token     = env("AWS_TOKEN", null)
}

credential "sql" "db" {
  username = "me"
  password = "x${var.password}y"
}

datastore "s3" "lake" {
  credential      = local.pick
  bucket          = "lake"
  region          = local.none
  part_size       = "16MiB"
  mirrors         = local.words
  prefix          = "in/"
  mode            = "read"
  labels          = { team = "data" }
  timeout         = "5m"
  max_attempts    = 5
  max_concurrency = var.options.size
  retain_days     = 3
}

datastore "local" "out" {
  path    = "out"
  create  = true
  default = true
}

topic "file" "events" {
  path        = "events.jsonl"
  dead_letter = datastore.local.out
  source      = "/test"
}

script "jobs/**/*.star" {
  trust   = "untrusted"
  modules = ["json"]
  topics  = ["events"]
  store "lake" {
    ops    = ["list", "read"]
    prefix = "in/"
  }
  limits {
    steps   = 1000000
    memory  = "64MiB"
    timeout = "1m"
  }
}
