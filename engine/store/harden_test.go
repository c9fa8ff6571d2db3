package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/retry"
	"github.com/dsrun/dsrun/engine/secret"
)

// No part of an error that leaves the store shows a secret, and its causes stay comparable without being reachable.
func TestErrorsAreRedacted(t *testing.T) {
	r := secret.NewRedactor()
	r.Add("hunter2-signature")
	cause := errors.New("boom")
	d := newMem()
	d.before = func(string, string, int) error {
		return &fault.Error{Class: fault.Class{Code: fault.Unavailable, NoRetry: true, Hint: "call hunter2-signature", RequestID: "id-hunter2-signature"},
			Err: fmt.Errorf("GET https://host/k?sig=hunter2-signature: %w", cause)}
	}
	s := newStore(t, d, Options{Redactor: r})
	ctx := context.Background()
	for op, run := range map[string]func() error{
		"stat": func() error { _, err := s.Stat(ctx, "k", Cond{}); return err },
		"key":  func() error { _, err := s.Stat(ctx, "in/hunter2-signature", Cond{}); return err },
		"list": func() error { _, err := s.List(ctx, ListOptions{}).Next(ctx); return err },
		"put":  func() error { _, err := s.Put(ctx, "n", BytesBody(nil), WriteOptions{}); return err },
		"copy": func() error { _, err := Copy(ctx, s, newStore(t, newMem(), Options{}), CopyJob{}); return err },
	} {
		err := run()
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), "hunter2") || strings.Contains(fmt.Sprintf("%+v", fault.ClassOf(e)), "hunter2") {
				t.Errorf("%s: %v, %+v", op, e, fault.ClassOf(e))
			}
		}
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), "https://host/k") {
			t.Errorf("%s: %v has lost its cause", op, err)
		}
	}
}

// An error says once what was done to what, also when one store feeds another.
func TestErrorsAreWrappedOnce(t *testing.T) {
	ctx := context.Background()
	src := New("from", "mem", newMem(), Options{})
	dst := New("to", "mem", newMem(), Options{})
	defer src.Close()
	defer dst.Close()
	_, err := dst.Put(ctx, "k", RangeBody(src, Entry{Key: "gone", Size: 5}), WriteOptions{})
	if got := err.Error(); got != "get from gone: not_found: no such object: gone" {
		t.Error(got)
	}
	_, err = dst.Put(ctx, "k", ReaderBody(strings.NewReader("abc"), 5), WriteOptions{})
	if got := err.Error(); got != "put to k: data_loss: the source ended after 3 of 5 bytes" {
		t.Error(got)
	}
	_, err = dst.Put(ctx, "a\x1bb", BytesBody(nil), WriteOptions{IfMatch: "x"})
	if got := err.Error(); got != `put to a\x1bb: failed_precondition: condition does not hold` {
		t.Error(got)
	}
}

// An upload whose driver stops taking bytes ends; one that waits for its source does not.
func TestStalledUploadsEnd(t *testing.T) {
	const short = 50 * time.Millisecond
	stuck := &stuckDriver{newMem()}
	s := newStore(t, stuck, Options{IdleTimeout: short, Retry: retry.Policy{MaxAttempts: 2}})
	start := time.Now()
	_, err := s.Put(context.Background(), "k", BytesBody(make([]byte, 100)), WriteOptions{Overwrite: true})
	wantCode(t, err, fault.DeadlineExceeded)
	if took := time.Since(start); took < 2*short || took > 20*short || stuck.count("put") != 2 {
		t.Errorf("took %v, %d tries", took, stuck.count("put"))
	}
	s = newStore(t, newMem(), Options{IdleTimeout: short})
	slow := &trickle{strings.NewReader("abc"), 2 * short}
	if _, err := s.Put(context.Background(), "k", ReaderBody(slow, 3), WriteOptions{}); err != nil {
		t.Error("a slow source:", err)
	}
}

// stuckDriver takes ten bytes and no more.
type stuckDriver struct{ *memDriver }

func (d *stuckDriver) Put(ctx context.Context, key string, body Body, _ PutOptions) (Entry, error) {
	_ = d.at(ctx, "put", key)
	r, err := body.Open(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		return Entry{}, err
	}
	<-ctx.Done()
	return Entry{}, ctx.Err()
}

// A writer that nobody ends goes with its context.
func TestForgottenWriterEndsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t)
	d := newParts(PartLimits{Count: 100})
	s := New("lake", "mem", d, Options{})
	s.tune = small
	ctx, cancel := context.WithCancel(context.Background())
	for _, n := range []int{0, 10, 100 << 10} {
		w, err := s.Create(ctx, fmt.Sprint(n), WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(d.keys()) != 0 || d.pending() != 0 {
		t.Error(d.keys(), d.pending(), "uploads")
	}
}

func TestBudget(t *testing.T) {
	ctx := context.Background()
	b := NewBudget(100)
	if err := b.Acquire(ctx, 1000); err != nil || b.Used() != 100 {
		t.Fatal("more than all of it is all of it:", err, b.Used())
	}
	if b.TryAcquire(1) {
		t.Fatal("taken twice")
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := b.Acquire(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() { got <- b.Acquire(ctx, 60) }()
	b.Release(1000)
	if err := <-got; err != nil || b.Used() != 60 || b.Peak() != 100 {
		t.Fatal(err, b.Used(), b.Peak())
	}
	var none *Budget
	if none.Acquire(ctx, 1) != nil || !none.TryAcquire(1) || none.Size()+none.Used()+none.Peak() != 0 {
		t.Fatal("a nil budget binds")
	}
	none.Release(1)
}

// Source failures keep their identity and their class on their way through the target.
func TestSourceFailureIsNotRetried(t *testing.T) {
	d := newMem()
	s := newStore(t, d, Options{})
	opened := 0
	_, err := s.Put(context.Background(), "k", replayBody{100, func() io.Reader { opened++; return badSource(50, errReset) }}, WriteOptions{Overwrite: true})
	if opened != 1 || !errors.Is(err, errReset) {
		t.Errorf("opened %d times: %v", opened, err)
	}
}

// Whatever the pattern, it is refused with words or it compiles, and then all of it agrees with doublestar.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{"**", "a/*", "a/**/*.csv", "[a-z]*", "{a,b}/?", `\*`, "a[", "}", "a**b", "**/", "//", "é*"} {
		f.Add(p, "a/b/c.csv")
	}
	f.Fuzz(func(t *testing.T, text, key string) {
		p, err := compilePattern(text)
		if err != nil {
			wantCode(t, err, fault.InvalidArgument)
			return
		}
		if !doublestar.ValidatePattern(text) {
			t.Fatalf("%q is not valid, and compiles", text)
		}
		if p.match == nil || key == "" || !utf8.ValidString(key) {
			return
		}
		got := p.match(key)
		if got && !strings.HasPrefix(key, p.prefix) {
			t.Fatalf("%q matches %q without its prefix %q", text, key, p.prefix)
		}
		if want := doublestar.MatchUnvalidated(text, key); got != want && key+"/" != p.prefix {
			t.Fatalf("pattern %q, key %q: %v, want %v", text, key, got, want)
		}
	})
}

// Counters count each byte once, whichever way it takes.
func TestStatsCountOnce(t *testing.T) {
	ctx := context.Background()
	for _, n := range []int64{10, 5 << 10, 100 << 10} {
		for _, size := range []int64{n, -1} {
			for name, d := range map[string]Driver{"one call": newMem(), "parts": newParts(PartLimits{Count: 100})} {
				s := newStore(t, d, Options{})
				if _, err := s.Put(ctx, "k", ReaderBody(badSource(n, io.EOF), size), WriteOptions{}); err != nil {
					t.Fatal(err)
				}
				if _, _, err := s.ReadAll(ctx, "k", 1<<30); err != nil {
					t.Fatal(err)
				}
				st := s.Stats()
				if st.BytesWritten.Load() != n || st.BytesRead.Load() != n || st.Stored.Load() != 1 || st.Opened.Load() != 1 || st.Errors.Load() != 0 {
					t.Errorf("%s, %d bytes, declared %d: written %d, read %d", name, n, size, st.BytesWritten.Load(), st.BytesRead.Load())
				}
			}
		}
	}
}
