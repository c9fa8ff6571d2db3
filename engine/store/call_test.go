package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/retry"
)

func TestRetryHonoursRetryAfter(t *testing.T) {
	for _, op := range []string{"stat", "list", "get", "put", "delete", "part"} {
		d := newParts(PartLimits{Count: 100, Max: 1 << 30})
		d.set("k", "v")
		d.before = func(at, _ string, n int) error {
			if at == op && n <= 2 {
				return fmt.Errorf("sdk: %w", errBusy)
			}
			return nil
		}
		c := clock.NewFake(time.Now())
		s := newStore(t, d, Options{Clock: c})
		ctx := context.Background()
		var err error
		want := int64(3)
		switch op {
		case "stat":
			_, err = s.Stat(ctx, "k", Cond{})
		case "list":
			_, err = s.List(ctx, ListOptions{}).Next(ctx)
		case "get":
			_, _, err = s.ReadAll(ctx, "k", 10)
		case "put":
			_, err = s.Put(ctx, "k", BytesBody([]byte("w")), WriteOptions{Overwrite: true})
		case "delete":
			err = s.Delete(ctx, "k", true)
		case "part":
			_, err = s.Put(ctx, "k", BytesBody(make([]byte, int(small.from)+1)), WriteOptions{Overwrite: true})
			want = 4 // two parts
		}
		if err != nil {
			t.Errorf("%s: %v", op, err)
		}
		var waited time.Duration
		for _, w := range c.Waits() {
			waited += w
		}
		if d.count(op) != want || waited < 4*time.Second || waited > 6*time.Second || s.Stats().Retries.Load() != 2 {
			t.Errorf("%s: %d calls, waited %v, %d retries", op, d.count(op), waited, s.Stats().Retries.Load())
		}
	}
}

func TestRetriesEnd(t *testing.T) {
	d := newMem()
	d.before = func(string, string, int) error { return errBusy }
	s := newStore(t, d, Options{Retry: retry.Policy{MaxAttempts: 3}, RetryBudget: retry.NewBudget(5)})
	ctx := context.Background()
	_, err := s.Stat(ctx, "k", Cond{})
	wantCode(t, err, fault.ResourceExhausted)
	if n := d.count("stat"); n != 3 {
		t.Fatalf("%d tries, want 3", n)
	}
	for range 20 {
		_, _ = s.Stat(ctx, "k", Cond{})
	}
	if n := d.count("stat"); n != 21+5 {
		t.Fatalf("%d tries of 21 calls under a budget of 5 retries, want 26", n)
	}
	for code, err := range map[fault.Code]error{fault.NotFound: errNone, fault.Internal: errors.New("odd")} {
		d := newMem()
		d.before = func(string, string, int) error { return err }
		_, err := newStore(t, d, Options{}).Stat(ctx, "k", Cond{})
		wantCode(t, err, code)
		if d.count("stat") != 1 {
			t.Fatalf("%s tried %d times", code, d.count("stat"))
		}
	}
}

// A write that may have been applied is repeated only where that changes nothing.
func TestAmbiguousWrites(t *testing.T) {
	ctx := context.Background()
	lost := func(op, _ string, n int) error {
		if op == "stored" && n == 1 {
			return errReset
		}
		return nil
	}
	d := newMem()
	d.before = lost
	s := newStore(t, d, Options{})
	if _, err := s.Put(ctx, "a", BytesBody([]byte("1")), WriteOptions{Overwrite: true}); err != nil || d.count("put") != 2 {
		t.Fatal(err, d.count("put"))
	}
	d = newMem()
	d.before = lost
	s = newStore(t, d, Options{})
	_, err := s.Put(ctx, "a", BytesBody([]byte("1")), WriteOptions{})
	wantCode(t, err, fault.Unavailable)
	if !fault.ClassOf(err).MaybeApplied || d.count("put") != 1 {
		t.Fatal(err, d.count("put"))
	}
}

func TestModes(t *testing.T) {
	ctx := context.Background()
	type op struct {
		name         string
		append, read bool // allowed
		run          func(s *Store) error
	}
	ops := []op{
		{"create", true, false, func(s *Store) error { _, err := s.Put(ctx, "new", BytesBody(nil), WriteOptions{}); return err }},
		{"writer", true, false, func(s *Store) error {
			w, err := s.Create(ctx, "new2", WriteOptions{})
			if err == nil {
				_, err = w.Commit()
			}
			return err
		}},
		{"overwrite", false, false, func(s *Store) error {
			_, err := s.Put(ctx, "old", BytesBody(nil), WriteOptions{Overwrite: true})
			return err
		}},
		{"if match", false, false, func(s *Store) error {
			_, err := s.Put(ctx, "old", BytesBody(nil), WriteOptions{IfMatch: "e1"})
			return err
		}},
		{"delete", false, false, func(s *Store) error { return s.Delete(ctx, "old", false) }},
		{"delete keys", false, false, func(s *Store) error { _, err := s.DeleteKeys(ctx, []string{"old"}); return err }},
		{"sign put", false, false, func(s *Store) error { _, err := s.SignURL(ctx, "old", SignOptions{Method: "PUT"}); return err }},
		{"stat", true, true, func(s *Store) error { _, err := s.Stat(ctx, "old", Cond{}); return err }},
		{"read", true, true, func(s *Store) error { _, _, err := s.ReadAll(ctx, "old", 9); return err }},
		{"list", true, true, func(s *Store) error { _, err := s.List(ctx, ListOptions{}).Next(ctx); return err }},
	}
	for _, o := range ops {
		for mode, allowed := range map[Mode]bool{ModeAppend: o.append, ModeRead: o.read} {
			d := &signDriver{newMem()}
			d.set("old", "x")
			err := o.run(newStore(t, d, Options{Mode: mode}))
			if allowed {
				if err != nil {
					t.Errorf("%s in mode %s: %v", o.name, mode, err)
				}
				continue
			}
			if !fault.Is(err, fault.PermissionDenied) || !strings.Contains(fault.ClassOf(err).Hint, "mode") {
				t.Errorf("%s in mode %s: %v, hint %q", o.name, mode, err, fault.ClassOf(err).Hint)
			}
			for _, sent := range []string{"put", "delete", "deletebatch", "stat", "sign"} {
				if d.count(sent) != 0 {
					t.Errorf("%s in mode %s sent a %s", o.name, mode, sent)
				}
			}
		}
	}
}

type signDriver struct{ *memDriver }

func (d *signDriver) SignURL(ctx context.Context, key string, _ SignOptions) (string, error) {
	return "https://signed/" + key, d.at(ctx, "sign", key)
}

// A panic in a driver, its body or a source is an error of that call alone.
func TestPanicsAreContained(t *testing.T) {
	ctx := context.Background()
	for _, op := range []string{"stat", "list", "get", "put", "delete", "begin", "part", "commit", "abort"} {
		d := newParts(PartLimits{Count: 10})
		d.set("k", "v")
		d.before = func(at, _ string, _ int) error {
			if at == op {
				panic("boom " + op)
			}
			if at == "part" && op == "abort" {
				return errNone
			}
			return nil
		}
		s := newStore(t, d, Options{})
		var err error
		switch op {
		case "stat":
			_, err = s.Stat(ctx, "k", Cond{})
		case "list":
			_, err = s.List(ctx, ListOptions{}).Next(ctx)
		case "get":
			_, err = s.Open(ctx, "k", ReadOptions{})
		case "put":
			_, err = s.Put(ctx, "n", BytesBody(nil), WriteOptions{})
		case "delete":
			err = s.Delete(ctx, "k", true)
		default:
			_, err = s.Put(ctx, "n", BytesBody(make([]byte, int(small.from)+1)), WriteOptions{})
		}
		if op != "abort" {
			wantCode(t, err, fault.Internal)
		}
		if !strings.Contains(fmt.Sprint(err), "boom "+op) || strings.Contains(fmt.Sprint(err), "goroutine") {
			t.Errorf("%s: %v", op, err)
		}
		var p *PanicError
		if op != "abort" && (!errors.As(err, &p) || len(p.Stack) == 0) {
			t.Errorf("%s: no stack for the log", op)
		}
	}
	d := newMem()
	d.set("k", "v")
	d.body = func(string, int64, io.Reader) io.Reader { return panicReader{} }
	s := newStore(t, d, Options{})
	_, _, err := s.ReadAll(ctx, "k", 10)
	wantCode(t, err, fault.Internal)
	if d.open.Load() != 0 {
		t.Error("body left open")
	}
	_, err = s.Put(ctx, "n", ReaderBody(panicReader{}, 5), WriteOptions{})
	wantCode(t, err, fault.Internal)
	if _, ok := d.get("n"); ok {
		t.Error("stored from a source that panicked")
	}
	layers := newStore(t, newMem(), Options{Layers: []Interceptor{func(context.Context, Call, func(context.Context) error) error { panic("layer") }}})
	_, err = layers.Stat(ctx, "k", Cond{})
	wantCode(t, err, fault.Internal)
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("source") }

func TestConcurrencyIsBounded(t *testing.T) {
	d := newMem()
	d.set("k", "v")
	var now, peak atomic.Int64
	d.before = func(string, string, int) error {
		n := now.Add(1)
		for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		time.Sleep(2 * time.Millisecond)
		now.Add(-1)
		return nil
	}
	s := newStore(t, d, Options{Concurrency: 4})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { _, _ = s.Stat(context.Background(), "k", Cond{}) })
	}
	wg.Wait()
	if peak.Load() != 4 {
		t.Fatalf("%d calls at once, want 4", peak.Load())
	}
}

// Open bodies and writers that wait for their caller hold no slot, or one slot could not copy a store onto itself.
func TestSlotsDoNotDeadlock(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d := newMem()
	data := string(testBytes(3 << 20))
	for i := range 5 {
		d.set(fmt.Sprintf("in/%d", i), data)
	}
	s := newStore(t, d, Options{Concurrency: 1})
	res, err := Copy(ctx, s, s, CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/", Prefix: "out/"})
	if err != nil || res.Copied != 5 {
		t.Fatal(res, err)
	}
	var writers []*Writer
	for i := range 3 {
		w, err := s.Create(ctx, fmt.Sprintf("w/%d", i), WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
		if _, err := io.WriteString(w, data); err != nil { // larger than what is held, so that a Put is under way
			t.Fatal(err)
		}
	}
	if _, err := s.Stat(ctx, "in/0", Cond{}); err != nil {
		t.Fatal(err)
	}
	for _, w := range writers {
		if _, err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMetadataTimeout(t *testing.T) {
	d := &slowDriver{memDriver: newMem()}
	s := newStore(t, d, Options{Timeout: 20 * time.Millisecond, Retry: retry.Policy{MaxAttempts: 2}})
	start := time.Now()
	_, err := s.Stat(context.Background(), "k", Cond{})
	wantCode(t, err, fault.DeadlineExceeded)
	if took := time.Since(start); took > 2*time.Second || d.count("slow") != 2 {
		t.Fatalf("took %v, %d tries", took, d.count("slow"))
	}
}

type slowDriver struct{ *memDriver }

func (d *slowDriver) Stat(ctx context.Context, key string, _ Cond) (Entry, error) {
	_ = d.at(ctx, "slow", key)
	<-ctx.Done()
	return Entry{}, errors.New("sdk: operation was aborted")
}

func TestCancelledCallsSayWhy(t *testing.T) {
	s := newStore(t, &slowDriver{newMem()}, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := s.Stat(ctx, "k", Cond{})
	wantCode(t, err, fault.Cancelled)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	cctx, cause := context.WithCancelCause(context.Background())
	time.AfterFunc(10*time.Millisecond, func() { cause(fault.New(fault.Limit, "the run took longer than 1s")) })
	_, err = s.Stat(cctx, "k", Cond{})
	wantCode(t, err, fault.Limit)
	if !strings.Contains(err.Error(), "longer than 1s") {
		t.Fatal(err)
	}
}

func TestClose(t *testing.T) {
	ctx := context.Background()
	d := newParts(PartLimits{Count: 100, Max: 1 << 30})
	d.set("k", string(testBytes(1<<20)))
	s := newStore(t, d, Options{})
	r, err := s.Open(ctx, "k", ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(ctx, "n", WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, int(small.unknown)*2)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Close() }()
	for err = nil; !fault.Is(err, fault.FailedPrecondition); _, err = s.Stat(ctx, "k", Cond{}) {
		time.Sleep(time.Millisecond)
	}
	_, err = io.ReadAll(r)
	if err == nil {
		t.Error("the reader outlived the store")
	}
	r.Close()
	if _, err := w.Commit(); err == nil {
		t.Error("the writer outlived the store")
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if d.pending() != 0 || d.closed.Load() != 1 {
		t.Errorf("%d uploads left, closed %d times", d.pending(), d.closed.Load())
	}
	if err := s.Close(); err != nil || d.closed.Load() != 1 {
		t.Error("second Close", err, d.closed.Load())
	}
	_, err = s.Stat(ctx, "k", Cond{})
	wantCode(t, err, fault.FailedPrecondition)
}
