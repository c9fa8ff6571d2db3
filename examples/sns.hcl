# topic "sns": events to a topic of Amazon SNS. The role needs sns:Publish, and sns:GetTopicAttributes so that a missing
# topic and its largest message are known before the first event.

credential "aws" "events" {
  role_arn = "arn:aws:iam::111122223333:role/dsrun-events"
}

# Subscriptions can filter by the attributes ce-type, ce-source and ce-subject.
topic "sns" "events" {
  topic_arn  = "arn:aws:sns:eu-central-1:111122223333:training"
  credential = credential.aws.events
  source     = "/pipelines/nightly"
}

# A FIFO topic: events of one subject arrive in order, and repeats within five minutes once.
topic "sns" "ordered" {
  topic_arn        = "arn:aws:sns:eu-central-1:111122223333:training.fifo"
  message_group_id = "{subject}"
  credential       = credential.aws.events
  durable          = true
}
