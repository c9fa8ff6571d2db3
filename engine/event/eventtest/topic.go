package eventtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// bounded is a driver with a bound of its own, once it is known.
type bounded struct {
	*Script
	most *atomic.Int64
}

func (b *bounded) Limits() event.Limits {
	l := b.Script.Limits()
	if n := b.most.Load(); n > 0 {
		l.MessageBytes = n
	}
	return l
}

var topicChecks = []check{
	{"topic publishes", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		id, err := tp.Publish(t.Context(), event.Event{Type: "a.b", Subject: "s", Data: []byte(`{"x":1}`), Site: "f.star:1:1", Attributes: map[string]string{"k": "v"}})
		if err != nil {
			t.Fatal(err)
		}
		given, err := tp.Publish(t.Context(), event.Event{ID: "mine", Type: "a.b", Time: start.Add(-time.Hour)})
		if err != nil || given != "mine" {
			t.Fatalf("a given id came back as %q, %v", given, err)
		}
		want := []event.Message{
			{ID: id, Type: "a.b", Source: "dsrun/orders", Subject: "s", Time: start, DataContentType: "application/json", Data: []byte(`{"x":1}`), Attributes: map[string]string{"k": "v"}},
			{ID: "mine", Type: "a.b", Source: "dsrun/orders", Time: start.Add(-time.Hour), DataContentType: "application/json", Data: []byte(`{}`)},
		}
		s.wantAll(t, d.Driver, want)
	}},
	// The same run gives the same ids under any scheduling, so that receivers can drop what a repeated run sends again.
	{"same run, same ids", func(t testing.TB, s *suite) {
		var all [2][]string
		for turn := range all {
			tp, d := s.topic(t, nil, event.Options{RunID: "run-7"})
			var wg sync.WaitGroup
			order := rand.Perm(12)
			for _, item := range order {
				wg.Go(func() {
					for range 3 {
						if _, err := tp.Publish(t.Context(), event.Event{Type: "x", Site: "f.star:3:5", Indices: []int{item}}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			all[turn] = ids(s.Received(t, d.Driver))
			slices.Sort(all[turn])
		}
		if !slices.Equal(all[0], all[1]) {
			t.Errorf("two runs with one run id gave other ids: %v and %v", all[0], all[1])
		}
		if n := len(slices.Compact(slices.Clone(all[0]))); n != 36 {
			t.Errorf("36 events have %d ids", n)
		}
	}},
	{"wrong events", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		for name, e := range map[string]event.Event{
			"no type": {}, "blank type": {Type: " "}, "data": {Type: "x", Data: []byte(`{"a":`)}, "two values": {Type: "x", Data: []byte(`{} {}`)},
			"not UTF-8": {Type: "x", Data: []byte("\"\xff\"")}, "control character": {Type: "x", Subject: "a\nb"}, "C1": {Type: "a\u0085b"},
			"attribute name": {Type: "x", Attributes: map[string]string{"my_key": "v"}}, "capital": {Type: "x", Attributes: map[string]string{"Key": "v"}},
			"reserved": {Type: "x", Attributes: map[string]string{"source": "v"}}, "long name": {Type: "x", Attributes: map[string]string{"abcdefghij01234567890": "v"}},
			"no name": {Type: "x", Attributes: map[string]string{"": "v"}}, "attribute value": {Type: "x", Attributes: map[string]string{"k": "\x1b[31m"}},
		} {
			_, err := tp.Publish(t.Context(), e)
			var f *fault.Error
			if !errors.As(err, &f) || f.Class.Code != fault.InvalidArgument || f.Op != "publish" || f.Resource != "orders" {
				t.Errorf("%s: %v", name, err)
			}
			if err != nil && strings.Count(err.Error(), string(fault.InvalidArgument)) != 1 {
				t.Errorf("%s: wrapped more than once: %v", name, err)
			}
		}
		if n := len(d.Calls()); n != 0 {
			t.Errorf("%d wrong events were sent", n)
		}
	}},
	{"check before the first event", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		gone := &Refusal{fault.Class{Code: fault.NotFound, Hint: "Make the bus."}, "no such bus"}
		missing := true
		d.OnCheck = func(int) error {
			if missing {
				return gone
			}
			time.Sleep(5 * time.Millisecond)
			return nil
		}
		_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
		if c := fault.ClassOf(err); c.Code != fault.NotFound || c.Hint != "Make the bus." || len(d.Calls()) != 0 {
			t.Fatalf("an unknown bus: %v after %d sent batches", err, len(d.Calls()))
		}
		n, err := tp.PublishAll(t.Context(), stream(3), nil)
		if n != 0 || !fault.Is(err, fault.NotFound) || len(d.Calls()) != 0 {
			t.Fatalf("a stream to an unknown bus: %d, %v after %d sent batches", n, err, len(d.Calls()))
		}
		missing = false
		before := d.Checks()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := d.Checks() - before; n != 1 {
			t.Errorf("8 events checked the bus %d times", n)
		}
	}},
	// A bus that tells bounds of its own when it is asked: the first event is held against them as well.
	{"bounds told by the check", func(t testing.TB, s *suite) {
		for _, many := range []bool{false, true} {
			script := &Script{Driver: s.Open(t)}
			var most atomic.Int64
			script.OnCheck = func(int) error { most.Store(1500); return nil }
			tp := event.New("orders", "kind", &bounded{script, &most}, event.Options{Redactor: s.Redactor})
			t.Cleanup(func() { tp.Close() })
			big := event.Event{ID: "big", Type: "x", Data: []byte(`"` + strings.Repeat("x", 3000) + `"`)}
			var err error
			if many {
				left := []event.Event{big, {ID: "small", Type: "x"}, big}
				_, err = tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
					if len(left) == 0 {
						return event.Event{}, io.EOF
					}
					e := left[0]
					left = left[1:]
					return e, nil
				}, func(_ event.Message, refused error) error {
					if !fault.Is(refused, fault.InvalidArgument) {
						t.Error(refused)
					}
					return nil
				})
			} else if _, err = tp.Publish(t.Context(), big); fault.Is(err, fault.InvalidArgument) {
				_, err = tp.Publish(t.Context(), event.Event{ID: "small", Type: "x"})
			}
			if err != nil {
				t.Error(err)
			}
			wantOnce(t, s.Received(t, script.Driver), []string{"small"})
			for _, c := range script.Calls() {
				if slices.Contains(ids(c), "big") {
					t.Error("the event that is too large was sent")
				}
			}
		}
	}},
	{"dry run", func(t testing.TB, s *suite) {
		var rec event.Recorder
		tp, d := s.topic(t, nil, event.Options{DryRun: rec.Record})
		id, err := tp.Publish(t.Context(), event.Event{Type: "x"})
		n, err2 := tp.PublishAll(t.Context(), stream(5), nil)
		if err != nil || err2 != nil || n != 5 {
			t.Fatal(err, err2, n)
		}
		if _, err := tp.Publish(t.Context(), event.Event{}); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("a dry run takes a wrong event: %v", err)
		}
		if got := rec.Messages(); len(got) != 6 || got[0].ID != id || len(d.Calls()) != 0 || d.Checks() != 0 || len(s.Received(t, d.Driver)) != 0 {
			t.Errorf("recorded %d events; %d calls and %d checks reached the bus", len(got), len(d.Calls()), d.Checks())
		}
	}},
	{"closed topic", func(t testing.TB, s *suite) {
		release := make(chan struct{})
		begun := make(chan struct{})
		tp, d := s.topic(t, func(int, []event.Message) Fault { close(begun); return Fault{Until: release} }, event.Options{})
		done := make(chan error, 1)
		go func() { _, err := tp.Publish(t.Context(), event.Event{ID: "last", Type: "x"}); done <- err }()
		<-begun
		closed := make(chan error, 1)
		go func() { closed <- tp.Close() }()
		select {
		case <-closed:
			t.Error("Close returned while an event was under way")
		case <-time.After(20 * time.Millisecond):
		}
		close(release)
		if err := errors.Join(<-done, <-closed, tp.Close()); err != nil {
			t.Error(err)
		}
		wantOnce(t, s.Received(t, d.Driver), []string{"last"})
		if d.Closes() != 1 {
			t.Errorf("the driver was closed %d times", d.Closes())
		}
		_, one := tp.Publish(t.Context(), event.Event{Type: "x"})
		_, many := tp.PublishAll(t.Context(), stream(1), nil)
		for _, err := range []error{one, many, tp.Check(t.Context())} {
			if !fault.Is(err, fault.FailedPrecondition) {
				t.Errorf("after Close: %v", err)
			}
		}
	}},
	{"panic", func(t testing.TB, s *suite) {
		const canary = "canary-in-a-panic"
		s.Redactor.Add(canary)
		tp, d := s.topic(t, func(n int, _ []event.Message) Fault {
			if n == 0 {
				return Fault{Panic: "index out of range " + canary}
			}
			return Fault{}
		}, event.Options{})
		_, err := tp.Publish(t.Context(), event.Event{ID: "a", Type: "x"})
		if !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "goroutine") {
			t.Errorf("a driver that panics: %v", err)
		}
		if _, err := tp.Publish(t.Context(), event.Event{ID: "b", Type: "x"}); err != nil {
			t.Errorf("after a panic: %v", err)
		}
		wantOnce(t, s.Received(t, d.Driver), []string{"b"})
	}},
	{"secrets", func(t testing.TB, s *suite) {
		const canary = "s3cr3t+canary/value=="
		s.Redactor.Add(canary)
		s.Secrets = append(slices.Clone(s.Secrets), canary, "s3cr3t%2Bcanary%2Fvalue%3D%3D")
		leak := func(c fault.Code) *Refusal {
			return &Refusal{fault.Class{Code: c, Hint: "Look at " + canary}, "POST https://bus/?sig=s3cr3t%2Bcanary%2Fvalue%3D%3D: " + canary}
		}
		for _, f := range []Fault{{Err: leak(fault.Unauthenticated)}, {Refuse: map[int]error{0: leak(fault.PermissionDenied)}}, {Lost: leak(fault.Unavailable)},
			{Panic: canary}, {Raw: fmt.Errorf("dial: %s: %w", canary, context.Canceled)}} {
			tp, _ := s.topic(t, func(int, []event.Message) Fault { return f }, event.Options{})
			_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
			if err == nil {
				t.Fatal("no error")
			}
			s.clean(t, "an error", err)
			if strings.Contains(fault.ClassOf(err).Hint, canary) {
				t.Error("a hint shows a secret")
			}
			_, err = tp.PublishAll(t.Context(), stream(2), nil)
			s.clean(t, "an error of a stream", err)
		}
	}},
}
