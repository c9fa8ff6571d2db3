package eventtest

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/state"
)

// corner returns a corner of a state folder that lives as long as the test.
func corner(t testing.TB) *state.State {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	st, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st.Sub("outbox")
}

// letters collects dead letters.
func letters(into *[]event.Letter) func(context.Context, event.Letter) error {
	return func(_ context.Context, l event.Letter) error { *into = append(*into, l); return nil }
}

// malformed is a refusal that no further try changes.
var malformed = &Refusal{fault.Class{Code: fault.InvalidArgument}, "malformed"}

var outboxChecks = []check{
	{"an outage keeps events", func(t testing.TB, s *suite) {
		st := corner(t)
		tp, d := s.topic(t, func(int, []event.Message) Fault { return Fault{Err: Busy} }, event.Options{Outbox: st.Spool()})
		if id, err := tp.Publish(t.Context(), event.Event{ID: "a", Type: "x"}); id != "a" || err != nil {
			t.Fatalf("%q %v", id, err)
		}
		if n, err := tp.PublishAll(t.Context(), stream(7), nil); n != 7 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if n, err := tp.Waiting(t.Context()); n != 8 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
		if got := s.Received(t, d.Driver); len(got) != 0 {
			t.Errorf("the bus holds %v", ids(got))
		}
		if err := tp.Close(); err != nil {
			t.Fatal(err)
		}
		// The next process sends them before its own.
		next, d := s.topic(t, nil, event.Options{Outbox: st.Spool()})
		if _, err := next.Publish(t.Context(), event.Event{ID: "b", Type: "x"}); err != nil {
			t.Fatal(err)
		}
		got := s.Received(t, d.Driver)
		wantOnce(t, got, append([]string{"a", "b"}, ids(streamed(7))...))
		if d.Limits().Ordered && (len(got) < 9 || got[0].ID != "a" || got[8].ID != "b") {
			t.Errorf("order %v", ids(got))
		}
		if n, err := next.Waiting(t.Context()); n != 0 || err != nil {
			t.Errorf("%d wait afterwards, %v", n, err)
		}
	}},
	// A bus that comes back while the process lives: what waits goes before what is new.
	{"order after an outage", func(t testing.TB, s *suite) {
		c := clock.NewFake(start)
		down := true
		tp, d := s.topic(t, func(int, []event.Message) Fault {
			if down {
				return Fault{Err: Busy}
			}
			return Fault{}
		}, event.Options{Outbox: corner(t).Spool(), Clock: c})
		if !d.Limits().Ordered {
			t.Skip("the bus keeps no order")
		}
		publish := func(id string) {
			t.Helper()
			if _, err := tp.Publish(t.Context(), event.Event{ID: id, Type: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		publish("a")
		publish("b")
		down = false
		c.Advance(time.Hour)
		publish("c")
		publish("d")
		if got := ids(s.Received(t, d.Driver)); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
			t.Errorf("order %v", got)
		}
		if n, err := tp.Waiting(t.Context()); n != 0 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
	}},
	// The bus took it, the answer was lost and the process died: the next one sends it again under the same id.
	{"a repeat has the same id", func(t testing.TB, s *suite) {
		st := corner(t)
		tp, d := s.topic(t, func(int, []event.Message) Fault { return Fault{Lost: Busy} }, event.Options{Outbox: st.Spool()})
		id, err := tp.Publish(t.Context(), event.Event{Type: "x", Site: "a.star:1:1"})
		if err != nil {
			t.Fatal(err)
		}
		first := s.Received(t, d.Driver)
		if err := tp.Close(); err != nil {
			t.Fatal(err)
		}
		next, d2 := s.topic(t, nil, event.Options{Outbox: st.Spool(), RunID: "another"})
		f, err := next.Flush(t.Context())
		if err != nil || f != (event.Flushed{Sent: 1}) {
			t.Errorf("%+v, %v", f, err)
		}
		all := append(first, s.Received(t, d2.Driver)...)
		if len(all) < 2 || slices.ContainsFunc(all, func(m event.Message) bool { return m.ID != id }) {
			t.Errorf("published %s, the bus got %v", id, ids(all))
		}
	}},
	{"what is refused for good leaves the outbox", func(t testing.TB, s *suite) {
		st := corner(t)
		tp, d := s.topic(t, func(_ int, b []event.Message) Fault {
			return Fault{Refuse: refuseID(b, "e1", malformed)}
		}, event.Options{Outbox: st.Spool()})
		var bad []string
		n, err := tp.PublishAll(t.Context(), stream(3), func(m event.Message, err error) error {
			bad = append(bad, m.ID)
			return nil
		})
		if n != 2 || err != nil || !slices.Equal(bad, []string{"e1"}) {
			t.Errorf("%d, %v, refused %v", n, err, bad)
		}
		if n, err := tp.Waiting(t.Context()); n != 0 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
		wantOnce(t, s.Received(t, d.Driver), []string{"e0", "e2"})
	}},
	{"a denial is an error and keeps the event", func(t testing.TB, s *suite) {
		st := corner(t)
		tp, _ := s.topic(t, func(int, []event.Message) Fault { return Fault{Err: Denied} }, event.Options{Outbox: st.Spool()})
		if _, err := tp.Publish(t.Context(), event.Event{ID: "a", Type: "x"}); !errors.Is(err, Denied) {
			t.Fatal(err)
		}
		tp.Close()
		next, d := s.topic(t, nil, event.Options{Outbox: st.Spool()})
		if f, err := next.Flush(t.Context()); err != nil || f.Sent != 1 {
			t.Errorf("%+v, %v", f, err)
		}
		wantOnce(t, s.Received(t, d.Driver), []string{"a"})
	}},
	{"a bus that is missing keeps nothing", func(t testing.TB, s *suite) {
		st := corner(t)
		script := &Script{Driver: s.Open(t), OnCheck: func(int) error { return &Refusal{fault.Class{Code: fault.NotFound}, "no such bus"} }}
		tp := event.New("orders", "kind", script, event.Options{Outbox: st.Spool(), Redactor: s.Redactor})
		t.Cleanup(func() { tp.Close() })
		if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		if n, err := tp.Waiting(t.Context()); n != 0 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
	}},
	{"dead letters", func(t testing.TB, s *suite) {
		for _, durable := range []bool{false, true} {
			var dead []event.Letter
			o := event.Options{DeadLetter: letters(&dead)}
			if durable {
				o.Outbox = corner(t).Spool()
			}
			tp, d := s.topic(t, func(_ int, b []event.Message) Fault {
				f := Fault{Refuse: refuseID(b, "e1", malformed)}
				if len(f.Refuse) == 0 {
					f.Refuse = refuseID(b, "single", malformed)
				}
				return f
			}, o)
			if n, err := tp.PublishAll(t.Context(), stream(3), nil); n != 2 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if id, err := tp.Publish(t.Context(), event.Event{ID: "single", Type: "x", Data: []byte(`{"a": 1}`)}); id != "single" || err != nil {
				t.Errorf("%s, %v", id, err)
			}
			wantOnce(t, s.Received(t, d.Driver), []string{"e0", "e2"})
			if len(dead) != 2 || dead[0].Message.ID != "e1" || dead[1].Message.ID != "single" || dead[0].Code != fault.InvalidArgument || dead[0].Topic != "orders" {
				t.Fatalf("%+v", dead)
			}
			text, err := dead[1].Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := event.DecodeLetter(text)
			if err != nil || s.same(dead[1].Message, again.Message) != "" || again.Reason != dead[1].Reason {
				t.Errorf("%v: %s became %+v", err, text, again)
			}
			if n := tp.DeadLetters(); n != 2 {
				t.Errorf("%d dead letters counted", n)
			}
		}
	}},
	{"a refusal without a dead letter stays an error", func(t testing.TB, s *suite) {
		full := errors.New("disk full")
		tp, _ := s.topic(t, func(_ int, b []event.Message) Fault { return Fault{Err: malformed} },
			event.Options{DeadLetter: func(context.Context, event.Letter) error { return full }})
		if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); !errors.Is(err, full) || !errors.Is(err, malformed) {
			t.Error(err)
		}
	}},
	{"replay", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		if err := tp.Replay(t.Context(), message(3)); err != nil {
			t.Fatal(err)
		}
		got := s.Received(t, d.Driver)
		if len(got) != 1 || s.same(message(3), got[0]) != "" {
			t.Errorf("%+v", got)
		}
	}},
	{"data against the schema", func(t testing.TB, s *suite) {
		check, err := event.Schema([]byte(`{"required": ["rows"]}`))
		if err != nil {
			t.Fatal(err)
		}
		tp, d := s.topic(t, nil, event.Options{Check: check})
		if _, err := tp.Publish(t.Context(), event.Event{Type: "x", Data: []byte(`{"row": 1}`)}); !fault.Is(err, fault.InvalidArgument) {
			t.Error(err)
		}
		if _, err := tp.Publish(t.Context(), event.Event{ID: "ok", Type: "x", Data: []byte(`{"rows": 1}`)}); err != nil {
			t.Error(err)
		}
		wantOnce(t, s.Received(t, d.Driver), []string{"ok"})
	}},
}

// refuseID refuses the message with the id in a batch.
func refuseID(batch []event.Message, id string, err error) map[int]error {
	out := map[int]error{}
	for i, m := range batch {
		if m.ID == id {
			out[i] = err
		}
	}
	return out
}
