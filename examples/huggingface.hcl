# datastore "huggingface": repositories of the Hugging Face hub, to be read.

# Public repositories need no token. HF_TOKEN and what `hf auth login` keeps are found without a block.
datastore "huggingface" "fineweb" {
  description = "The sample of ten billion tokens."
  repo        = "HuggingFaceFW/fineweb"
  prefix      = "sample/10BT/"
  default     = true
}

# The hub's conversion to Parquet stands at a revision of its own.
datastore "huggingface" "parquet" {
  repo     = "rajpurkar/squad"
  revision = "refs/convert/parquet"
}

# A private repository, at a commit that does not change any more.
credential "huggingface" "team" {
  token = env("TEAM_HF_TOKEN")
}

datastore "huggingface" "weights" {
  repo       = "example-org/weights"
  type       = "model"
  revision   = "8d9f2b4c6e0a1357913579abcdef0246802468ac"
  credential = credential.huggingface.team
}
