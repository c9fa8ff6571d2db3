package storetest

import (
	"sync"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var fillChecks = []check{
	{"Fill/AnyOrderAndAtOnce", true, fillOrder},
	{"Fill/IncompleteIsAnError", true, fillIncomplete},
	{"Fill/AbortLeavesNothing", true, fillAbort},
	{"Fill/Conditions", true, fillConditions},
}

const fillSize = 200_003

func (s *suite) filler(t testing.TB) (store.Driver, store.Filler) {
	t.Helper()
	d := s.open(t)
	f, ok := d.(store.Filler)
	if !ok {
		t.Skip("takes no bytes at offsets")
	}
	return d, f
}

// filling begins an object and writes the pattern from one offset to another, in pieces, the last first.
func filling(t testing.TB, m store.Filler, key string, o store.PutOptions, p pattern, from, to int64) store.Filling {
	t.Helper()
	f, err := m.Fill(t.Context(), key, fillSize, o)
	if err != nil {
		t.Fatalf("fill %q: %v", key, err)
	}
	var wg sync.WaitGroup
	for off := (to - 1) / 10_000 * 10_000; off >= from; off -= 10_000 {
		wg.Go(func() {
			b := make([]byte, min(10_000, to-off))
			p.fill(b, off)
			if n, err := f.WriteAt(b, off); err != nil || n != len(b) {
				t.Errorf("%d bytes at %d: %d, %v", len(b), off, n, err)
			}
		})
	}
	wg.Wait()
	return f
}

func fillOrder(t testing.TB, s *suite) {
	d, m := s.filler(t)
	put(t, d, "dir/filled", []byte("old"))
	f := filling(t, m, "dir/filled", store.PutOptions{}, 3, 0, fillSize)
	holds(t, d, "dir/filled", []byte("old"), "a filling that is not committed")
	e, err := f.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Abort(); err != nil {
		t.Errorf("abort after commit: %v", err)
	}
	wantPattern(t, d, "dir/filled", 3, fillSize, "a filled object")
	if st, err := d.Stat(t.Context(), "dir/filled", store.Cond{}); err != nil || e.Key != "dir/filled" || e.Size != fillSize || st.Size != e.Size || st.ETag != e.ETag {
		t.Errorf("commit answers %+v, stat %+v, %v", e, st, err)
	}
}

func fillIncomplete(t testing.TB, s *suite) {
	d, m := s.filler(t)
	f := filling(t, m, "short", store.PutOptions{}, 4, 0, fillSize-10_000)
	if _, err := f.Commit(t.Context()); err == nil {
		t.Error("the last bytes were not written, and commit says nothing")
	}
	f.Abort()
	absent(t, d, "short", "a filling without its end")
	f = filling(t, m, "over", store.PutOptions{}, 4, 0, fillSize)
	if _, err := f.WriteAt([]byte("more"), fillSize-1); err == nil {
		t.Error("bytes beyond the size are taken")
	}
	f.Abort()
	absent(t, d, "over", "an aborted filling")
}

func fillAbort(t testing.TB, s *suite) {
	d, m := s.filler(t)
	put(t, d, "kept", []byte("old"))
	for _, key := range []string{"kept", "never/there"} {
		if err := filling(t, m, key, store.PutOptions{}, 5, 0, fillSize).Abort(); err != nil {
			t.Errorf("abort: %v", err)
		}
	}
	holds(t, d, "kept", []byte("old"), "an aborted filling")
	page, err := d.List(t.Context(), store.Query{Delimiter: "/"})
	if err != nil || len(page.Entries) != 1 || len(page.Prefixes) > 0 {
		t.Errorf("after an abort the store holds %v and %q, %v", page.Entries, page.Prefixes, err)
	}
}

func fillConditions(t testing.TB, s *suite) {
	d, m := s.filler(t)
	if !d.Caps().IfAbsent {
		t.Skip("no conditions: ", d.Caps().Why["IfAbsent"])
	}
	f := filling(t, m, "late", store.PutOptions{IfAbsent: true}, 6, 0, fillSize)
	put(t, d, "late", []byte("first"))
	if _, err := f.Commit(t.Context()); d.Classify(err).Code != fault.AlreadyExists && d.Classify(err).Code != fault.FailedPrecondition {
		t.Errorf("an object that is there by the commit: %v", err)
	}
	f.Abort()
	holds(t, d, "late", []byte("first"), "a filling that came too late")
}
