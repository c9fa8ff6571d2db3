# topic "eventbridge": events to a bus of Amazon EventBridge. The role needs events:PutEvents on the bus, and
# events:DescribeEventBus so that a bus that does not exist is noticed.

credential "aws" "base" {
  method = "default"
}

credential "aws" "trainer" {
  role_arn    = "arn:aws:iam::111122223333:role/dsrun-events"
  external_id = env("TRAINER_EXTERNAL_ID")
  source      = credential.aws.base
}

# The whole CloudEvent is the entry's detail.
topic "eventbridge" "events" {
  bus        = "training"
  region     = "eu-central-1"
  credential = credential.aws.trainer
  source     = "/pipelines/nightly"
  default    = true
}

# The event's data alone is the detail, as rules expect that match detail-type "retrain_trigger" of a source.
topic "eventbridge" "retrain" {
  bus        = "training"
  region     = "eu-central-1"
  credential = credential.aws.trainer
  source     = "ml_platform"
  format     = "native"
}
