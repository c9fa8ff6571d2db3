package pubsub

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
)

// TestNative: the object has the five fields and no other, and the payload is the event's data to the byte.
func TestNative(t *testing.T) {
	f := newFake(t)
	d := over(t, f, schema.FormatNative, "")
	d.attributes = map[string]string{"team": "ml", "env": "test"}
	m := event.Message{ID: "1", Type: "retrain_trigger", Source: "ml3_platform", Subject: "s3://b/k", Time: begin, Data: []byte(`{ "model_id": "m1", "big": 9007199254740993 }`),
		Attributes: map[string]string{"env": "prod"}}
	if err := d.Publish(t.Context(), []event.Message{m}); err != nil {
		t.Fatal(err)
	}
	want := `{"project_id":"example","topic_name":"training","source":"ml3_platform","event_type":"retrain_trigger","payload":{ "model_id": "m1", "big": 9007199254740993 }}`
	if got := f.got[0]; string(got.data) != want || got.key != "" ||
		!maps.Equal(got.attributes, map[string]string{"team": "ml", "env": "prod", "ce-id": "1", "ce-subject": "s3://b/k", "ce-time": "2026-11-21T08:00:00Z"}) {
		t.Errorf("%s %v", got.data, got.attributes)
	}
}

// The size that is counted is that of the bytes that are sent.
func TestSize(t *testing.T) {
	f := newFake(t)
	for _, format := range []string{"", schema.FormatNative} {
		d := over(t, f, format, "{subject}")
		d.attributes = map[string]string{"long": strings.Repeat("v", 500)}
		for _, n := range []int{1, 100, 127, 128, 20000} {
			m := event.Message{ID: "1", Type: "x", Source: "s", Subject: strings.Repeat("k", 130), Time: begin, Data: []byte(`"` + strings.Repeat("é", n) + `"`), Attributes: map[string]string{"a": ""}}
			out, err := d.encode(m)
			if err != nil {
				t.Fatal(err)
			}
			two := []message{out, out}
			if got := publishRequest(d.path, two); int64(len(got)) != 2*d.size(m)+int64(bytesSize(len(d.path))) || cap(got) != len(got) {
				t.Errorf("%s %d: %d bytes, counted %d", format, n, len(got), d.size(m))
			}
		}
	}
}

// An event that is too large is refused before anything is sent, by its number; so is what has attributes or a key
// that the service would refuse.
func TestValid(t *testing.T) {
	f := newFake(t)
	good := event.Message{ID: "1", Type: "x", Source: "s", Data: []byte(`{}`)}
	with := func(change func(*event.Message)) event.Message { m := good; change(&m); return m }
	many := func(n int) map[string]string {
		out := map[string]string{}
		for i := range n {
			out[fmt.Sprintf("a%d", i)] = "v"
		}
		return out
	}
	for name, c := range map[string]struct {
		m              event.Message
		events, native bool
	}{
		"plain":              {good, true, true},
		"a list":             {with(func(m *event.Message) { m.Data = []byte(`[1]`) }), true, true},
		"long value":         {with(func(m *event.Message) { m.Attributes = map[string]string{"a": strings.Repeat("v", 1024)} }), true, true},
		"too long a value":   {with(func(m *event.Message) { m.Attributes = map[string]string{"a": strings.Repeat("v", 1025)} }), true, false},
		"Google's name":      {with(func(m *event.Message) { m.Attributes = map[string]string{"google": "v"} }), true, false},
		"98 attributes":      {with(func(m *event.Message) { m.Attributes = many(98) }), false, true},
		"94 attributes":      {with(func(m *event.Message) { m.Attributes = many(94) }), true, true},
		"100 attributes":     {with(func(m *event.Message) { m.Attributes = many(100) }), false, false},
		"key of 1024 bytes":  {with(func(m *event.Message) { m.Subject = strings.Repeat("k", 1024) }), true, true},
		"key of 1026 bytes":  {with(func(m *event.Message) { m.Subject = strings.Repeat("é", 513) }), false, false},
		"a subject too long": {with(func(m *event.Message) { m.OrderingKey, m.Subject = "k", strings.Repeat("s", 3000) }), true, true},
	} {
		for format, want := range map[string]bool{schema.FormatCloudEvents: c.events, schema.FormatNative: c.native} {
			d := over(t, f, format, "{subject}")
			err := d.Limits().Valid(c.m)
			if (err == nil) != want {
				t.Errorf("%s as %s: %v", name, format, err)
			}
			if err != nil && !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil { // and the service's limits hold
				if err := d.Publish(t.Context(), []event.Message{c.m}); err != nil {
					t.Errorf("%s as %s is sent: %v", name, format, err)
				}
			}
		}
	}
	tp, _ := topicOver(t, over(t, f, schema.FormatNative, ""))
	before := len(f.got)
	i := 0
	var refused []string
	n, err := tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
		switch i++; {
		case i == 3:
			return event.Event{Type: "x", Data: append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 10_000_000-1)...), '"')}, nil // 1e7 + 1 bytes
		case i > 4:
			return event.Event{}, io.EOF
		}
		return event.Event{Type: "x"}, nil
	}, func(_ event.Message, err error) error { refused = append(refused, err.Error()); return nil })
	if n != 3 || err != nil || len(refused) != 1 || !strings.Contains(refused[0], "event 2:") || !strings.Contains(refused[0], "at most 9999966") || len(f.got)-before != 3 {
		t.Errorf("%d accepted, %v, refused %.300q, %d arrived", n, err, refused, len(f.got)-before)
	}
}

func TestOptions(t *testing.T) {
	for s, ok := range map[string]bool{"example-project": true, "example.com:p": true, "123456": true, "": false, "Upper": false, "a/b": false} {
		if (checkProject(s) == nil) != ok {
			t.Errorf("project %q", s)
		}
	}
	for s, ok := range map[string]bool{"training": true, "a.b_c~d+e%f-g": true, "": false, "ab": false, "1abc": false, "google-x": false, "a/b/c": false, strings.Repeat("t", 256): false} {
		if (checkTopic(s) == nil) != ok {
			t.Errorf("topic %q", s)
		}
	}
	for s, ok := range map[string]bool{"": true, "one": true, "{subject}": true, "{type}/{n1}-x": true, "{": false, "{}": false, "{Subject}": false, "}{": false, "{{type}}": false, strings.Repeat("k", 1025): false} {
		if (checkKey(s) == nil) != ok {
			t.Errorf("ordering_key %q: %v", s, checkKey(s))
		}
	}
	for s, ok := range map[string]bool{"https://europe-west1-pubsub.googleapis.com": true, "https://h/": true, "http://127.0.0.1:8085": true, "http://localhost:1": true, "http://example.com": false,
		"https://h/v1": false, "https://u:p@h": false, "ftp://h": false, "h:1": false, "https://h?x=1": false} {
		if (checkEndpoint(s) == nil) != ok {
			t.Errorf("endpoint %q: %v", s, checkEndpoint(s))
		}
	}
	for name, ok := range map[string]bool{"team": true, "": false, "Content-Type": false, "ce-id": false, "googx": false} {
		if o := (&Options{Attributes: map[string]string{name: "v"}}); (o.checkAttributes() == nil) != ok {
			t.Errorf("attribute %q: %v", name, o.checkAttributes())
		}
	}
	env, _ := newEnv(t, token)
	env.Credential = nil
	if _, err := Provider().OpenTopic(t.Context(), env, &Options{Project: "example", Topic: "training"}); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
	env.Credential = login(t, env, gcpauth.Options{Method: "anonymous"})
	if d := openTopic(t, env, Options{Project: "example", Topic: "training"}); !d.anonymous || d.endpoint != "https://pubsub.googleapis.com" {
		t.Errorf("%+v", d)
	}
}

// Replies are strangers' bytes: reading them ends with an error, never otherwise.
func FuzzReply(f *testing.F) {
	f.Add(published(3))
	f.Add(detail("RetryInfo", []byte{10, 2, 8, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		ids, err := publishedIDs(b)
		if err == nil && len(ids) > len(b) {
			t.Errorf("%d ids of %d bytes", len(ids), len(b))
		}
		(&serviceError{}).details(string(b))
	})
}
