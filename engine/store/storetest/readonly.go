package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

// readOnlyChecks hold for stores that cannot be written what the checks that write hold for the others. They run where
// Harness.Seed is given.
var readOnlyChecks = []check{
	{"ReadOnly/WritesAreRefused", false, readOnlyWrites},
	{"ReadOnly/PinnedToETagAndVersion", false, readOnlyPinned},
	{"ReadOnly/ReaderResumes", false, readOnlyResume},
	{"ReadOnly/ConcurrentUse", false, readOnlyConcurrent},
	{"ReadOnly/LargeObjectInFlatMemory", false, readOnlyLarge},
	{"ReadOnly/CancelAtRandomPoints", false, readOnlyCancel},
}

// fixed returns a driver on a store that holds the objects and cannot be written.
func (s *suite) fixed(t testing.TB, objects map[string][]byte) store.Driver {
	t.Helper()
	d := s.with(t, objects)
	if !d.Caps().ReadOnly {
		t.Skip("the store can be written, which other checks show")
	}
	return d
}

func readOnlyWrites(t testing.TB, s *suite) {
	old := []byte("old")
	d := s.fixed(t, map[string][]byte{"old": old})
	for what, call := range map[string]func() error{
		"put of a new key":       func() error { _, err := d.Put(t.Context(), "new", Bytes(old), store.PutOptions{}); return err },
		"put of an existing key": func() error { _, err := d.Put(t.Context(), "old", Bytes(nil), store.PutOptions{}); return err },
		"delete":                 func() error { return d.Delete(t.Context(), "old", store.Cond{}) },
		"delete of an absent key": func() error {
			return d.Delete(t.Context(), "new", store.Cond{})
		},
	} {
		wantCode(t, d, call(), what, fault.PermissionDenied, fault.Unimplemented)
	}
	for _, x := range []any{new(store.Multiparter), new(store.BatchDeleter), new(store.Filler), new(store.Copier)} {
		if has := implements(d, x); has {
			t.Errorf("a store that cannot be written has the methods of %T", x)
		}
	}
	st := s.portable(t, d, store.Options{})
	for what, call := range map[string]func() error{
		"put":    func() error { _, err := st.Put(t.Context(), "new", Bytes(old), store.WriteOptions{}); return err },
		"delete": func() error { return st.Delete(t.Context(), "old", true) },
		"copy": func() error {
			_, err := store.Copy(t.Context(), st, st, store.CopyJob{Prefix: "to/"})
			return err
		},
	} {
		wantFault(t, call(), what+" by the portable store", fault.PermissionDenied)
	}
	holds(t, d, "old", old, "refused writes")
	absent(t, d, "new", "refused writes")
}

func implements(d store.Driver, x any) bool {
	ok := false
	switch x.(type) {
	case *store.Multiparter:
		_, ok = d.(store.Multiparter)
	case *store.BatchDeleter:
		_, ok = d.(store.BatchDeleter)
	case *store.Filler:
		_, ok = d.(store.Filler)
	case *store.Copier:
		_, ok = d.(store.Copier)
	}
	return ok
}

func readOnlyPinned(t testing.TB, s *suite) {
	content := pattern(1).bytes(5000)
	d := s.fixed(t, map[string][]byte{"k": content, "other": pattern(2).bytes(5000)})
	if !d.Caps().Pin {
		t.Skip("reads cannot be pinned: ", d.Caps().Why["Pin"])
	}
	e, err := d.Stat(t.Context(), "k", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Stat(t.Context(), "k", store.Cond{IfMatch: e.ETag, Version: e.Version}); err != nil {
		t.Errorf("stat pinned to what stat said: %v", err)
	}
	got, _, err := get(t.Context(), d, "k", store.GetOptions{IfMatch: e.ETag, Version: e.Version, Range: &store.Range{Off: 10, Len: 10}})
	if err != nil || !bytes.Equal(got, content[10:20]) {
		t.Errorf("get pinned to what stat said: %s, %v", brief(got), err)
	}
	o, err := d.Stat(t.Context(), "other", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	if o.ETag == e.ETag {
		t.Errorf("other content has the same ETag %q: changes would go unseen", e.ETag)
	}
	for _, match := range []string{o.ETag, "no-such-etag"} {
		_, _, err = get(t.Context(), d, "k", store.GetOptions{IfMatch: match})
		wantCode(t, d, err, "get with another ETag", fault.FailedPrecondition)
		_, err = d.Stat(t.Context(), "k", store.Cond{IfMatch: match})
		wantCode(t, d, err, "stat with another ETag", fault.FailedPrecondition)
	}
}

func readOnlyResume(t testing.TB, s *suite) {
	const size = 3 << 20
	d := s.fixed(t, map[string][]byte{"k": pattern(1).bytes(size)})
	if !d.Caps().Pin {
		t.Skip("reads cannot be pinned: ", d.Caps().Why["Pin"])
	}
	f := &flaky{Driver: d, after: 500_001}
	r, err := s.portable(t, f, store.Options{}).Open(t.Context(), "k", store.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := pattern(1).compare(r, 0, size); err != nil {
		t.Errorf("a reading that breaks off every 500,001 bytes gives %v", err)
	}
	if n := f.gets.Load(); n != size/500_001+1 {
		t.Errorf("%d requests for %d bytes, 500,001 at a time", n, size)
	}
}

func readOnlyConcurrent(t testing.TB, s *suite) {
	objects := map[string][]byte{}
	for i := range 20 {
		objects[fmt.Sprintf("mixed/%02d", i)] = pattern(i).bytes(1000 + i*30_000)
	}
	d := s.fixed(t, objects)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range testbed.Scale(20, 200) {
				k := (w*7 + i) % 20
				key := fmt.Sprintf("mixed/%02d", k)
				x, err := d.Get(t.Context(), key, store.GetOptions{})
				if err == nil {
					err = pattern(k).compare(x.Body, 0, int64(len(objects[key])))
					x.Body.Close()
				}
				if err != nil {
					t.Errorf("get among others: %v", err)
				}
				if e, err := d.Stat(t.Context(), key, store.Cond{}); err != nil || e.Size != int64(len(objects[key])) {
					t.Errorf("stat among others: size %d, %v", e.Size, err)
				}
				if p, err := d.List(t.Context(), store.Query{Prefix: "mixed/"}); err != nil || len(p.Entries) != len(objects) && p.Next == "" {
					t.Errorf("list among others: %d entries, %v", len(p.Entries), err)
				}
			}
		})
	}
	wg.Wait()
}

// readOnlyLarge reads an object that is larger than what the driver may hold of it.
func readOnlyLarge(t testing.TB, s *suite) {
	size := s.MaxSize
	if size == 0 {
		size = 64 << 20
	}
	const bound = 32 << 20
	d := s.fixed(t, map[string][]byte{"large": pattern(99).bytes(int(size))})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	runtime.GC()
	peak := heapPeak(ctx)
	x, err := d.Get(t.Context(), "large", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Body.Close()
	if err := pattern(99).compare(x.Body, 0, size); err != nil {
		t.Errorf("an object of %d bytes: %v", size, err)
	}
	cancel()
	if grew := peak(); grew > bound {
		t.Errorf("%d MiB through the driver took %d MiB of memory, the bound is %d: large objects would end the process", size>>20, grew>>20, bound>>20)
	}
}

// readOnlyCancel ends calls at random moments: they must return within a second and keep neither goroutines nor
// descriptors.
func readOnlyCancel(t testing.TB, s *suite) {
	const size = 4 << 20
	objects := map[string][]byte{"read": pattern(90).bytes(size)}
	for i := range 30 {
		objects[fmt.Sprintf("list/%02d", i)] = []byte{byte(i)}
	}
	d := s.fixed(t, objects)
	calls := map[string]func(ctx context.Context) error{
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
		"stat": func(ctx context.Context) error { _, err := d.Stat(ctx, "read", store.Cond{}); return err },
	}
	s.quiet()
	for _, call := range calls { // what stays for good (pools, resolvers) is there before anything is counted
		if err := call(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.quiet()
	base := goleak.IgnoreCurrent()
	fds := descriptors()
	for what, call := range calls {
		for range testbed.Scale(20, 200) {
			ctx, cancel := context.WithCancel(t.Context())
			var cancelled time.Time
			time.AfterFunc(time.Duration(rand.Int64N(int64(20*time.Millisecond))), func() {
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
		}
	}
	holds(t, d, "read", objects["read"], "calls that were cancelled")
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
