package storetest

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

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

var portableChecks = []check{
	{"Store/NeverOverwrites", true, portableOverwrite},
	{"Store/WriterShowsNothingBeforeCommit", true, portableWriter},
	{"Store/FailedSourceStoresNothing", true, portableFailing},
	{"Store/PanicsStayInside", true, portablePanic},
	{"Store/Modes", true, portableModes},
	{"Store/PrefixHoldsItsKeysIn", true, portablePrefix},
	{"Store/Listing", false, portableListing},
	{"Store/ReaderResumes", true, portableResume},
	{"Store/LargeUploads", true, portableLarge},
	{"Store/Copy", true, portableCopy},
	{"Store/DeleteKeys", true, portableDelete},
	{"Store/ErrorsAreClean", false, portableErrors},
	{"Store/CloseThenUse", false, portableClose},
}

// portable returns a Store over d, which the suite closes and not the Store, with waits that take no time.
func (s *suite) portable(t testing.TB, d store.Driver, o store.Options) *store.Store {
	t.Helper()
	o.Clock = clock.NewFake(time.Now())
	if o.Redactor = s.Redactor; o.Redactor == nil {
		o.Redactor = secret.NewRedactor()
	}
	o.Redactor.Add(s.Secrets...)
	return store.New("suite", "kind", d, o)
}

// wantFault fails unless err carries one of the codes.
func wantFault(t testing.TB, err error, what string, codes ...fault.Code) {
	t.Helper()
	if err == nil || !slices.Contains(codes, fault.CodeOf(err)) {
		t.Errorf("%s: %v, want code %v", what, err, codes)
	}
}

func portableOverwrite(t testing.TB, s *suite) {
	d := s.open(t)
	st := s.portable(t, d, store.Options{})
	if _, err := st.Put(t.Context(), "k", Bytes([]byte("first")), store.WriteOptions{}); err != nil {
		t.Fatalf("put of a new key: %v", err)
	}
	_, err := st.Put(t.Context(), "k", Bytes([]byte("second")), store.WriteOptions{})
	wantFault(t, err, "put of an existing key without Overwrite", fault.AlreadyExists)
	holds(t, d, "k", []byte("first"), "put without Overwrite replaced an object")
	if _, err := st.Put(t.Context(), "k", Bytes([]byte("third")), store.WriteOptions{Overwrite: true}); err != nil {
		t.Errorf("put with Overwrite: %v", err)
	}
	holds(t, d, "k", []byte("third"), "put with Overwrite")
	won, errs := race(16, func(i int) error {
		_, err := st.Put(t.Context(), "raced", Bytes(fmt.Append(nil, i)), store.WriteOptions{Exclusive: true})
		return err
	})
	code := fault.AlreadyExists
	if !d.Caps().IfAbsent {
		code = fault.Unimplemented
	}
	if len(won) > 1 || d.Caps().IfAbsent && len(won) != 1 {
		t.Errorf("%d of 16 exclusive writers of one key won", len(won))
	}
	for _, err := range errs {
		wantFault(t, err, "a losing exclusive writer", code)
	}
}

func portableWriter(t testing.TB, s *suite) {
	d := s.open(t)
	st := s.portable(t, d, store.Options{})
	put(t, d, "old", []byte("old"))
	for _, size := range []int{0, 10, 3 << 20, 20 << 20} {
		content := pattern(size).bytes(size)
		for _, commit := range []bool{false, true} {
			for _, key := range []string{"new", "old"} {
				what := fmt.Sprintf("a writer of %d bytes, commit %v", size, commit)
				w, err := st.Create(t.Context(), key, store.WriteOptions{Overwrite: true})
				if err != nil {
					t.Fatal(err)
				}
				for rest := content; len(rest) > 0; {
					n := min(len(rest), 100_000)
					if _, err := w.Write(rest[:n]); err != nil {
						t.Fatalf("%s: write: %v", what, err)
					}
					rest = rest[n:]
				}
				if key == "new" {
					absent(t, d, key, what+" before its end")
				} else {
					holds(t, d, key, []byte("old"), what+" before its end")
				}
				if !commit {
					if err := w.Abort(); err != nil {
						t.Errorf("%s: abort: %v", what, err)
					}
					if _, err := w.Write([]byte("x")); err == nil {
						t.Errorf("%s: a write after abort succeeds", what)
					}
					if key == "new" {
						absent(t, d, key, what)
					} else {
						holds(t, d, key, []byte("old"), what)
					}
					s.noUploads(t, d, what)
					continue
				}
				if e, err := w.Commit(); err != nil || e.Size != int64(size) {
					t.Errorf("%s: commit: size %d, %v", what, e.Size, err)
				}
				if err := w.Abort(); err != nil {
					t.Errorf("%s: abort after commit: %v", what, err)
				}
				wantPattern(t, d, key, pattern(size), int64(size), what)
				if err := st.Delete(t.Context(), key, false); err != nil {
					t.Error(err)
				}
				put(t, d, "old", []byte("old"))
			}
		}
	}
}

func portableFailing(t testing.TB, s *suite) {
	d := s.open(t)
	st := s.portable(t, d, store.Options{})
	old := []byte("old")
	put(t, d, "old", old)
	for _, n := range []int{1000, 20 << 20} {
		for what, open := range failures(pattern(9).bytes(n)) {
			what = fmt.Sprintf("a source of %d bytes that %s", n, what)
			for _, key := range []string{"new", "old"} {
				src := open()
				_, err := st.Put(t.Context(), key, src, store.WriteOptions{Overwrite: true})
				if err == nil {
					t.Errorf("%s: put succeeded", what)
				} else if src.opened.Load() > 1 {
					t.Errorf("%s: a source that can be read once was opened %d times", what, src.opened.Load())
				}
				src.settled(t, what)
			}
			absent(t, d, "new", what)
			holds(t, d, "old", old, what)
			s.noUploads(t, d, what)
		}
	}
}

// panicking is a body whose reader panics after some bytes.
func panicking(n int) *source {
	return &source{size: int64(n), open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", n/2)), panicReader{})), nil
	}}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("a source that panics") }

func portablePanic(t testing.TB, s *suite) {
	d := s.open(t)
	st := s.portable(t, d, store.Options{})
	for _, n := range []int{1000, 20 << 20} {
		_, err := st.Put(t.Context(), "k", panicking(n), store.WriteOptions{Overwrite: true})
		wantFault(t, err, "a source that panics", fault.Internal)
		absent(t, d, "k", "a source that panics")
		s.noUploads(t, d, "a source that panics")
	}
	if _, err := st.Put(t.Context(), "k", Bytes([]byte("fine")), store.WriteOptions{}); err != nil {
		t.Errorf("the store does not work on after a panic: %v", err)
	}
}

func portableModes(t testing.TB, s *suite) {
	d := s.open(t)
	put(t, d, "old", []byte("old"))
	for _, mode := range []store.Mode{store.ModeRead, store.ModeAppend} {
		st := s.portable(t, d, store.Options{Mode: mode})
		what := "in mode " + mode.String()
		_, err := st.Put(t.Context(), "old", Bytes([]byte("new")), store.WriteOptions{Overwrite: true})
		wantFault(t, err, "overwrite "+what, fault.PermissionDenied)
		wantFault(t, st.Delete(t.Context(), "old", false), "delete "+what, fault.PermissionDenied)
		if failed, err := st.DeleteKeys(t.Context(), []string{"old"}); err == nil && len(failed) == 0 {
			t.Errorf("delete of keys %s succeeded", what)
		}
		_, err = st.Put(t.Context(), "old", Bytes([]byte("new")), store.WriteOptions{})
		wantFault(t, err, "put of an existing key "+what, fault.PermissionDenied, fault.AlreadyExists)
		holds(t, d, "old", []byte("old"), what)
		_, err = st.Put(t.Context(), "new", Bytes([]byte("new")), store.WriteOptions{})
		if (err == nil) != (mode == store.ModeAppend) {
			t.Errorf("put of a new key %s: %v", what, err)
		}
		if b, _, err := st.ReadAll(t.Context(), "old", 100); err != nil || string(b) != "old" {
			t.Errorf("read %s: %q, %v", what, b, err)
		}
	}
	st := s.portable(t, d, store.Options{Mode: store.ModeRead})
	if w, err := st.Create(t.Context(), "created", store.WriteOptions{}); err == nil {
		if _, err = w.Commit(); err == nil {
			t.Error("a writer in mode read stored an object")
		}
	}
	absent(t, d, "created", "a writer in mode read")
}

func portablePrefix(t testing.TB, s *suite) {
	d := s.open(t)
	put(t, d, "outside", []byte("outside"))
	put(t, d, "subject/x", []byte("sibling"))
	st := s.portable(t, d, store.Options{Prefix: "sub/"})
	if _, err := st.Put(t.Context(), "dir/in", Bytes([]byte("in")), store.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	holds(t, d, "sub/dir/in", []byte("in"), "a store with a prefix")
	for _, k := range []string{"../outside", "/../outside", "dir/../../outside", "outside", "ject/x"} {
		if b, _, err := st.ReadAll(t.Context(), k, 100); err == nil {
			t.Errorf("a store with a prefix reads %q as %q: what lies outside is open to it", k, b)
		}
		st.Put(t.Context(), k, Bytes([]byte("overwritten")), store.WriteOptions{Overwrite: true})
		st.Delete(t.Context(), k, true)
	}
	holds(t, d, "outside", []byte("outside"), "a store with a prefix reached out of it")
	holds(t, d, "subject/x", []byte("sibling"), "a store with a prefix reached out of it")
	keys, err := listStore(t, st, store.ListOptions{})
	if err != nil || !slices.Equal(keys, []string{"dir/in"}) {
		t.Errorf("a store with a prefix lists %q, %v", keys, err)
	}
}

// listStore reads a whole listing of a Store.
func listStore(t testing.TB, st *store.Store, o store.ListOptions) (keys []string, err error) {
	t.Helper()
	l := st.List(t.Context(), o)
	defer l.Close()
	for {
		batch, err := l.Next(t.Context())
		for _, e := range batch {
			keys = append(keys, e.Key)
		}
		switch {
		case err == io.EOF:
			return keys, nil
		case err != nil:
			return keys, err
		case len(batch) == 0:
			return keys, errors.New("Next gave neither entries nor an end")
		}
	}
}

func portableListing(t testing.TB, s *suite) {
	d := s.with(t, treeObjects())
	st := s.portable(t, d, store.Options{})
	filter := func(keep func(string) bool) (out []string) {
		for _, k := range tree {
			if keep(k) {
				out = append(out, k)
			}
		}
		return out
	}
	under := func(p string) func(string) bool { return func(k string) bool { return strings.HasPrefix(k, p) } }
	for _, x := range []struct {
		o    store.ListOptions
		want []string
	}{
		{store.ListOptions{}, tree},
		{store.ListOptions{Pattern: "**"}, tree},
		{store.ListOptions{Prefix: "b/"}, filter(under("b/"))},
		{store.ListOptions{Pattern: "b/**"}, filter(under("b/"))},
		{store.ListOptions{Pattern: "b/*"}, []string{"b/1", "b/10", "b/2", "b/c-1"}},
		{store.ListOptions{Pattern: "*.txt"}, []string{"a.txt"}},
		{store.ListOptions{Pattern: "data/part-000?"}, []string{"data/part-0000", "data/part-0001", "data/part-0002"}},
		{store.ListOptions{After: "b/1", Before: "b0"}, filter(func(k string) bool { return k > "b/1" && k < "b0" })},
		{store.ListOptions{Pattern: "none/**"}, nil},
		{store.ListOptions{Since: time.Now().Add(24 * time.Hour)}, nil},
		{store.ListOptions{Prefix: "b/", OneLevel: true}, []string{"b/1", "b/10", "b/2", "b/c-1", "b/c/"}},
	} {
		got, err := listStore(t, st, x.o)
		if err != nil {
			t.Errorf("%+v: %v", x.o, err)
			continue
		}
		if d.Caps().Order == store.OrderByKey && !slices.IsSorted(got) {
			t.Errorf("%+v: out of order: %q", x.o, got)
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(x.want))
		if !slices.Equal(got, want) {
			t.Errorf("%+v: missing %q, beyond what is there %q", x.o, diff(want, got), diff(got, want))
		}
	}
	if got, err := listStore(t, st, store.ListOptions{Limit: 3}); err != nil || len(got) != 3 {
		t.Errorf("limit 3: %q, %v", got, err)
	}
}

// flaky is a driver whose bodies break off after some bytes, as connections do.
type flaky struct {
	store.Driver
	after int64
	gets  atomic.Int32
}

var errBreak = fault.New(fault.Unavailable, "the connection broke")

func (f *flaky) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	f.gets.Add(1)
	x, err := f.Driver.Get(ctx, key, o)
	if err == nil {
		x.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(x.Body, f.after), errReader{errBreak}), x.Body}
	}
	return x, err
}

func portableResume(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().Pin {
		t.Skip("reads cannot be pinned: ", d.Caps().Why["Pin"])
	}
	const size = 3 << 20
	put(t, d, "k", pattern(1).bytes(size))
	f := &flaky{Driver: d, after: 500_001}
	st := s.portable(t, f, store.Options{})
	r, err := st.Open(t.Context(), "k", store.ReadOptions{})
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
	r, err = st.Open(t.Context(), "k", store.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	put(t, d, "k", pattern(2).bytes(size))
	rest, err := io.ReadAll(r)
	wantFault(t, err, "resuming an object that was replaced", fault.FailedPrecondition)
	if whole := pattern(1).bytes(size); !strings.HasPrefix(string(whole[1000:]), string(rest)) {
		t.Error("a resumed reading mixed old and new bytes")
	}
}

// ranged is a pattern as a body that can be opened anywhere.
type ranged struct {
	*source
	p pattern
}

func (r ranged) OpenRange(_ context.Context, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(&patternReader{p: r.p, off: off, end: off + n}), nil
}

func portableLarge(t testing.TB, s *suite) {
	d := s.open(t)
	st := s.portable(t, d, store.Options{})
	const size = 40<<20 + 12345
	p := pattern(77)
	for what, b := range map[string]store.Body{"opened anywhere": ranged{p.body(0, size), p}, "replayable": p.body(0, size), "read once": once(p.body(0, size), size), "of unknown size": once(p.body(0, size), -1)} {
		e, err := st.Put(t.Context(), "large", b, store.WriteOptions{Overwrite: true})
		if err != nil || e.Size != size {
			t.Errorf("an upload of %d bytes from a source %s: size %d, %v", size, what, e.Size, err)
			continue
		}
		wantPattern(t, d, "large", p, size, "an upload from a source "+what)
	}
	s.noUploads(t, d, "large uploads")
}

// once makes a body one that is read once, of a declared size.
func once(s *source, size int64) *source {
	return &source{size: size, open: s.open}
}

func portableCopy(t testing.TB, s *suite) {
	a := s.with(t, treeObjects())
	big := pattern(5).bytes(9 << 20)
	if _, err := a.Put(t.Context(), "big", Bytes(big), store.PutOptions{Attrs: store.Attributes{ContentType: "text/x-big"}}); err != nil {
		t.Fatal(err)
	}
	want := treeObjects()
	want["big"] = big
	for what, b := range map[string]store.Driver{"by the service where it can": s.open(t), "as a stream": foreign{s.open(t)}} {
		src, dst := s.portable(t, a, store.Options{}), s.portable(t, b, store.Options{})
		res, err := store.Copy(t.Context(), src, dst, store.CopyJob{Prefix: "to/"})
		if err != nil || int(res.Copied) != len(want) || len(res.Failed) > 0 {
			t.Errorf("copy %s: %+v, %v, want %d objects", what, res, err, len(want))
			continue
		}
		for k, content := range want {
			holds(t, b, "to/"+k, content, "copy "+what)
		}
		if a.Caps().Metadata {
			if e, err := b.Stat(t.Context(), "to/big", store.Cond{}); err != nil || e.Attrs.ContentType != "text/x-big" {
				t.Errorf("copy %s lost the attributes: %+v, %v", what, e.Attrs, err)
			}
		}
		res, err = store.Copy(t.Context(), src, dst, store.CopyJob{Prefix: "to/", Overwrite: store.OverwriteIfChanged})
		if err != nil || res.Copied != 0 || int(res.Skipped) != len(want) {
			t.Errorf("copy %s again: %+v, %v: what is the same would be copied every time", what, res, err)
		}
		put(t, b, "to/extra", []byte("x"))
		put(t, b, "beside", []byte("x"))
		res, err = store.Copy(t.Context(), src, dst, store.CopyJob{Prefix: "to/", Overwrite: store.OverwriteIfChanged, DeleteExtra: true})
		if err != nil || res.Deleted != 1 {
			t.Errorf("copy %s with DeleteExtra: %+v, %v", what, res, err)
		}
		absent(t, b, "to/extra", "copy "+what+" with DeleteExtra")
		holds(t, b, "beside", []byte("x"), "copy "+what+" with DeleteExtra took what is not below its prefix")
		back := s.open(t)
		res, err = store.Copy(t.Context(), dst, s.portable(t, back, store.Options{}), store.CopyJob{List: store.ListOptions{Prefix: "to/"}, Strip: "to/"})
		if err != nil || int(res.Copied) != len(want) {
			t.Errorf("copy back %s: %+v, %v", what, res, err)
		}
		for k, content := range want {
			holds(t, back, k, content, "copy there and back "+what)
		}
		s.noUploads(t, b, "copy "+what)
	}
}

func portableDelete(t testing.TB, s *suite) {
	d := s.open(t)
	st := s.portable(t, d, store.Options{})
	var keys []string
	for i := range 40 {
		k := fmt.Sprintf("many/%02d", i)
		put(t, d, k, nil)
		keys = append(keys, k)
	}
	put(t, d, "keep", nil)
	failed, err := st.DeleteKeys(t.Context(), append(keys, "absent"))
	if err != nil || len(failed) > 0 {
		t.Errorf("delete of many keys: %v, %v", failed, err)
	}
	if got, err := listStore(t, st, store.ListOptions{}); err != nil || !slices.Equal(got, []string{"keep"}) {
		t.Errorf("after delete of many keys there are %q, %v", got, err)
	}
	wantFault(t, st.Delete(t.Context(), "absent", false), "delete of an absent key", fault.NotFound)
	if err := st.Delete(t.Context(), "absent", true); err != nil {
		t.Errorf("delete of an absent key that may be missing: %v", err)
	}
}

// portableErrors looks at the text of errors about keys that a stranger chose.
func portableErrors(t testing.TB, s *suite) {
	d := s.with(t, nil)
	st := s.portable(t, d, store.Options{})
	for _, k := range []string{"plain", "c\x1b[31mred", "c\x1b]52;c;eA==\a", "new\nline", "cr\rlf", "\u202egpj.exe", "\u009b31m", "nul\x00", "bad\xff", "\u2028", strings.Repeat("k", 5000), ""} {
		errs := map[string]error{}
		_, errs["stat"] = st.Stat(t.Context(), k, store.Cond{})
		_, _, errs["read"] = st.ReadAll(t.Context(), k, 10)
		errs["delete"] = st.Delete(t.Context(), k, false)
		for op, err := range errs {
			if err == nil {
				t.Errorf("%s of the absent %q: no error", op, k)
				continue
			}
			text := err.Error() + fault.ClassOf(err).Hint
			if strings.ContainsFunc(text, func(r rune) bool {
				return r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || 0x202a <= r && r <= 0x202e || r == '\u2028'
			}) {
				t.Errorf("%s of %q: an error that can drive a terminal or break a line: %q", op, k, text)
			}
			for _, secret := range s.Secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s of %q: an error shows a secret", op, k)
				}
			}
			var fe *fault.Error
			if !errors.As(err, &fe) || fe.Resource != "suite" || fe.Class.Code == "" || fe.Class.Code == fault.Internal {
				t.Errorf("%s of %q: an error without its store or code: %v", op, k, err)
			}
			if n := strings.Count(text, "suite"); n != 1 {
				t.Errorf("%s of %q: wrapped %d times: %v", op, k, n, err)
			}
		}
	}
}

func portableClose(t testing.TB, s *suite) {
	var d store.Driver
	if s.Seed != nil {
		d = s.Seed(t, nil)
	} else {
		d = s.Open(t)
	}
	st := s.portable(t, d, store.Options{})
	if err := st.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	_, err := st.Stat(t.Context(), "k", store.Cond{})
	wantFault(t, err, "stat after close", fault.FailedPrecondition)
	_, err = listStore(t, st, store.ListOptions{})
	wantFault(t, err, "list after close", fault.FailedPrecondition)
	_, err = st.Put(t.Context(), "k", Bytes(nil), store.WriteOptions{})
	wantFault(t, err, "put after close", fault.FailedPrecondition, fault.PermissionDenied)
	if err := st.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}
