credential "sql" "a" {
  username = "u"
  password = hunter2secret # ERROR: Unknown reference
}
