package eventgrid

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// The content types of the two forms.
const (
	typeCloudEvents = "application/cloudevents-batch+json; charset=utf-8"
	typeNative      = "application/json; charset=utf-8"
)

func (t *Topic) contentType() string {
	if t.native {
		return typeNative
	}
	return typeCloudEvents
}

// encode returns the body of a request.
func (t *Topic) encode(batch []event.Message) ([]byte, error) {
	var b bytes.Buffer
	for i, m := range batch {
		if i == 0 {
			b.WriteByte('[')
		} else {
			b.WriteByte(',')
		}
		text, err := t.encodeOne(m)
		if err != nil {
			return nil, fault.New(fault.InvalidArgument, "%w", err)
		}
		b.Write(text)
		if i == 0 {
			b.Grow(len(batch) * (len(text) + 64))
		}
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

func (t *Topic) encodeOne(m event.Message) ([]byte, error) {
	if !t.native {
		return event.Encode(m)
	}
	return t.appendNative(nil, m), nil
}

// appendNative appends an event of Event Grid's schema (https://learn.microsoft.com/azure/event-grid/event-schema). The
// schema has no source: where the event has no subject, which it must have, the source is it.
func (t *Topic) appendNative(b []byte, m event.Message) []byte {
	subject := m.Subject
	if subject == "" {
		subject = m.Source
	}
	b = append(b, `{"id":`...)
	b = appendText(b, m.ID)
	if t.domain != "" {
		b = append(b, `,"topic":`...)
		b = appendText(b, t.domain)
	}
	b = append(b, `,"subject":`...)
	b = appendText(b, subject)
	b = append(b, `,"eventType":`...)
	b = appendText(b, m.Type)
	b = append(b, `,"eventTime":"`...)
	b = m.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","dataVersion":"`+dataVersion+`","data":`...)
	data := m.Data
	if len(data) == 0 {
		data = []byte("{}")
	}
	return append(append(b, data...), '}')
}

// dataVersion is the version of the data's schema, which publishers define. Handlers that filter by it expect 1.0.
const dataVersion = "1.0"

func appendText(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string cannot fail
	return append(b, text...)
}

// size is what a request grows by with a message.
func (t *Topic) size(m event.Message) int64 {
	if !t.native {
		return event.Size(m) + 1
	}
	return int64(len(t.appendNative(nil, m))) + 1
}

// valid refuses what the form has no place for.
func (t *Topic) valid(m event.Message) error {
	if t.native && len(m.Attributes) > 0 {
		return fault.Hinted(fault.InvalidArgument, `Put them into the data, or use format = "cloudevents".`, "Event Grid's own schema has no place for attributes")
	}
	return nil
}
