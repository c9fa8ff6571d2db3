# datastore "sftp": files of a server that is reached over SSH.

credential "sftp" "partner" {
  method           = "key"
  username         = "dsrun"
  key_file         = "keys/id_ed25519"
  passphrase       = env("SFTP_PASSPHRASE")
  known_hosts_file = "known_hosts" # as `ssh-keyscan sftp.example.com` writes it, once its owner has confirmed the fingerprint
}

datastore "sftp" "inbox" {
  host       = "sftp.example.com"
  root       = "/data/inbox"
  credential = credential.sftp.partner
  mode       = "read"
}

datastore "sftp" "outbox" {
  description = "Files that the whole server may read."
  host        = "sftp.example.com"
  port        = 2222
  root        = "/data/outbox"
  credential  = credential.sftp.partner
  file_mode   = "0644"
  default     = true
}

credential "sftp" "legacy" {
  username         = "upload"
  password         = env("SFTP_PASSWORD")
  known_hosts_file = "known_hosts"
}

datastore "sftp" "legacy" {
  host       = "192.0.2.10"
  credential = credential.sftp.legacy
}
