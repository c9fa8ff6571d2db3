// Package eventtest is the conformance suite of topics: every promise of package event, held against a driver and
// against the portable Topic over it.
//
//	func TestTopic(t *testing.T) {
//		eventtest.Run(t, eventtest.Harness{
//			Open:     func(t testing.TB) event.Driver { return open(t) },
//			Received: func(t testing.TB, d event.Driver) []event.Message { return d.(*Topic).Events() },
//			Missing:  func(t testing.TB) event.Driver { return openMissing(t) },
//		})
//	}
package eventtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/secret"
)

// Harness says how to get at the bus under test.
type Harness struct {
	// Open returns a driver on a fresh, empty bus. The suite closes the driver; what else it needed is freed with
	// t.Cleanup. It is called many times.
	Open func(t testing.TB) event.Driver
	// Received returns what the bus of d holds, in the order of acceptance where Limits.Ordered. It is called before d
	// is closed and after.
	Received func(t testing.TB, d event.Driver) []event.Message
	// Missing returns a driver whose bus does not exist; nil where every bus exists, and WhyNoMissing says why.
	Missing      func(t testing.TB) event.Driver
	WhyNoMissing string
	// TimePrecision is how exactly the bus keeps an event's time; 0 means to the nanosecond.
	TimePrecision time.Duration
	// Idle closes idle connections of clients and servers, so that goroutines can be counted.
	Idle func()
	// Secrets are texts that must never show: keys, tokens, passwords that Open's and Missing's drivers use.
	Secrets []string
	// Redactor is the one that the driver's provider was given; Secrets are added to it. nil makes one.
	Redactor *secret.Redactor
	// DropsRepeats says that the bus keeps one of several events of one id, as FIFO queues do.
	DropsRepeats bool
	// Skip gives the reason for each check, by its name, that the server used here cannot show.
	Skip map[string]string
}

// A check holds one promise. It reports to a testing.TB, so that it can be shown to fail as well.
type check struct {
	name string
	run  func(t testing.TB, s *suite)
}

// suite is a harness in use.
type suite struct{ Harness }

func checks() []check {
	var all []check
	for _, group := range [][]check{driverChecks, contentChecks, topicChecks, retryChecks, streamChecks, outboxChecks, stormChecks} {
		all = append(all, group...)
	}
	return all
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	names := map[string]bool{}
	for _, c := range checks() {
		if names[c.name] {
			t.Errorf("two checks are named %s", c.name)
		}
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			if why := h.Skip[c.name]; why != "" {
				t.Skip("not shown by this server: ", why)
			}
			c.run(t, newSuite(h))
		})
	}
	for name := range h.Skip {
		if !names[name] {
			t.Errorf("Harness.Skip names %q, which is no check", name)
		}
	}
}

func newSuite(h Harness) *suite {
	if h.Redactor == nil {
		h.Redactor = secret.NewRedactor()
	}
	h.Redactor.Add(h.Secrets...)
	return &suite{h}
}

// driver returns a driver on an empty bus, closed with the test.
func (s *suite) driver(t testing.TB) event.Driver {
	t.Helper()
	d := s.Open(t)
	t.Cleanup(func() { d.Close() })
	return d
}

// start is the time that the suite's clocks begin at.
var start = time.Date(2026, 11, 21, 8, 30, 0, 123456789, time.UTC)

// topic returns a topic over a script over a driver on an empty bus. Waiting takes no time.
func (s *suite) topic(t testing.TB, on func(call int, batch []event.Message) Fault, o event.Options) (*event.Topic, *Script) {
	t.Helper()
	script := &Script{Driver: s.Open(t), On: on}
	if o.Clock == nil {
		o.Clock = clock.NewFake(start)
	}
	if o.RunID == "" {
		o.RunID = "run"
	}
	o.Redactor = s.Redactor
	tp := event.New("orders", "kind", script, o)
	t.Cleanup(func() { tp.Close() })
	return tp, script
}

// message returns a message that uses every field.
func message(i int) event.Message {
	return event.Message{ID: fmt.Sprintf("id-%06d", i), Type: "dataset.validated", Source: "dsrun/orders", Subject: fmt.Sprintf("train/%d.csv", i),
		Time: start.Add(time.Duration(i) * time.Second), DataContentType: "application/json",
		Data: fmt.Appendf(nil, `{"i":%d}`, i), Attributes: map[string]string{"runid": "r1", "n": fmt.Sprint(i)}}
}

func messages(from, n int) []event.Message {
	out := make([]event.Message, n)
	for i := range out {
		out[i] = message(from + i)
	}
	return out
}

// batchOf is the number of messages that fit one call, at most n.
func batchOf(l event.Limits, n int) int {
	if l.Batch > 0 {
		n = min(n, l.Batch)
	}
	if l.BatchBytes > 0 {
		n = min(n, int(l.BatchBytes/size(l, message(999999))))
	}
	return max(n, 1)
}

func size(l event.Limits, m event.Message) int64 {
	if l.Size != nil {
		return l.Size(m)
	}
	return event.Size(m)
}

// same says in which way got is not what was sent, or "".
func (s *suite) same(sent, got event.Message) string {
	precision := max(s.TimePrecision, 1)
	switch {
	case got.ID != sent.ID:
		return fmt.Sprintf("id %q instead of %q", got.ID, sent.ID)
	case got.Type != sent.Type:
		return fmt.Sprintf("type %q instead of %q", got.Type, sent.Type)
	case got.Source != sent.Source:
		return fmt.Sprintf("source %q instead of %q", got.Source, sent.Source)
	case got.Subject != sent.Subject:
		return fmt.Sprintf("subject %q instead of %q", got.Subject, sent.Subject)
	case got.DataContentType != sent.DataContentType:
		return fmt.Sprintf("content type %q instead of %q", got.DataContentType, sent.DataContentType)
	case got.Time.Sub(sent.Time).Abs() >= precision:
		return fmt.Sprintf("time %v instead of %v", got.Time, sent.Time)
	case !maps.Equal(got.Attributes, sent.Attributes):
		return fmt.Sprintf("attributes %v instead of %v", got.Attributes, sent.Attributes)
	case !sameJSON(sent.Data, got.Data):
		return fmt.Sprintf("data %.200q instead of %.200q", got.Data, sent.Data)
	}
	return ""
}

// sameJSON compares texts without the spaces between tokens; numbers must keep their digits.
func sameJSON(a, b []byte) bool {
	norm := func(b []byte) string {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return "not JSON: " + string(b)
		}
		out, _ := json.Marshal(v)
		return string(out)
	}
	return norm(a) == norm(b)
}

// ids returns the ids in order.
func ids(list []event.Message) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.ID
	}
	return out
}

// wantOnce reports each id of want that the bus does not hold exactly once, and ids that nobody sent.
func wantOnce(t testing.TB, got []event.Message, want []string) {
	t.Helper()
	count := map[string]int{}
	for _, m := range got {
		count[m.ID]++
	}
	for _, id := range want {
		if count[id] != 1 {
			t.Errorf("event %s is on the bus %d times", id, count[id])
		}
		delete(count, id)
	}
	if len(count) > 0 {
		t.Errorf("%d events on the bus that nobody sent: %v", len(count), count)
	}
}

// clean reports secrets in a text.
func (s *suite) clean(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, sec := range s.Secrets {
		if text := fmt.Sprintf("%v %+v %q", err, err, err); strings.Contains(text, sec) {
			t.Errorf("%s shows a secret: %s", what, strings.ReplaceAll(text, sec, "<<HERE>>"))
		}
	}
}
