package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
)

// readable is a memory driver that cannot be written; get, stat, list and put can be replaced.
type readable struct {
	store.Driver
	get  func(ctx context.Context, key string, o store.GetOptions) (store.Object, error)
	stat func(ctx context.Context, key string, c store.Cond) (store.Entry, error)
	put  func(ctx context.Context, key string, b store.Body, o store.PutOptions) (store.Entry, error)
}

func (r *readable) Caps() store.Caps {
	c := r.Driver.Caps()
	return store.Caps{Order: c.Order, Pin: true, ReadOnly: true, Sums: c.Sums, MaxKey: c.MaxKey, Why: map[string]string{"ReadOnly": "it is for tests"}}
}

func (r *readable) Put(ctx context.Context, key string, b store.Body, o store.PutOptions) (store.Entry, error) {
	if r.put != nil {
		return r.put(ctx, key, b, o)
	}
	return store.Entry{}, fault.New(fault.PermissionDenied, "read only")
}

func (r *readable) Delete(context.Context, string, store.Cond) error {
	return fault.New(fault.PermissionDenied, "read only")
}

func (r *readable) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if r.get != nil {
		return r.get(ctx, key, o)
	}
	return r.Driver.Get(ctx, key, o)
}

func (r *readable) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if r.stat != nil {
		return r.stat(ctx, key, c)
	}
	return r.Driver.Stat(ctx, key, c)
}

// seeded is a harness of drivers that wrap changes.
func seeded(wrap func(r *readable)) Harness {
	var n atomic.Int32
	return Harness{InProcess: true, MaxSize: 1 << 20, Secrets: []string{"a-secret-of-the-suite"}, Seed: func(t testing.TB, objects map[string][]byte) store.Driver {
		d := memory.New(fmt.Sprint("s", n.Add(1)), 1<<30, nil)
		for key, content := range objects {
			if _, err := d.Put(t.Context(), key, Bytes(content), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		r := &readable{Driver: d}
		wrap(r)
		return r
	}}
}

// A store that cannot be written passes everything that is not skipped, and is not skipped by what is meant for it.
func TestSuitePassesReadOnly(t *testing.T) {
	ran := 0
	for _, c := range checks() {
		r := record(t, seeded(func(*readable) {}), c)
		if len(r.failures) > 0 {
			t.Errorf("%s fails a sound driver: %q", c.name, r.failures)
		}
		if !r.skipped {
			ran++
		} else if !c.writes {
			t.Errorf("%s is skipped", c.name)
		}
	}
	if ran < 25 {
		t.Errorf("%d checks ran", ran)
	}
}

// Each broken driver must fail the check that holds the promise it breaks.
func TestSuiteCatchesReadOnly(t *testing.T) {
	for _, b := range []struct {
		what, caughtBy string
		wrap           func(r *readable)
	}{
		{"writes all the same", "ReadOnly/WritesAreRefused", func(r *readable) { r.put = r.Driver.Put }},
		{"takes writes and drops them", "ReadOnly/WritesAreRefused", func(r *readable) {
			r.put = func(_ context.Context, key string, _ store.Body, _ store.PutOptions) (store.Entry, error) {
				return store.Entry{Key: key}, nil
			}
		}},
		{"reads whatever the ETag", "ReadOnly/PinnedToETagAndVersion", func(r *readable) {
			r.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
				o.IfMatch = ""
				return r.Driver.Get(ctx, key, o)
			}
		}},
		{"has one ETag for all", "ReadOnly/PinnedToETagAndVersion", func(r *readable) {
			r.stat = func(ctx context.Context, key string, _ store.Cond) (store.Entry, error) {
				e, err := r.Driver.Stat(ctx, key, store.Cond{})
				e.ETag = "same"
				return e, err
			}
		}},
		{"begins at the start when it goes on", "ReadOnly/ReaderResumes", func(r *readable) {
			r.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
				o.Range = nil
				return r.Driver.Get(ctx, key, o)
			}
		}},
		{"fails when it is busy", "ReadOnly/ConcurrentUse", func(r *readable) {
			var busy atomic.Int32
			r.stat = func(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
				defer busy.Add(-1)
				if busy.Add(1) > 1 {
					return store.Entry{}, errBroken
				}
				time.Sleep(time.Millisecond)
				return r.Driver.Stat(ctx, key, c)
			}
		}},
		{"alters a byte far in", "ReadOnly/LargeObjectInFlatMemory", func(r *readable) {
			r.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
				x, err := r.Driver.Get(ctx, key, o)
				if err == nil {
					x.Body = &altered{ReadCloser: x.Body, at: 900_000}
				}
				return x, err
			}
		}},
		{"does not heed its context", "ReadOnly/CancelAtRandomPoints", func(r *readable) {
			r.stat = func(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
				if ctx.Done() != nil {
					time.Sleep(20 * time.Millisecond)
					if ctx.Err() != nil {
						return store.Entry{}, errors.New("something went wrong")
					}
				}
				return r.Driver.Stat(ctx, key, c)
			}
		}},
		{"leaves goroutines", "ReadOnly/CancelAtRandomPoints", func(r *readable) {
			r.stat = func(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
				go time.Sleep(5 * time.Second)
				return r.Driver.Stat(ctx, key, c)
			}
		}},
	} {
		t.Run(b.what, func(t *testing.T) {
			t.Parallel()
			if r := record(t, seeded(b.wrap), checkNamed(t, b.caughtBy)); len(r.failures) == 0 {
				t.Errorf("%s does not notice a driver that %s (skipped: %v)", b.caughtBy, b.what, r.skipped)
			}
		})
	}
}

// altered inverts a bit of one byte.
type altered struct {
	io.ReadCloser
	n, at int64
}

func (a *altered) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if i := a.at - a.n; i >= 0 && i < int64(n) {
		p[i] ^= 1
	}
	a.n += int64(n)
	return n, err
}
