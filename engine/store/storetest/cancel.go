package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

var cancelChecks = []check{
	{"Cancel/BeforeTheCall", false, cancelBefore},
	{"Cancel/AtRandomPoints", true, cancelRandom},
	{"Cancel/WhileTheSourceHangs", true, cancelHanging},
}

// cancelBefore calls with a context that has ended already.
func cancelBefore(t testing.TB, s *suite) {
	d := s.with(t, map[string][]byte{"a": []byte("a")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, call := range map[string]func() error{
		"stat":   func() error { _, err := d.Stat(ctx, "a", store.Cond{}); return err },
		"list":   func() error { _, err := d.List(ctx, store.Query{}); return err },
		"get":    func() error { _, _, err := get(ctx, d, "a", store.GetOptions{}); return err },
		"put":    func() error { _, err := d.Put(ctx, "b", Bytes([]byte("b")), store.PutOptions{}); return err },
		"delete": func() error { return d.Delete(ctx, "a", store.Cond{}) },
	} {
		if d.Caps().ReadOnly && (what == "put" || what == "delete") {
			continue
		}
		wantCode(t, d, call(), what+" with a context that has ended", fault.Cancelled)
	}
	holds(t, d, "a", []byte("a"), "calls with a context that has ended")
	absent(t, d, "b", "put with a context that has ended")
}

// cancelRandom ends calls at random moments: they must return within a second, leave old or new and nothing between, and
// keep neither goroutines nor descriptors.
func cancelRandom(t testing.TB, s *suite) {
	const size = 4 << 20
	d := s.open(t)
	old, young := pattern(90), pattern(91)
	put(t, d, "read", old.bytes(size))
	for i := range 30 {
		put(t, d, fmt.Sprintf("list/%02d", i), nil)
	}
	calls := map[string]func(ctx context.Context) error{
		"put": func(ctx context.Context) error {
			_, err := d.Put(ctx, "written", slow(young.bytes(size), size, 32<<10, 200*time.Microsecond), store.PutOptions{})
			return err
		},
		"get": func(ctx context.Context) error {
			x, err := d.Get(ctx, "read", store.GetOptions{})
			if err != nil {
				return err
			}
			defer x.Body.Close()
			for p := make([]byte, 32<<10); ; time.Sleep(200 * time.Microsecond) {
				if _, err := x.Body.Read(p); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
			}
		},
		"list": func(ctx context.Context) error {
			for q := (store.Query{Prefix: "list/", Max: 1}); ; {
				page, err := d.List(ctx, q)
				if q.Token = page.Next; err != nil || q.Token == "" {
					return err
				}
			}
		},
		"multipart": func(ctx context.Context) error { return cancelParts(ctx, d, young, size) },
	}
	s.quiet()
	for _, call := range calls { // what stays for good (pools, resolvers) is there before anything is counted
		call(t.Context())
	}
	s.quiet()
	base := goleak.IgnoreCurrent()
	fds := descriptors()
	for what, call := range calls {
		for range testbed.Scale(6, 50) {
			put(t, d, "written", old.bytes(size))
			ctx, cancel := context.WithCancel(t.Context())
			var cancelled time.Time
			time.AfterFunc(time.Duration(rand.Int64N(int64(30*time.Millisecond))), func() {
				cancelled = time.Now()
				cancel()
			})
			err := call(ctx)
			<-ctx.Done()
			if took := time.Since(cancelled); took > time.Second {
				t.Fatalf("%s returned %v after its context ended: an interrupt would seem to hang", what, took)
			}
			if err != nil && d.Classify(err).Code != fault.Cancelled {
				t.Errorf("cancelled %s: code %q, want %q: %v", what, d.Classify(err).Code, fault.Cancelled, err)
			}
			if b, _, err := get(t.Context(), d, "written", store.GetOptions{}); err != nil || string(b) != string(old.bytes(size)) && string(b) != string(young.bytes(size)) {
				t.Errorf("after a cancelled %s the object is neither old nor new: %d bytes, %v", what, len(b), err)
			}
		}
	}
	s.noUploads(t, d, "uploads that were cancelled and aborted")
	s.quiet()
	if err := leaked(base); err != nil {
		t.Errorf("calls that were cancelled left goroutines: %v", err)
	}
	for i := 0; descriptors() > fds; i++ {
		if i == 50 {
			t.Errorf("calls that were cancelled left descriptors: %d before, %d after", fds, descriptors())
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cancelParts uploads in parts and aborts on a fresh context when that fails, as the transfer does.
func cancelParts(ctx context.Context, d store.Driver, p pattern, size int64) error {
	m, ok := d.(store.Multiparter)
	if !ok {
		return nil
	}
	u, err := m.Begin(ctx, "written", store.PutOptions{}, size)
	if err != nil {
		return err
	}
	step := max(size/4, d.Caps().Part.Min)
	var parts []store.Part
	for off := int64(0); off < size && err == nil; off += step {
		n := min(step, size-off)
		content := make([]byte, n)
		p.fill(content, off)
		var x store.Part
		if x, err = u.Part(ctx, len(parts)+1, off, slow(content, n, 32<<10, 200*time.Microsecond)); err == nil {
			parts = append(parts, x)
		}
	}
	if err == nil {
		if _, err = u.Commit(ctx, parts); err == nil {
			return nil
		}
	}
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if aerr := u.Abort(fresh); aerr != nil && d.Classify(aerr).Code != fault.NotFound {
		return fmt.Errorf("abort: %w", aerr)
	}
	return err
}

// cancelHanging ends a put whose source gives nothing more but heeds its context and its Close.
func cancelHanging(t testing.TB, s *suite) {
	d := s.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src := slow(make([]byte, 100), 100, 10, time.Hour)
	release := make(chan struct{})
	defer close(release)
	open := src.open
	src.open = func(ctx context.Context) (io.ReadCloser, error) {
		ctx, stop := context.WithCancel(ctx)
		go func() { // a driver that does not heed ctx must not hold the suite
			select {
			case <-release:
			case <-ctx.Done():
			}
			stop()
		}()
		return open(ctx)
	}
	done := make(chan error, 1)
	go func() {
		_, err := d.Put(ctx, "hanging", src, store.PutOptions{})
		done <- err
	}()
	time.Sleep(50 * time.Millisecond)
	cancel()
	select {
	case err := <-done:
		if err == nil || !errors.Is(err, context.Canceled) && d.Classify(err).Code != fault.Cancelled {
			t.Errorf("put with a hanging source: %v, want code %s", err, fault.Cancelled)
		}
	case <-time.After(time.Second):
		t.Fatal("put with a hanging source did not return within a second of its context's end: an interrupt would seem to hang")
	}
	src.settled(t, "a hanging source")
	absent(t, d, "hanging", "a put that was cancelled")
}

// quiet closes what is idle.
func (s *suite) quiet() {
	if s.Idle != nil {
		s.Idle()
	}
}

// leaked reports goroutines that base does not hold and that stay. A server of net/http in this process keeps one for
// half a second after it has ended a connection under a body, and goleak waits less.
func leaked(base goleak.Option) (err error) {
	for range 5 {
		if err = goleak.Find(base); err == nil {
			return nil
		}
	}
	return err
}

// descriptors counts the open descriptors of this process, or returns 0 where that cannot be known.
func descriptors() int {
	f, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return len(names)
}
