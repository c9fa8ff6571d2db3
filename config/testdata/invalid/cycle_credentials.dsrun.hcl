credential "aws" "a" { # ERROR: Reference cycle
  role_arn = "x"
  source   = credential.aws.b
}
credential "aws" "b" {
  role_arn = "x"
  source   = credential.aws.a
}
credential "aws" "c" { # ERROR: Reference cycle
  role_arn = "x"
  source   = credential.aws.c
}
