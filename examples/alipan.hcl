# datastore "alipan": files of a drive at Alipan (Aliyun Drive).

# The web API, with a browser's refresh token to begin with (in the browser's console at https://www.alipan.com:
# JSON.parse(localStorage.token).refresh_token). The service replaces it with each use; what replaces it is kept in
# state_dir, so that this value is only read the first time.
credential "alipan" "me" {
  refresh_token = env("ALIPAN_WEB_REFRESH_TOKEN")
}

datastore "alipan" "raw" {
  root       = "/datasets"
  credential = credential.alipan.me
  mode       = "read"
}

# The open API, for a program that is registered at the open platform.
credential "alipan" "program" {
  client_id     = "0123456789abcdef0123456789abcdef"
  client_secret = env("ALIPAN_CLIENT_SECRET")
  refresh_token = env("ALIPAN_REFRESH_TOKEN")
}

datastore "alipan" "shared" {
  description      = "Files that AliPCS-Py and MosaicML's streaming read and write too, encrypted."
  drive            = "resource"
  root             = "/shared"
  encrypt_password = env("ALIPAN_ENCRYPT_PASSWORD")
  encrypt_type     = "ChaCha20"
  credential       = credential.alipan.program
  default          = true
}
