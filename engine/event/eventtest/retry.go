package eventtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

var retryChecks = []check{
	// What the bus accepted is not sent again; what it refused for a time is.
	{"only the refused are sent again", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, func(n int, batch []event.Message) Fault {
			switch {
			case n == 0 && len(batch) == 10:
				return Fault{Refuse: map[int]error{2: Busy, 5: Throttled, 9: Busy}}
			case n == 1 && len(batch) == 3:
				return Fault{Refuse: map[int]error{0: Busy, 1: Busy, 2: Busy}}
			}
			return Fault{}
		}, event.Options{})
		if batchOf(d.Limits(), 10) < 10 {
			t.Skip("fewer than 10 messages a batch")
		}
		n, err := tp.PublishAll(t.Context(), stream(10), nil)
		if n != 10 || err != nil {
			t.Fatalf("%d accepted, %v", n, err)
		}
		calls := d.Calls()
		if len(calls) != 3 || !slices.Equal(ids(calls[1]), []string{"e2", "e5", "e9"}) || !slices.Equal(ids(calls[2]), []string{"e2", "e5", "e9"}) {
			t.Errorf("sent %d batches: %v", len(calls), calls)
		}
		wantOnce(t, s.Received(t, d.Driver), ids(streamed(10)))
	}},
	{"waits as long as the service asks", func(t testing.TB, s *suite) {
		c := clock.NewFake(start)
		tp, d := s.topic(t, func(n int, batch []event.Message) Fault {
			if n < 2 {
				return Fault{Err: &Refusal{fault.Class{Code: fault.ResourceExhausted, RetryAfter: 2 * time.Second}, "slow down"}}
			}
			return Fault{}
		}, event.Options{Clock: c})
		if _, err := tp.Publish(t.Context(), event.Event{ID: "a", Type: "x"}); err != nil {
			t.Fatal(err)
		}
		waited := c.Now().Sub(start)
		if n := len(d.Calls()); n != 3 || waited < 4*time.Second || waited > 6*time.Second {
			t.Errorf("%d tries and %v of waiting, for two answers that ask for 2 s", n, waited)
		}
		wantOnce(t, s.Received(t, d.Driver), []string{"a"})
	}},
	{"gives up", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, func(int, []event.Message) Fault { return Fault{Err: Busy} }, event.Options{})
		_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
		var f *fault.Error
		if !errors.As(err, &f) || f.Class.Code != fault.Unavailable || !errors.Is(err, Busy) {
			t.Errorf("%v", err)
		}
		if n := len(d.Calls()); n != 5 {
			t.Errorf("%d tries", n)
		}
		for range 200 {
			_, _ = tp.Publish(t.Context(), event.Event{Type: "x"})
		}
		if n := len(d.Calls()); n > 201+110 {
			t.Errorf("%d tries for 201 events while the service is down: a storm", n)
		}
	}},
	{"what cannot succeed is tried once", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, func(int, []event.Message) Fault { return Fault{Err: Denied} }, event.Options{})
		if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); !fault.Is(err, fault.PermissionDenied) || len(d.Calls()) != 1 {
			t.Errorf("%v after %d tries", err, len(d.Calls()))
		}
	}},
	// A connection that is lost after the request was sent: nothing is lost, and repeats carry the same id.
	{"lost answer", func(t testing.TB, s *suite) {
		var mu sync.Mutex
		first := map[string]bool{}
		tp, d := s.topic(t, func(_ int, batch []event.Message) Fault {
			mu.Lock()
			defer mu.Unlock()
			if id := batch[0].ID; !first[id] { // by message: of calls that overlap, one could lose every answer
				first[id] = true
				return Fault{Lost: Reset}
			}
			return Fault{}
		}, event.Options{})
		want := map[string]bool{}
		for range 5 {
			id, err := tp.Publish(t.Context(), event.Event{Type: "x", Site: "s"})
			if err != nil {
				t.Fatal(err)
			}
			want[id] = true
		}
		got := s.Received(t, d.Driver)
		for _, m := range got {
			if !want[m.ID] {
				t.Errorf("a repeat has an id of its own: %s", m.ID)
			}
		}
		if len(got) < 5 || len(want) != 5 {
			t.Errorf("%d events arrived, of %d", len(got), len(want))
		}
		n, err := tp.PublishAll(t.Context(), stream(20), nil)
		if n != 20 || err != nil {
			t.Fatal(n, err)
		}
		have := map[string]bool{}
		for _, m := range s.Received(t, d.Driver) {
			have[m.ID] = true
		}
		for _, m := range streamed(20) {
			if !have[m.ID] {
				t.Errorf("event %s is lost", m.ID)
			}
		}
	}},
	{"order under retries", func(t testing.TB, s *suite) {
		every, total := 12, 2000
		tp, d := s.topic(t, func(n int, batch []event.Message) Fault {
			if n%every == 0 { // the bus stops at the middle of the batch
				f := Fault{Refuse: map[int]error{}}
				for i := len(batch) / 2; i < len(batch); i++ {
					f.Refuse[i] = Busy
				}
				return f
			}
			return Fault{}
		}, event.Options{})
		if !d.Limits().Ordered {
			t.Skip("the bus keeps no order")
		}
		if batchOf(d.Limits(), 10) == 10 { // one that takes some of each batch is not down, however often it refuses
			every, total = 3, 8000
		}
		n, err := tp.PublishAll(t.Context(), stream(total), nil)
		if n != total || err != nil {
			t.Fatal(n, err)
		}
		if got := ids(s.Received(t, d.Driver)); !slices.Equal(got, ids(streamed(total))) {
			t.Error("the order is not that of publishing")
		}
	}},
	// Answers are lost: what is sent again may arrive twice, and nothing arrives before what was published before it.
	{"order under lost answers", func(t testing.TB, s *suite) {
		var mu sync.Mutex
		lost := map[string]bool{}
		tp, d := s.topic(t, func(n int, batch []event.Message) Fault {
			mu.Lock()
			defer mu.Unlock()
			if id := batch[0].ID; n%3 == 1 && !lost[id] {
				lost[id] = true
				return Fault{Lost: Reset}
			}
			return Fault{}
		}, event.Options{})
		if !d.Limits().Ordered {
			t.Skip("the bus keeps no order")
		}
		total := 5 * batchOf(d.Limits(), 50)
		if n, err := tp.PublishAll(t.Context(), stream(total), nil); n != total || err != nil {
			t.Fatal(n, err)
		}
		seen := map[string]bool{}
		var first []string
		for _, id := range ids(s.Received(t, d.Driver)) {
			if !seen[id] {
				seen[id] = true
				first = append(first, id)
			}
		}
		if !slices.Equal(first, ids(streamed(total))) {
			t.Errorf("first arrivals are %v", first)
		}
	}},
	{"order of publishers", func(t testing.TB, s *suite) {
		begun, release := make(chan struct{}), make(chan struct{})
		tp, d := s.topic(t, func(n int, _ []event.Message) Fault {
			if n == 0 {
				close(begun)
				return Fault{Until: release, Err: Busy}
			}
			return Fault{}
		}, event.Options{})
		if !d.Limits().Ordered {
			t.Skip("the bus keeps no order")
		}
		publish := func(id string, done chan<- error) {
			_, err := tp.Publish(t.Context(), event.Event{ID: id, Type: "x"})
			done <- err
		}
		first, second := make(chan error, 1), make(chan error, 1)
		go publish("a", first)
		<-begun
		go publish("b", second)
		time.Sleep(20 * time.Millisecond)
		close(release)
		if err := errors.Join(<-first, <-second); err != nil {
			t.Fatal(err)
		}
		if got := ids(s.Received(t, d.Driver)); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("an event that is sent again is overtaken: %v", got)
		}
	}},
	{"what is refused for good is sent once", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, func(n int, batch []event.Message) Fault {
			f := Fault{Refuse: map[int]error{}}
			for i, m := range batch {
				switch {
				case m.ID == "e0":
					f.Refuse[i] = Denied
				case m.ID == "e1" && n < 2:
					f.Refuse[i] = Busy
				}
			}
			if len(f.Refuse) == 0 {
				return Fault{}
			}
			return f
		}, event.Options{})
		if batchOf(d.Limits(), 4) < 4 {
			t.Skip("fewer than 4 messages a batch")
		}
		var refused []string
		n, err := tp.PublishAll(t.Context(), stream(4), func(m event.Message, _ error) error { refused = append(refused, m.ID); return nil })
		if n != 3 || err != nil || !slices.Equal(refused, []string{"e0"}) {
			t.Errorf("%d accepted, refused %v, %v", n, refused, err)
		}
		for i, c := range d.Calls()[1:] {
			if !slices.Equal(ids(c), []string{"e1"}) {
				t.Errorf("call %d sends %v", i+1, ids(c))
			}
		}
	}},
	// A driver whose report makes no sense: nothing is taken for accepted.
	{"senseless reports", func(t testing.TB, s *suite) {
		for name, f := range map[string]Fault{
			"index":     {Raw: &event.BatchError{Failed: []event.Failure{{Index: 7, Err: Busy}}}},
			"negative":  {Raw: &event.BatchError{Failed: []event.Failure{{Index: -1, Err: Busy}}}},
			"none":      {Raw: &event.BatchError{}},
			"no reason": {Raw: &event.BatchError{Failed: []event.Failure{{Index: 0}}}},
		} {
			tp, _ := s.topic(t, func(int, []event.Message) Fault { return f }, event.Options{})
			if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); !fault.Is(err, fault.Internal) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}},
	{"cancelled topic", func(t testing.TB, s *suite) {
		never := make(chan struct{})
		tp, d := s.topic(t, func(int, []event.Message) Fault { return Fault{Until: never} }, event.Options{})
		cause := fault.New(fault.Limit, "the run has used its time")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
		begun := time.Now()
		_, err := tp.Publish(ctx, event.Event{Type: "x"})
		if !fault.Is(err, fault.Limit) || !errors.Is(err, cause) || time.Since(begun) > time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		plain, stop := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, stop)
		if _, err := tp.PublishAll(plain, stream(100), func(event.Message, error) error { return nil }); !fault.Is(err, fault.Cancelled) {
			t.Errorf("a stream: %v", err)
		}
		if got := s.Received(t, d.Driver); len(got) != 0 {
			t.Errorf("%d events arrived", len(got))
		}
	}},
}
