# topic "file": one CloudEvent a line, appended whole and safely by many processes.

variable "folder" {
  type        = string
  default     = "out"
  description = "Where the events go."
}

topic "file" "events" {
  path    = "${var.folder}/events.jsonl"
  source  = "/pipelines/nightly"
  default = true
}
