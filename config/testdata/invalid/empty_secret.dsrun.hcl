credential "sql" "a" {
  username = "u"
  password = "" # ERROR: Unsuitable value
}
