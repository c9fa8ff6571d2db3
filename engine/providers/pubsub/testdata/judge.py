"""Publishes and receives through Google's own client; reads CloudEvents with the CloudEvents SDK.

make PROJECT TOPIC SUBSCRIPTION | publish PROJECT TOPIC KEY DATA NAME VALUE | pull PROJECT SUBSCRIPTION COUNT
"""

import json
import sys
import time

from cloudevents.http import from_http, to_json
from google.cloud import pubsub_v1

verb, project, *args = sys.argv[1:]
if verb == "make":
    topic, subscription = args
    publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
    path = publisher.topic_path(project, topic)
    publisher.create_topic(request={"name": path})
    subscriber.create_subscription(request={"name": subscriber.subscription_path(project, subscription), "topic": path, "enable_message_ordering": True})
elif verb == "publish":
    topic, key, data, name, value = args
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    publisher = pubsub_v1.PublisherClient(publisher_options=options)
    publisher.publish(publisher.topic_path(project, topic), data.encode(), ordering_key=key, **{name: value}).result(timeout=30)
elif verb == "pull":
    subscription, count = args
    subscriber = pubsub_v1.SubscriberClient()
    path = subscriber.subscription_path(project, subscription)
    got, until = [], time.monotonic() + 60
    while len(got) < int(count) and time.monotonic() < until:
        reply = subscriber.pull(request={"subscription": path, "max_messages": 1000}, timeout=10)
        for r in reply.received_messages:
            m = r.message
            entry = {"Data": m.data.decode(), "Key": m.ordering_key, "Attributes": dict(m.attributes)}
            if m.attributes.get("Content-Type", "").startswith("application/cloudevents"):
                event = from_http({"content-type": m.attributes["Content-Type"]}, m.data)
                entry["Event"] = json.loads(to_json(event))
            got.append(entry)
        if reply.received_messages:
            subscriber.acknowledge(request={"subscription": path, "ack_ids": [r.ack_id for r in reply.received_messages]})
    json.dump(got, sys.stdout)
else:
    sys.exit("unknown verb " + verb)
