package eventtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

var driverChecks = []check{
	{"limits", func(t testing.TB, s *suite) {
		l := s.driver(t).Limits()
		if l.Batch < 0 || l.BatchBytes < 0 || l.MessageBytes < 0 {
			t.Errorf("negative limits: %+v", l)
		}
		if l.BatchBytes > 0 && l.MessageBytes > l.BatchBytes {
			t.Errorf("a message may have %d bytes and a whole batch only %d", l.MessageBytes, l.BatchBytes)
		}
		small, large := message(1), message(1)
		large.Data = []byte(`{"text":"` + string(make10k()) + `"}`)
		if a, b := size(l, small), size(l, large); a <= 0 || b < a+10000 || a != size(l, small) {
			t.Errorf("sizes %d and, with 10,000 bytes more of data, %d", a, b)
		}
		if l.Valid != nil && l.Valid(small) != nil {
			t.Errorf("an ordinary event is not valid: %v", l.Valid(small))
		}
	}},
	{"check", func(t testing.TB, s *suite) {
		d := s.driver(t)
		for range 2 {
			if err := d.Check(t.Context()); err != nil {
				t.Fatalf("a bus that exists: %v", err)
			}
		}
		if got := s.Received(t, d); len(got) != 0 {
			t.Errorf("checking published %d events", len(got))
		}
	}},
	{"missing bus", func(t testing.TB, s *suite) {
		if s.Missing == nil {
			if s.WhyNoMissing == "" {
				t.Fatal("Harness.Missing is nil without a reason in WhyNoMissing")
			}
			t.Skip(s.WhyNoMissing)
		}
		d := s.Missing(t)
		t.Cleanup(func() { d.Close() })
		err := d.Check(t.Context())
		if err == nil {
			t.Fatal("checking a bus that does not exist succeeds: events would be lost")
		}
		if c := d.Classify(err).Code; c != fault.NotFound {
			t.Errorf("a bus that does not exist is classified as %q: %v", c, err)
		}
		tp := event.New("orders", "kind", s.Missing(t), event.Options{Redactor: s.Redactor})
		defer tp.Close()
		_, err = tp.Publish(t.Context(), event.Event{Type: "x"})
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("publishing to it: %v", err)
		}
		s.clean(t, "the error", err)
	}},
	{"batch", func(t testing.TB, s *suite) {
		d := s.driver(t)
		l := d.Limits()
		sent := messages(0, batchOf(l, 100))
		if err := d.Publish(t.Context(), slices.Clone(sent)); err != nil {
			t.Fatalf("a full batch of %d: %v", len(sent), err)
		}
		s.wantAll(t, d, sent)
	}},
	{"order", func(t testing.TB, s *suite) {
		d := s.driver(t)
		if !d.Limits().Ordered {
			t.Skip("the bus keeps no order")
		}
		n := batchOf(d.Limits(), 10)
		var sent []event.Message
		for b := range 5 {
			batch := messages(b*n, n)
			slices.Reverse(batch) // not the order of ids or times
			if err := d.Publish(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, batch...)
		}
		if got := ids(s.Received(t, d)); !slices.Equal(got, ids(sent)) {
			t.Errorf("order is not kept: %v", got)
		}
	}},
	{"empty batch", func(t testing.TB, s *suite) {
		d := s.driver(t)
		if err := d.Publish(t.Context(), nil); err != nil {
			t.Errorf("publishing nothing: %v", err)
		}
		if got := s.Received(t, d); len(got) != 0 {
			t.Errorf("publishing nothing made %d events", len(got))
		}
	}},
	{"batch stays the caller's", func(t testing.TB, s *suite) {
		d := s.driver(t)
		sent := messages(0, batchOf(d.Limits(), 3))
		given := messages(0, len(sent))
		if err := d.Publish(t.Context(), given); err != nil {
			t.Fatal(err)
		}
		for i := range given {
			if why := s.same(sent[i], given[i]); why != "" {
				t.Errorf("Publish changed the message that it was given: %s", why)
			}
		}
		for i := range given { // as a caller does who uses the slice again
			given[i] = message(900 + i)
		}
		s.wantAll(t, d, sent)
	}},
	{"cancelled", func(t testing.TB, s *suite) {
		d := s.driver(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begun := time.Now()
		err := d.Publish(ctx, messages(0, 1))
		if err == nil {
			t.Fatal("publishing with a cancelled context succeeds")
		}
		if c := d.Classify(err).Code; c != fault.Cancelled {
			t.Errorf("classified as %q: %v", c, err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("returned after %v", took)
		}
		if got := s.Received(t, d); len(got) != 0 {
			t.Error("the event was sent all the same")
		}
		if err := d.Check(ctx); err == nil {
			t.Error("checking with a cancelled context succeeds")
		}
		if err := d.Publish(t.Context(), messages(1, 1)); err != nil {
			t.Errorf("after a cancelled call the driver does not work: %v", err)
		}
	}},
	{"classify", func(t testing.TB, s *suite) {
		d := s.driver(t)
		known := map[fault.Code]bool{}
		for _, c := range fault.Codes() {
			known[c] = true
		}
		for _, c := range []struct {
			err  error
			want fault.Code
		}{
			{errors.New("anything"), ""}, {io.ErrUnexpectedEOF, ""}, {&event.BatchError{}, ""}, {fmt.Errorf("x: %w", errors.New("y")), ""},
			{context.Canceled, fault.Cancelled}, {fmt.Errorf("x: %w", context.Canceled), fault.Cancelled}, {context.DeadlineExceeded, fault.DeadlineExceeded},
		} {
			got := d.Classify(c.err).Code
			if !known[got] || c.want != "" && got != c.want {
				t.Errorf("%v is classified as %q, want %q", c.err, got, c.want)
			}
		}
	}},
	{"concurrent publishers", func(t testing.TB, s *suite) {
		d := s.driver(t)
		const workers, each = 8, 10
		n := batchOf(d.Limits(), 5)
		var wg sync.WaitGroup
		var want []string
		for w := range workers {
			for b := range each {
				want = append(want, ids(messages((w*each+b)*n, n))...)
			}
			wg.Go(func() {
				for b := range each {
					if err := d.Publish(t.Context(), messages((w*each+b)*n, n)); err != nil {
						t.Errorf("worker %d: %v", w, err)
					}
				}
			})
		}
		wg.Wait()
		got := s.Received(t, d)
		wantOnce(t, got, want)
		if !d.Limits().Ordered {
			return
		}
		at := map[string]int{}
		for i, m := range got {
			at[m.ID] = i
		}
		for i := 1; i < len(want); i++ {
			if i%(each*n) != 0 && at[want[i]] < at[want[i-1]] {
				t.Errorf("event %s overtook %s of the same publisher", want[i], want[i-1])
			}
		}
	}},
	{"nothing stays", func(t testing.TB, s *suite) {
		before := goleak.IgnoreCurrent()
		d := s.Open(t)
		for i := range 3 {
			if err := errors.Join(d.Check(t.Context()), d.Publish(t.Context(), messages(i, 1))); err != nil {
				t.Error(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		if s.Idle != nil {
			s.Idle()
		}
		if err := goleak.Find(before); err != nil {
			t.Errorf("goroutines stay after Close: %v", err)
		}
	}},
}

func make10k() []byte {
	b := make([]byte, 10000)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

// wantAll reports what of the sent messages the bus does not hold, once and unchanged.
func (s *suite) wantAll(t testing.TB, d event.Driver, sent []event.Message) {
	t.Helper()
	got := s.Received(t, d)
	wantOnce(t, got, ids(sent))
	byID := map[string]event.Message{}
	for _, m := range got {
		byID[m.ID] = m
	}
	for _, m := range sent {
		if g, ok := byID[m.ID]; ok {
			if why := s.same(m, g); why != "" {
				t.Errorf("event %s arrived with %s", m.ID, why)
			}
		}
	}
}
