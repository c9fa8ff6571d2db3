package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var putChecks = []check{
	{"Put/AnswerDescribesTheObject", true, putEntry},
	{"Put/UnknownSize", true, putUnknown},
	{"Put/ReplacesWhole", true, putReplaces},
	{"Put/FailedSourceStoresNothing", true, putFailing},
	{"Put/InvisibleUntilDone", true, putInvisible},
	{"Put/SourcesAreClosed", true, putCloses},
}

func putEntry(t testing.TB, s *suite) {
	d := s.open(t)
	for _, n := range []int{0, 10, 100_000} {
		key := fmt.Sprintf("dir/put-%d", n)
		e := put(t, d, key, pattern(n).bytes(n))
		if e.Key != key || e.Size != int64(n) {
			t.Errorf("put of %d bytes to %q answers key %q, size %d", n, key, e.Key, e.Size)
		}
		st, err := d.Stat(t.Context(), key, store.Cond{})
		if err != nil {
			t.Fatal(err)
		}
		if d.Caps().Pin && (e.ETag != st.ETag || e.Version != st.Version) {
			t.Errorf("put answers ETag %q, version %q; stat says %q, %q: what was just written could not be read pinned", e.ETag, e.Version, st.ETag, st.Version)
		}
	}
}

func putUnknown(t testing.TB, s *suite) {
	d := s.open(t)
	for _, n := range sizes {
		want := pattern(n).bytes(n)
		src := stream(want, -1)
		e, err := d.Put(t.Context(), "unknown", src, store.PutOptions{})
		if err != nil {
			t.Errorf("put of a stream of %d bytes: %v", n, err)
			continue
		}
		if e.Size != int64(n) {
			t.Errorf("put of a stream of %d bytes answers %d", n, e.Size)
		}
		src.settled(t, "put of a stream")
		holds(t, d, "unknown", want, "a stream of unknown size")
	}
}

func putReplaces(t testing.TB, s *suite) {
	d := s.open(t)
	for _, n := range []int{100_000, 10, 0, 70_000} { // shorter after longer: no tail may stay
		want := pattern(n + 1).bytes(n)
		put(t, d, "again", want)
		holds(t, d, "again", want, "the second object under a key")
	}
}

// failures are the ways in which a source can let an upload down.
func failures(content []byte) map[string]func() *source {
	n := int64(len(content))
	half := len(content) / 2
	m := map[string]func() *source{
		"cannot be opened": func() *source {
			return &source{size: n, open: func(context.Context) (io.ReadCloser, error) { return nil, errSource }}
		},
		"ends one byte short of its size": func() *source { return failing(content, len(content)-1, n, io.EOF) },
		"ends half way short of its size": func() *source { return failing(content, half, n, io.EOF) },
		"is empty short of its size":      func() *source { return failing(content, 0, n, io.EOF) },
		"runs one byte over its size":     func() *source { return stream(content, n-1) },
		"runs far over its size":          func() *source { return stream(content, 10) },
	}
	for what, err := range map[string]error{"an error": errSource, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF} {
		for _, size := range []int64{n, -1} {
			m[fmt.Sprintf("fails at once with %s, size %d", what, size)] = func() *source { return failing(content, 0, size, err) }
			m[fmt.Sprintf("fails half way with %s, size %d", what, size)] = func() *source { return failing(content, half, size, err) }
			m[fmt.Sprintf("fails in place of its end with %s, size %d", what, size)] = func() *source { return failing(content, len(content), size, err) }
		}
	}
	return m
}

func putFailing(t testing.TB, s *suite) {
	d := s.open(t)
	old := []byte("the object that was there before")
	for _, n := range []int{1000, 3<<20 + 5} {
		for what, open := range failures(pattern(9).bytes(n)) {
			what = fmt.Sprintf("a source of %d bytes that %s", n, what)
			put(t, d, "old", old)
			for _, key := range []string{"new", "dir/new", "old"} {
				src := open()
				begin := time.Now()
				_, err := d.Put(t.Context(), key, src, store.PutOptions{})
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("%s: put returned only after %v", what, took)
				}
				switch {
				case err == nil:
					t.Errorf("%s: put succeeded: a damaged object would pass for a good one", what)
				case d.Classify(err).Code == "":
					t.Errorf("%s: an error without a code: %v", what, err)
				case errors.Is(err, errSource) && d.Classify(err).Retryable():
					t.Errorf("%s: the source's own failure is called retryable", what)
				}
				src.settled(t, what)
			}
			absent(t, d, "new", what)
			absent(t, d, "dir/new", what)
			holds(t, d, "old", old, what+": the object that was there before is gone or altered")
		}
	}
	got, err := listAll(t, d, store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, d, store.Query{}, got, listed{keys: []string{"old"}})
}

func putInvisible(t testing.TB, s *suite) {
	d := s.open(t)
	content := pattern(10).bytes(2 << 20)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := d.Put(ctx, "appearing", slow(content, int64(len(content)), 64<<10, 10*time.Millisecond), store.PutOptions{})
		done <- err
	}()
	for looking := true; looking; {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("put from a slow source: %v", err)
			}
			looking = false
		default:
			if e, err := d.Stat(t.Context(), "appearing", store.Cond{}); err == nil && e.Size != int64(len(content)) {
				t.Errorf("an object under way shows with %d of %d bytes: a reader would take a part for the whole", e.Size, len(content))
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	holds(t, d, "appearing", content, "an object from a slow source")
}

func putCloses(t testing.TB, s *suite) {
	d := s.open(t)
	for name, src := range map[string]*source{"replayable": bytesOf(pattern(1).bytes(5000)), "read once": stream(pattern(1).bytes(5000), 5000), "unknown size": stream(pattern(1).bytes(5000), -1)} {
		if _, err := d.Put(t.Context(), "closed", src, store.PutOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		src.settled(t, name)
	}
}

func deleteIdempotent(t testing.TB, s *suite) {
	d := s.open(t)
	put(t, d, "gone", []byte("x"))
	for i := range 3 {
		if err := d.Delete(t.Context(), "gone", store.Cond{}); err != nil {
			t.Errorf("delete, time %d: %v", i+1, err)
		}
		absent(t, d, "gone", "a deleted object")
	}
	for _, k := range []string{"never", "never/was", "gone/below"} {
		if err := d.Delete(t.Context(), k, store.Cond{}); err != nil {
			t.Errorf("delete of the absent %q: %v", k, err)
		}
	}
}

func deleteOnly(t testing.TB, s *suite) {
	d := s.open(t)
	keys := []string{"k", "k1", "k-2", "q/a", "q/b", "q/c/d", "q2"}
	for _, k := range keys {
		put(t, d, k, []byte(k))
	}
	for _, k := range []string{"q", "q/", "q/c", "q/c/", "k/", "", "/", "*", "q/*", "k*"} {
		if err := d.Delete(t.Context(), k, store.Cond{}); err != nil {
			if c := d.Classify(err).Code; c != fault.InvalidArgument && c != fault.NotFound && c != fault.FailedPrecondition {
				t.Errorf("delete of the absent %q: code %q: %v", k, c, err)
			}
		}
	}
	if err := d.Delete(t.Context(), "k", store.Cond{}); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys[1:] {
		holds(t, d, k, []byte(k), "deleting other keys took this one")
	}
}

var deleteChecks = []check{
	{"Delete/IsIdempotent", true, deleteIdempotent},
	{"Delete/TakesOnlyTheKey", true, deleteOnly},
}
