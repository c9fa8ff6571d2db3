region = "eu" # ERROR: Unsupported argument
settings = {} # ERROR: Unsupported argument
