datastore "local" "inbox" {
  pth  = "data" # ERROR: Unsupported argument
  path = "data"
}
