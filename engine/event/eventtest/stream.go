package eventtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// stream yields n small events with the ids e0, e1, ...
func stream(n int) func(context.Context) (event.Event, error) {
	i := 0
	return func(context.Context) (event.Event, error) {
		if i == n {
			return event.Event{}, io.EOF
		}
		i++
		return event.Event{ID: fmt.Sprintf("e%d", i-1), Type: "x", Data: fmt.Appendf(nil, "%d", i)}, nil
	}
}

func streamed(n int) []event.Message {
	out := make([]event.Message, n)
	for i := range out {
		out[i].ID = fmt.Sprintf("e%d", i)
	}
	return out
}

var streamChecks = []check{
	{"stream", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		const n = 237
		got, err := tp.PublishAll(t.Context(), stream(n), nil)
		if got != n || err != nil {
			t.Fatalf("%d accepted of %d, %v", got, n, err)
		}
		wantOnce(t, s.Received(t, d.Driver), ids(streamed(n)))
		if d.Limits().Ordered && !slices.Equal(ids(s.Received(t, d.Driver)), ids(streamed(n))) {
			t.Error("the order is not that of publishing")
		}
		withinLimits(t, d)
		if got, err := tp.PublishAll(t.Context(), stream(0), nil); got != 0 || err != nil {
			t.Errorf("an empty stream: %d %v", got, err)
		}
	}},
	{"stream of large events", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		i := 0
		data := `"` + strings.Repeat("x", int(largeData(d.Limits()))) + `"`
		n, err := tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
			if i++; i > 20 {
				return event.Event{}, io.EOF
			}
			return event.Event{ID: fmt.Sprintf("e%d", i-1), Type: "x", Data: []byte(data)}, nil
		}, nil)
		if n != 20 || err != nil {
			t.Fatal(n, err)
		}
		withinLimits(t, d)
		wantOnce(t, s.Received(t, d.Driver), ids(streamed(20)))
	}},
	{"too large", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		l := d.Limits()
		most := l.MessageBytes
		if l.BatchBytes > 0 && (most == 0 || l.BatchBytes < most) {
			most = l.BatchBytes
		}
		if most == 0 || most > 32<<20 {
			t.Skip("the size of a message is not bounded, or by much")
		}
		big := func(n int) event.Event {
			return event.Event{ID: "big", Type: "x", Data: []byte(`"` + strings.Repeat("x", n) + `"`)}
		}
		n := int(most)
		m := event.Message{ID: "big", Type: "x", Source: "dsrun/orders", Time: start, DataContentType: "application/json"}
		for { // find the smallest that is too large
			m.Data = big(n - 1).Data
			over := int(size(l, m) - most)
			if over <= 0 {
				break
			}
			n -= (over + 1) / 2
		}
		if _, err := tp.Publish(t.Context(), big(n)); !fault.Is(err, fault.InvalidArgument) || len(d.Calls()) != 0 {
			t.Errorf("one byte too many: %v after %d calls", err, len(d.Calls()))
		}
		if _, err := tp.Publish(t.Context(), big(n-1)); err != nil {
			t.Errorf("the largest that fits: %v", err)
		}
		i := 0
		var refused []string
		count, err := tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
			switch i++; {
			case i == 4:
				return big(n), nil
			case i > 6:
				return event.Event{}, io.EOF
			}
			return event.Event{ID: fmt.Sprintf("s%d", i), Type: "x"}, nil
		}, func(m event.Message, err error) error {
			refused = append(refused, m.ID+" "+err.Error())
			return nil
		})
		if count != 5 || err != nil || len(refused) != 1 || !strings.HasPrefix(refused[0], "big ") || !strings.Contains(refused[0], "event 3:") {
			t.Errorf("%d accepted, refused %q, %v", count, refused, err)
		}
		for _, c := range d.Calls()[1:] {
			if slices.Contains(ids(c), "big") {
				t.Error("the event that is too large was sent")
			}
		}
	}},
	{"refused for good", func(t testing.TB, s *suite) {
		on := func(_ int, batch []event.Message) Fault {
			f := Fault{}
			for i, m := range batch {
				if m.ID == "e3" || m.ID == "e7" {
					if f.Refuse == nil {
						f.Refuse = map[int]error{}
					}
					f.Refuse[i] = Denied
				}
			}
			return f
		}
		tp, d := s.topic(t, on, event.Options{})
		var refused []string
		n, err := tp.PublishAll(t.Context(), stream(30), func(m event.Message, err error) error {
			if !fault.Is(err, fault.PermissionDenied) {
				t.Error(err)
			}
			refused = append(refused, m.ID)
			return nil
		})
		slices.Sort(refused)
		if n != 28 || err != nil || !slices.Equal(refused, []string{"e3", "e7"}) {
			t.Errorf("%d accepted, refused %v, %v", n, refused, err)
		}
		want := slices.DeleteFunc(ids(streamed(30)), func(id string) bool { return id == "e3" || id == "e7" })
		wantOnce(t, s.Received(t, d.Driver), want)

		tp, d = s.topic(t, on, event.Options{})
		n, err = tp.PublishAll(t.Context(), stream(100000), nil)
		if !fault.Is(err, fault.PermissionDenied) || n != len(s.Received(t, d.Driver)) || n >= 100000 {
			t.Errorf("without onError: %d accepted, %d on the bus, %v", n, len(s.Received(t, d.Driver)), err)
		}
		tp, d = s.topic(t, on, event.Options{})
		stop := errors.New("stop here")
		n, err = tp.PublishAll(t.Context(), stream(100000), func(event.Message, error) error { return stop })
		if err != stop || n != len(s.Received(t, d.Driver)) || n >= 100000 {
			t.Errorf("onError says stop: %d accepted, %d on the bus, %v", n, len(s.Received(t, d.Driver)), err)
		}
		if calls := d.Calls(); d.Limits().Ordered && !slices.Contains(ids(calls[len(calls)-1]), "e3") {
			t.Errorf("%v was sent after the event that ends the publishing", ids(calls[len(calls)-1]))
		}
	}},
	// A service that refuses a whole batch because of one event: the others get through.
	{"one spoils the batch", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, func(_ int, batch []event.Message) Fault {
			if slices.Contains(ids(batch), "e5") {
				return Fault{Err: Malformed}
			}
			return Fault{}
		}, event.Options{})
		var refused []string
		n, err := tp.PublishAll(t.Context(), stream(16), func(m event.Message, _ error) error { refused = append(refused, m.ID); return nil })
		if n != 15 || err != nil || !slices.Equal(refused, []string{"e5"}) {
			t.Errorf("%d accepted, refused %v, %v", n, refused, err)
		}
		wantOnce(t, s.Received(t, d.Driver), slices.DeleteFunc(ids(streamed(16)), func(id string) bool { return id == "e5" }))
	}},
	{"stream that fails", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		cut := errors.New("page 2 is missing")
		next := stream(7)
		n, err := tp.PublishAll(t.Context(), func(ctx context.Context) (event.Event, error) {
			e, err := next(ctx)
			if err == io.EOF {
				err = cut
			}
			return e, err
		}, nil)
		if n != 7 || err != cut {
			t.Errorf("%d accepted, %v", n, err)
		}
		wantOnce(t, s.Received(t, d.Driver), ids(streamed(7)))
	}},
	{"bounded ahead", func(t testing.TB, s *suite) {
		release := make(chan struct{})
		tp, d := s.topic(t, func(int, []event.Message) Fault { return Fault{Until: release} }, event.Options{})
		l := d.Limits()
		per := batchOf(event.Limits{Batch: l.Batch}, 1000)
		total, bound := 50*per, 8*max(per, l.Batch)
		var taken atomic.Int64
		next := stream(total)
		time.AfterFunc(300*time.Millisecond, func() {
			if n := taken.Load(); n > int64(bound) {
				t.Errorf("%d events were taken while the bus took none, more than %d", n, bound)
			}
			close(release)
		})
		n, err := tp.PublishAll(t.Context(), func(ctx context.Context) (event.Event, error) {
			taken.Add(1)
			return next(ctx)
		}, nil)
		if n != total || err != nil {
			t.Error(n, err)
		}
		wantOnce(t, s.Received(t, d.Driver), ids(streamed(total)))
	}},
	{"slow stream", func(t testing.TB, s *suite) {
		tp, d := s.topic(t, nil, event.Options{})
		i := 0
		n, err := tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
			switch i++; i {
			case 1:
				return event.Event{ID: "e0", Type: "x"}, nil
			case 2:
				for wait := time.Now(); len(s.Received(t, d.Driver)) == 0; time.Sleep(10 * time.Millisecond) {
					if time.Since(wait) > 5*time.Second {
						t.Error("an event waits for a batch that does not fill")
						break
					}
				}
			}
			return event.Event{}, io.EOF
		}, nil)
		if n != 1 || err != nil {
			t.Error(n, err)
		}
	}},
	{"panic of the stream", func(t testing.TB, s *suite) {
		before := goleak.IgnoreCurrent()
		refuse := false
		tp, _ := s.topic(t, func(int, []event.Message) Fault {
			if refuse {
				return Fault{Err: Denied}
			}
			return Fault{}
		}, event.Options{})
		for _, name := range []string{"next", "onError"} {
			refuse = name == "onError"
			i := 0
			func() {
				defer func() {
					if v := recover(); v != "mine" {
						t.Errorf("%s: recovered %v", name, v)
					}
				}()
				_, _ = tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
					if i++; i > 5000 && name == "next" {
						panic("mine")
					}
					return event.Event{ID: fmt.Sprint(i), Type: "x"}, nil
				}, func(event.Message, error) error { panic("mine") })
				t.Errorf("%s: the panic did not pass", name)
			}()
		}
		if err := tp.Close(); err != nil {
			t.Error(err)
		}
		if s.Idle != nil {
			s.Idle()
		}
		if err := goleak.Find(before); err != nil {
			t.Errorf("goroutines stay: %v", err)
		}
	}},
}

// largeData is how many bytes of data make an event of which few fit a batch.
func largeData(l event.Limits) int64 {
	n := int64(200 << 10)
	if l.MessageBytes > 0 {
		n = min(n, l.MessageBytes/2)
	}
	if l.BatchBytes > 0 {
		n = min(n, l.BatchBytes*2/5)
	}
	return n
}

// withinLimits reports batches that were larger than the driver allows.
func withinLimits(t testing.TB, d *Script) {
	t.Helper()
	l := d.Limits()
	for i, batch := range d.Calls() {
		var bytes int64
		for _, m := range batch {
			n := size(l, m)
			if bytes += n; l.MessageBytes > 0 && n > l.MessageBytes {
				t.Errorf("batch %d has a message of %d bytes, more than %d", i, n, l.MessageBytes)
			}
		}
		if l.Batch > 0 && len(batch) > l.Batch || l.BatchBytes > 0 && bytes > l.BatchBytes || len(batch) == 0 {
			t.Errorf("batch %d has %d messages and %d bytes; allowed are %d and %d", i, len(batch), bytes, l.Batch, l.BatchBytes)
		}
	}
}
