# topic "sqs": events to a queue of Amazon SQS. The role needs sqs:SendMessage, and sqs:GetQueueAttributes so that a
# missing queue and its largest message are known before the first event.

credential "aws" "events" {
  role_arn = "arn:aws:iam::111122223333:role/dsrun-events"
}

topic "sqs" "events" {
  queue_url  = "https://sqs.eu-central-1.amazonaws.com/111122223333/training"
  credential = credential.aws.events
  source     = "/pipelines/nightly"
}

# A FIFO queue: events of one subject are received in order, and repeats within five minutes once. What the queue
# refuses for good is kept with the reason.
topic "sqs" "ordered" {
  queue_url        = "https://sqs.eu-central-1.amazonaws.com/111122223333/training.fifo"
  message_group_id = "{subject}"
  credential       = credential.aws.events
  durable          = true
  dead_letter      = datastore.local.refused
}

datastore "local" "refused" {
  path   = "out/refused"
  create = true
}
