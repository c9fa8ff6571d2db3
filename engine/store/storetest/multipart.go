package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var multipartChecks = []check{
	{"Multipart/RoundTripOfSizes", true, multipartSizes},
	{"Multipart/AnyOrderAndAtOnce", true, multipartOrder},
	{"Multipart/RepeatedPartIsReplaced", true, multipartRepeat},
	{"Multipart/InvisibleUntilCommit", true, multipartInvisible},
	{"Multipart/FailedSourceStoresNoPart", true, multipartFailing},
	{"Multipart/MissingPartIsAnError", true, multipartMissing},
	{"Multipart/AbortLeavesNothing", true, multipartAbort},
	{"Multipart/ResumesElsewhere", true, multipartResume},
	{"Multipart/Conditions", true, multipartConditions},
	{"Multipart/Attributes", true, multipartAttrs},
}

// parts returns the driver as a Multiparter with a part size that it allows, or skips.
func (s *suite) parts(t testing.TB) (d store.Driver, m store.Multiparter, size int64) {
	t.Helper()
	d = s.open(t)
	m, ok := d.(store.Multiparter)
	if !ok {
		t.Skip("no multipart uploads: ", d.Caps().Why["Part"])
	}
	p := d.Caps().Part
	size = max(p.Min, 64<<10)
	if a := p.Align; a > 0 {
		size = (size + a - 1) / a * a
	}
	return d, m, size
}

// begin starts an upload that is aborted with the test unless it was committed.
func begin(t testing.TB, m store.Multiparter, key string, o store.PutOptions, size int64) store.Upload {
	t.Helper()
	u, err := m.Begin(t.Context(), key, o, size)
	if err != nil {
		t.Fatalf("begin %q: %v", key, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		u.Abort(ctx) // most are committed by now; what Abort says of them is no matter here
	})
	return u
}

// part stores part n of the pattern, cut into parts of size bytes up to total.
func part(t testing.TB, u store.Upload, p pattern, n int, size, total int64) store.Part {
	t.Helper()
	off := int64(n-1) * size
	x, err := u.Part(t.Context(), n, off, p.body(off, min(size, total-off)))
	if err != nil {
		t.Fatalf("part %d: %v", n, err)
	}
	if x.N != n || x.Off != off || x.Size != min(size, total-off) {
		t.Errorf("part %d of %d bytes at %d answers %+v", n, min(size, total-off), off, x)
	}
	return x
}

// wantPattern fails unless key holds exactly the first n bytes of the pattern.
func wantPattern(t testing.TB, d store.Driver, key string, p pattern, n int64, what string) {
	t.Helper()
	x, err := d.Get(t.Context(), key, store.GetOptions{})
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer x.Body.Close()
	if err := p.compare(x.Body, 0, n); err != nil {
		t.Errorf("%s: %q gives %v", what, key, err)
	}
}

func multipartSizes(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	for i, total := range []int64{1, size - 1, size, size + 1, 2 * size, 2*size + 12345} {
		key := fmt.Sprintf("parts/%d", i)
		u := begin(t, m, key, store.PutOptions{}, total)
		var parts []store.Part
		for n := 1; int64(n-1)*size < total; n++ {
			parts = append(parts, part(t, u, pattern(i), n, size, total))
		}
		e, err := u.Commit(t.Context(), parts)
		if err != nil {
			t.Errorf("commit of %d bytes in %d parts: %v", total, len(parts), err)
			continue
		}
		if e.Key != key || e.Size != total {
			t.Errorf("commit answers key %q, size %d, want %q, %d", e.Key, e.Size, key, total)
		}
		wantPattern(t, d, key, pattern(i), total, "an object of parts")
		if st, err := d.Stat(t.Context(), key, store.Cond{}); err != nil || st.Size != total || d.Caps().Pin && st.ETag != e.ETag {
			t.Errorf("stat after commit: size %d, ETag %q, %v; commit said %q", st.Size, st.ETag, err, e.ETag)
		}
		if err := u.Abort(t.Context()); err != nil && d.Classify(err).Code == "" {
			t.Errorf("abort after commit: an error without a code: %v", err)
		}
		wantPattern(t, d, key, pattern(i), total, "abort after commit took the object")
	}
}

func multipartOrder(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	if d.Caps().Part.Sequential {
		t.Skip("parts go up in order")
	}
	const count = 7
	total := (count-1)*size + 999
	u := begin(t, m, "shuffled", store.PutOptions{}, total)
	parts := make([]store.Part, count)
	var wg sync.WaitGroup
	errs := make([]error, count)
	for _, i := range []int{6, 2, 0, 5, 1, 4, 3} {
		work := func() {
			off := int64(i) * size
			parts[i], errs[i] = u.Part(t.Context(), i+1, off, pattern(20).body(off, min(size, total-off)))
		}
		if i%2 == 0 {
			work()
		} else {
			wg.Go(work)
		}
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("part %d: %v", i+1, err)
		}
	}
	have, err := u.Parts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	samePartsAs(t, have, parts)
	if _, err := u.Commit(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	wantPattern(t, d, "shuffled", pattern(20), total, "parts that went up in any order")
}

func samePartsAs(t testing.TB, have, want []store.Part) {
	t.Helper()
	byNumber := func(a, b store.Part) int { return a.N - b.N }
	have = slices.SortedFunc(slices.Values(have), byNumber)
	if !slices.EqualFunc(have, want, func(a, b store.Part) bool { return a.N == b.N && a.Size == b.Size && a.ETag == b.ETag }) {
		t.Errorf("Parts lists %+v, stored were %+v: a resumed upload would be wrong", have, want)
	}
}

func multipartRepeat(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	if d.Caps().Part.Sequential {
		t.Skip("parts go up in order, once")
	}
	total := 2*size + 100
	u := begin(t, m, "repeated", store.PutOptions{}, total)
	var parts []store.Part
	for n := 1; n <= 3; n++ {
		part(t, u, pattern(30), n, size, total) // other bytes first
		parts = append(parts, part(t, u, pattern(31), n, size, total))
	}
	have, err := u.Parts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	samePartsAs(t, have, parts)
	if _, err := u.Commit(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	wantPattern(t, d, "repeated", pattern(31), total, "a part that was stored twice")
}

func multipartInvisible(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	put(t, d, "old", []byte("old"))
	for _, key := range []string{"new", "old"} {
		u := begin(t, m, key, store.PutOptions{}, 2*size)
		parts := []store.Part{part(t, u, pattern(1), 1, size, 2*size), part(t, u, pattern(1), 2, size, 2*size)}
		absent(t, d, "new", "an upload under way")
		holds(t, d, "old", []byte("old"), "an upload under way shows")
		got, err := listAll(t, d, store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		same(t, d, store.Query{}, got, listed{keys: []string{"old"}})
		if key == "old" {
			if _, err := u.Commit(t.Context(), parts); err != nil {
				t.Fatal(err)
			}
			wantPattern(t, d, "old", pattern(1), 2*size, "an object replaced by parts")
		} else if err := u.Abort(t.Context()); err != nil {
			t.Errorf("abort: %v", err)
		}
	}
}

func multipartFailing(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	put(t, d, "old", []byte("old"))
	content := pattern(40).bytes(int(size))
	for what, open := range failures(content) {
		if open().size < 0 && d.Caps().Part.NeedSize {
			continue
		}
		for _, key := range []string{"new", "old"} {
			u := begin(t, m, key, store.PutOptions{}, 2*size)
			first := part(t, u, pattern(40), 1, size, 2*size)
			src := open()
			begin := time.Now()
			_, err := u.Part(t.Context(), 2, size, src)
			if err == nil {
				t.Errorf("a part whose source %s was stored: a damaged object would pass for a good one", what)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("a part whose source %s returned only after %v", what, took)
			}
			src.settled(t, what)
			if have, err := u.Parts(t.Context()); err == nil && len(have) != 1 {
				t.Errorf("after a part whose source %s the server has parts %+v", what, have)
			}
			if _, err := u.Commit(t.Context(), []store.Part{first}); err == nil {
				t.Errorf("an upload of %d bytes was committed with %d", 2*size, size)
			}
			if err := u.Abort(t.Context()); err != nil && d.Classify(err).Code != fault.NotFound {
				t.Errorf("abort: %v", err)
			}
		}
		absent(t, d, "new", "a part whose source "+what)
		holds(t, d, "old", []byte("old"), "a part whose source "+what)
	}
}

func multipartMissing(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	total := 3 * size
	for what, choose := range map[string]func(p []store.Part) []store.Part{
		"without its middle part": func(p []store.Part) []store.Part { return []store.Part{p[0], p[2]} },
		"without its first part":  func(p []store.Part) []store.Part { return p[1:] },
		"with a part never stored": func(p []store.Part) []store.Part {
			return append(p, store.Part{N: 4, Off: total, Size: size, ETag: p[0].ETag})
		},
		"with a part under another ETag":  func(p []store.Part) []store.Part { p[1].ETag = `"00000000000000000000000000000000"`; return p },
		"with no part":                    func(p []store.Part) []store.Part { return nil },
		"with its parts in a wrong order": func(p []store.Part) []store.Part { return []store.Part{p[1], p[0], p[2]} },
	} {
		u := begin(t, m, "holed", store.PutOptions{}, total)
		var parts []store.Part
		for n := 1; n <= 3; n++ {
			parts = append(parts, part(t, u, pattern(50), n, size, total))
		}
		_, err := u.Commit(t.Context(), choose(slices.Clone(parts)))
		if err == nil && what == "with its parts in a wrong order" {
			wantPattern(t, d, "holed", pattern(50), total, "a commit "+what) // a service may sort them
			d.Delete(t.Context(), "holed", store.Cond{})
			continue
		}
		if err == nil {
			t.Errorf("a commit %s succeeded: an object with a hole would pass for a good one", what)
			d.Delete(t.Context(), "holed", store.Cond{})
			continue
		}
		if d.Classify(err).Code == "" {
			t.Errorf("a commit %s: an error without a code: %v", what, err)
		}
		absent(t, d, "holed", "a commit "+what)
	}
}

func multipartAbort(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	u := begin(t, m, "aborted", store.PutOptions{}, 3*size)
	one := part(t, u, pattern(1), 1, size, 3*size)
	two := part(t, u, pattern(1), 2, size, 3*size)
	state := u.State()
	if err := u.Abort(t.Context()); err != nil {
		t.Fatalf("abort: %v", err)
	}
	absent(t, d, "aborted", "an aborted upload")
	s.noUploads(t, d, "an aborted upload")
	if _, err := u.Part(t.Context(), 3, 2*size, pattern(1).body(2*size, size)); err == nil {
		t.Error("a part of an aborted upload was stored")
	}
	if _, err := u.Commit(t.Context(), []store.Part{one, two}); err == nil {
		t.Error("an aborted upload was committed")
	}
	absent(t, d, "aborted", "an aborted upload")
	s.noUploads(t, d, "what came after an abort")
	if err := u.Abort(t.Context()); err != nil && d.Classify(err).Code != fault.NotFound {
		t.Errorf("abort again: %v", err)
	}
	if r, err := m.Resume(t.Context(), state); err == nil {
		if have, err := r.Parts(t.Context()); err == nil && len(have) > 0 {
			t.Errorf("an aborted upload was resumed with parts %+v", have)
		}
	}
}

func multipartResume(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	total := 3*size + 77
	u := begin(t, m, "dir/resumed", store.PutOptions{Attrs: store.Attributes{ContentType: "text/x-resumed"}}, total)
	want := []store.Part{part(t, u, pattern(60), 1, size, total), part(t, u, pattern(60), 2, size, total)}
	state := bytes.Clone(u.State())
	for _, secret := range s.Secrets {
		if bytes.Contains(state, []byte(secret)) {
			t.Error("Upload.State holds a secret: it is written to a file")
		}
	}
	other := s.again(t, d)
	r, err := other.(store.Multiparter).Resume(t.Context(), state)
	if err != nil {
		t.Fatalf("resume: %v", err)
	}
	have, err := r.Parts(t.Context())
	if err != nil {
		t.Fatalf("parts of a resumed upload: %v", err)
	}
	samePartsAs(t, have, want)
	have = slices.Clone(want)
	for n := 3; n <= 4; n++ {
		have = append(have, part(t, r, pattern(60), n, size, total))
	}
	if _, err := r.Commit(t.Context(), have); err != nil {
		t.Fatalf("commit of a resumed upload: %v", err)
	}
	wantPattern(t, d, "dir/resumed", pattern(60), total, "a resumed upload")
	if e, err := d.Stat(t.Context(), "dir/resumed", store.Cond{}); err != nil || d.Caps().Metadata && e.Attrs.ContentType != "text/x-resumed" {
		t.Errorf("a resumed upload lost its attributes: %+v, %v", e.Attrs, err)
	}
	for _, bad := range [][]byte{nil, []byte("{}"), []byte("garbage \x00\x1b"), bytes.Repeat([]byte("["), 100_000), state[:len(state)/2]} {
		if r, err := m.Resume(t.Context(), bad); err == nil {
			if _, err := r.Parts(t.Context()); err == nil {
				t.Errorf("an upload was resumed from %s", brief(bad))
			}
		}
	}
}

func multipartConditions(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	caps := d.Caps()
	if !caps.IfAbsent && !caps.IfMatch {
		t.Skip("Caps.Why: ", caps.Why["IfAbsent"])
	}
	commit := func(key string, o store.PutOptions, meanwhile func()) error {
		u, err := m.Begin(t.Context(), key, o, size)
		if err != nil {
			return err
		}
		p := part(t, u, pattern(70), 1, size, size)
		meanwhile()
		_, err = u.Commit(t.Context(), []store.Part{p})
		if err != nil {
			u.Abort(t.Context())
		}
		return err
	}
	nothing := func() {}
	if caps.IfAbsent {
		if err := commit("new", store.PutOptions{IfAbsent: true}, nothing); err != nil {
			t.Errorf("an upload of a new key with IfAbsent: %v", err)
		}
		wantPattern(t, d, "new", pattern(70), size, "an upload with IfAbsent")
		put(t, d, "old", []byte("old"))
		wantCode(t, d, commit("old", store.PutOptions{IfAbsent: true}, nothing), "an upload of an existing key with IfAbsent", fault.AlreadyExists, fault.FailedPrecondition)
		holds(t, d, "old", []byte("old"), "an upload with IfAbsent overwrote an object")
		err := commit("late", store.PutOptions{IfAbsent: true}, func() { put(t, d, "late", []byte("faster")) })
		wantCode(t, d, err, "an upload with IfAbsent of a key that came meanwhile", fault.AlreadyExists, fault.FailedPrecondition)
		holds(t, d, "late", []byte("faster"), "an upload with IfAbsent overwrote what came meanwhile")
	}
	if caps.IfMatch {
		e := put(t, d, "matched", []byte("one"))
		err := commit("matched", store.PutOptions{IfMatch: e.ETag}, func() { put(t, d, "matched", []byte("two")) })
		wantCode(t, d, err, "an upload with the ETag of an object that changed meanwhile", fault.FailedPrecondition)
		holds(t, d, "matched", []byte("two"), "an upload with IfMatch overwrote what came meanwhile")
	}
}

func multipartAttrs(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	if !d.Caps().Metadata {
		t.Skip("Caps.Why: ", d.Caps().Why["Metadata"])
	}
	u := begin(t, m, "attrs", store.PutOptions{Attrs: attrs}, size)
	if _, err := u.Commit(t.Context(), []store.Part{part(t, u, pattern(1), 1, size, size)}); err != nil {
		t.Fatal(err)
	}
	e, err := d.Stat(t.Context(), "attrs", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	sameAttrs(t, e.Attrs, attrs, "an object of parts")
}
