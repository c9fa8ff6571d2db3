package pubsub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// Limits of a message in bytes, and of its attributes in number
// (https://cloud.google.com/pubsub/quotas, "Resource limits").
const (
	maxRequest    = 10_000_000
	maxMessages   = 1000
	maxAttributes = 100
	maxName       = 256
	maxValue      = 1024
	maxKey        = 1024
)

// contentType says that a message is a CloudEvent in structured mode. The name is written as the binding has it.
const contentType, structured = "Content-Type", "application/cloudevents+json; charset=UTF-8"

// encode is an event as the service takes it.
//
// In structured mode the binding lets the attributes of binary mode stand beside the event, which is done so that
// filters of subscriptions can see them; a value that is too long for an attribute is in the event alone.
func (t *Topic) encode(m event.Message) (out message, err error) {
	out = t.frame(m)
	if t.native {
		out.data = t.trigger(m)
		return out, nil
	}
	out.data, err = event.Encode(m)
	return out, err
}

// frame is the message without its data.
func (t *Topic) frame(m event.Message) (out message) {
	out.key = event.KeyOf(t.key, m)
	out.attributes = make(map[string]string, 8+len(t.attributes)+len(m.Attributes))
	for k, v := range t.attributes {
		out.attributes[k] = v
	}
	context := func(name, value string) {
		if value != "" && len(value) <= maxValue {
			out.attributes["ce-"+name] = value
		}
	}
	context("id", m.ID)
	context("subject", m.Subject)
	if !m.Time.IsZero() {
		context("time", m.Time.UTC().Format(time.RFC3339Nano))
	}
	if t.native {
		for k, v := range m.Attributes {
			out.attributes[k] = v
		}
		return out
	}
	out.attributes[contentType] = structured
	context("specversion", event.SpecVersion)
	context("type", m.Type)
	context("source", m.Source)
	for k, v := range m.Attributes {
		context(k, v)
	}
	return out
}

// trigger is the native form, whose payload is the event's data to the byte.
func (t *Topic) trigger(m event.Message) []byte {
	var b bytes.Buffer
	b.Grow(160 + len(m.Data))
	field := func(prefix, value string) {
		b.WriteString(prefix)
		text, _ := json.Marshal(value) // a text cannot fail
		b.Write(text)
	}
	field(`{"project_id":`, t.project)
	field(`,"topic_name":`, t.topic)
	field(`,"source":`, m.Source)
	field(`,"event_type":`, m.Type)
	b.WriteString(`,"payload":`)
	b.Write(m.Data)
	b.WriteByte('}')
	return b.Bytes()
}

// size is what a message takes of a request.
func (t *Topic) size(m event.Message) int64 {
	out, err := t.encode(m)
	if err != nil {
		return -1
	}
	return int64(bytesSize(out.size()))
}

// valid refuses what the service would refuse.
func (t *Topic) valid(m event.Message) error {
	out := t.frame(m)
	if n := len(out.key); n > maxKey {
		return fault.Hinted(fault.InvalidArgument, "Use another ordering_key for the topic.", "the ordering key has %d bytes and Pub/Sub takes at most %d", n, maxKey)
	}
	if n := len(out.attributes); n > maxAttributes {
		return fault.Hinted(fault.InvalidArgument, "Put some of them into the data.", "the message has %d attributes and Pub/Sub takes at most %d", n, maxAttributes)
	}
	if !t.native {
		return nil
	}
	for k, v := range m.Attributes { // in the other form they are in the event as well, and all names have a prefix
		if err := checkAttribute(k, v); err != nil {
			return fault.Hinted(fault.InvalidArgument, "Put it into the data.", "%w", err)
		}
	}
	return nil
}

func checkAttribute(name, value string) error {
	switch {
	case name == "" || len(name) > maxName || !utf8.ValidString(name):
		return fmt.Errorf("the attribute %.40q has not a name of 1 to %d bytes", name, maxName)
	case strings.HasPrefix(strings.ToLower(name), "goog"):
		return fmt.Errorf("attribute %q: names that begin with goog are Google's own", name)
	case len(value) > maxValue || !utf8.ValidString(value):
		return fmt.Errorf("the attribute %q has %d bytes and Pub/Sub takes at most %d, of valid UTF-8", name, len(value), maxValue)
	}
	return nil
}

// checkKey refuses an ordering_key that cannot mean anything.
func checkKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("ordering_key has %d bytes and Pub/Sub takes at most %d.", len(key), maxKey)
	}
	return event.CheckKey("ordering_key", key)
}
