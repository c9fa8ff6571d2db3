package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
)

// recorder stands in for a test and keeps what a check reports.
type recorder struct {
	testing.TB // for what is not recorded: Context, TempDir
	mu         sync.Mutex
	failures   []string
	skipped    bool
	cleanups   []func()
}

func (r *recorder) fail(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, s)
}

func (r *recorder) Helper()                           {}
func (r *recorder) Name() string                      { return "recorded" }
func (r *recorder) Log(...any)                        {}
func (r *recorder) Logf(string, ...any)               {}
func (r *recorder) Error(args ...any)                 { r.fail(fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.fail(fmt.Sprintf(format, args...)) }
func (r *recorder) Fatal(args ...any)                 { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }
func (r *recorder) Fail()                             { r.fail("failed") }
func (r *recorder) FailNow()                          { r.fail("failed"); runtime.Goexit() }
func (r *recorder) Failed() bool                      { return len(r.failures) > 0 }
func (r *recorder) Skip(...any)                       { r.skipped = true; runtime.Goexit() }
func (r *recorder) Skipf(string, ...any)              { r.skipped = true; runtime.Goexit() }
func (r *recorder) SkipNow()                          { r.skipped = true; runtime.Goexit() }
func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }

// record runs one check and returns what it reported. A panic is a report too: it would end a whole test run.
func record(t *testing.T, h Harness, c check) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range slices.Backward(r.cleanups) {
				f()
			}
			if p := recover(); p != nil {
				r.fail(fmt.Sprint("panic: ", p))
			}
		}()
		runOne(r, h, c)
	}()
	<-done
	return r
}

func harnessOf(wrap func(*memory.Driver) store.Driver) Harness {
	var n atomic.Int32 // stores of one name are one place
	return Harness{
		Open:      func(testing.TB) store.Driver { return wrap(memory.New(fmt.Sprint("m", n.Add(1)), 1<<30, nil)) },
		InProcess: true, MaxSize: 1 << 20,
	}
}

func checkNamed(t *testing.T, name string) check {
	t.Helper()
	all := checks()
	i := slices.IndexFunc(all, func(c check) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("no check is named %s", name)
	}
	return all[i]
}

// A wrapper that breaks nothing passes all of the suite, so that what is caught below is caught for its own sake.
func TestSuitePassesSoundWrapper(t *testing.T) {
	type sound struct{ *memory.Driver }
	for _, c := range checks() {
		r := record(t, harnessOf(func(d *memory.Driver) store.Driver { return &sound{d} }), c)
		if len(r.failures) > 0 {
			t.Errorf("%s fails a sound driver: %q", c.name, r.failures)
		}
	}
}

// Each broken driver must fail the check that holds the promise it breaks.
func TestSuiteCatches(t *testing.T) {
	for _, b := range brokenDrivers {
		t.Run(strings.ReplaceAll(b.what, " ", "_"), func(t *testing.T) {
			h := harnessOf(b.wrap)
			for _, name := range b.caughtBy {
				r := record(t, h, checkNamed(t, name))
				if len(r.failures) == 0 {
					t.Errorf("%s does not notice a driver that %s (skipped: %v)", name, b.what, r.skipped)
				}
			}
		})
	}
}

type brokenDriver struct {
	what     string
	caughtBy []string
	wrap     func(*memory.Driver) store.Driver
}

// broken is a memory driver with some methods replaced.
type broken struct {
	*memory.Driver
	caps     func(store.Caps) store.Caps
	stat     func(ctx context.Context, key string, c store.Cond) (store.Entry, error)
	list     func(ctx context.Context, q store.Query) (store.Page, error)
	get      func(ctx context.Context, key string, o store.GetOptions) (store.Object, error)
	put      func(ctx context.Context, key string, b store.Body, o store.PutOptions) (store.Entry, error)
	del      func(ctx context.Context, key string, c store.Cond) error
	classify func(error) fault.Class
	copyFrom func(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error)
	batch    func(ctx context.Context, keys []string) (map[string]error, error)
	upload   func(store.Upload) store.Upload
	close    func() error
}

func (b *broken) Caps() store.Caps {
	if b.caps != nil {
		return b.caps(b.Driver.Caps())
	}
	return b.Driver.Caps()
}

func (b *broken) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if b.stat != nil {
		return b.stat(ctx, key, c)
	}
	return b.Driver.Stat(ctx, key, c)
}

func (b *broken) List(ctx context.Context, q store.Query) (store.Page, error) {
	if b.list != nil {
		return b.list(ctx, q)
	}
	return b.Driver.List(ctx, q)
}

func (b *broken) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if b.get != nil {
		return b.get(ctx, key, o)
	}
	return b.Driver.Get(ctx, key, o)
}

func (b *broken) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if b.put != nil {
		return b.put(ctx, key, body, o)
	}
	return b.Driver.Put(ctx, key, body, o)
}

func (b *broken) Delete(ctx context.Context, key string, c store.Cond) error {
	if b.del != nil {
		return b.del(ctx, key, c)
	}
	return b.Driver.Delete(ctx, key, c)
}

func (b *broken) Classify(err error) fault.Class {
	if b.classify != nil {
		return b.classify(err)
	}
	return b.Driver.Classify(err)
}

func (b *broken) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	if b.copyFrom != nil {
		return b.copyFrom(ctx, src, srcKey, dstKey, o)
	}
	return b.Driver.CopyFrom(ctx, src, srcKey, dstKey, o)
}

func (b *broken) DeleteBatch(ctx context.Context, keys []string) (map[string]error, error) {
	if b.batch != nil {
		return b.batch(ctx, keys)
	}
	return b.Driver.DeleteBatch(ctx, keys)
}

func (b *broken) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	u, err := b.Driver.Begin(ctx, key, o, size)
	if err == nil && b.upload != nil {
		u = b.upload(u)
	}
	return u, err
}

func (b *broken) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.Driver.Close()
}

// brokenUpload is an upload with some methods replaced.
type brokenUpload struct {
	store.Upload
	part   func(ctx context.Context, n int, off int64, body store.Body) (store.Part, error)
	commit func(ctx context.Context, parts []store.Part) (store.Entry, error)
	abort  func(ctx context.Context) error
}

func (b *brokenUpload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	if b.part != nil {
		return b.part(ctx, n, off, body)
	}
	return b.Upload.Part(ctx, n, off, body)
}

func (b *brokenUpload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	if b.commit != nil {
		return b.commit(ctx, parts)
	}
	return b.Upload.Commit(ctx, parts)
}

func (b *brokenUpload) Abort(ctx context.Context) error {
	if b.abort != nil {
		return b.abort(ctx)
	}
	return b.Upload.Abort(ctx)
}

// breaks makes a wrapper from a function that sets what is replaced.
func breaks(set func(b *broken)) func(*memory.Driver) store.Driver {
	return func(d *memory.Driver) store.Driver {
		b := &broken{Driver: d}
		set(b)
		return b
	}
}
