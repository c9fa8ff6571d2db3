package storetest

import (
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var copyChecks = []check{
	{"Copy/WithinTheStore", true, copyWithin},
	{"Copy/PinnedToItsSource", true, copyPinned},
	{"Copy/Conditions", true, copyConditions},
	{"Copy/ForeignSourceIsUnimplemented", true, copyForeign},
	{"Copy/Parts", true, copyParts},
}

var batchChecks = []check{
	{"DeleteBatch/DeletesAll", true, batchAll},
	{"DeleteBatch/ReportsEachFailure", true, batchPartial},
}

// copier returns the driver as a Copier, or skips.
func (s *suite) copier(t testing.TB) (store.Driver, store.Copier) {
	t.Helper()
	d := s.open(t)
	c, ok := d.(store.Copier)
	if !ok {
		t.Skip("the driver cannot copy on the server's side")
	}
	return d, c
}

func copyWithin(t testing.TB, s *suite) {
	d, c := s.copier(t)
	for _, n := range []int{0, 1, 1 << 20} {
		content := pattern(n).bytes(n)
		src, err := d.Put(t.Context(), "src", Bytes(content), store.PutOptions{Attrs: store.Attributes{ContentType: "text/x-src", User: map[string]string{"a": "src"}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, keep := range []bool{true, false} {
			put(t, d, "dir/dst", []byte("what was there before"))
			want := store.Attributes{ContentType: "text/x-src", User: map[string]string{"a": "src"}}
			o := store.CopyOptions{Size: int64(n), SrcIfMatch: src.ETag, SrcVersion: src.Version, KeepAttrs: keep}
			if !keep {
				want = store.Attributes{ContentType: "text/x-dst", User: map[string]string{"b": "dst"}}
				o.Put.Attrs = want
			}
			e, err := c.CopyFrom(t.Context(), d, "src", "dir/dst", o)
			if err != nil {
				t.Errorf("copy of %d bytes: %v", n, err)
				continue
			}
			if e.Key != "dir/dst" || e.Size != int64(n) {
				t.Errorf("copy of %d bytes answers key %q, size %d", n, e.Key, e.Size)
			}
			holds(t, d, "dir/dst", content, "a copy")
			holds(t, d, "src", content, "the source of a copy")
			st, err := d.Stat(t.Context(), "dir/dst", store.Cond{})
			if err != nil {
				t.Fatal(err)
			}
			if st.ETag != e.ETag {
				t.Errorf("copy answers ETag %q, stat says %q", e.ETag, st.ETag)
			}
			if d.Caps().Metadata {
				sameAttrs(t, st.Attrs, want, "a copy")
			}
		}
	}
	_, err := c.CopyFrom(t.Context(), d, "none", "dir/new", store.CopyOptions{})
	wantCode(t, d, err, "copy of an absent key", fault.NotFound)
	absent(t, d, "dir/new", "copy of an absent key")
}

func copyPinned(t testing.TB, s *suite) {
	d, c := s.copier(t)
	old := put(t, d, "src", []byte("old"))
	young := put(t, d, "src", []byte("young"))
	put(t, d, "dst", []byte("before"))
	for what, o := range map[string]store.CopyOptions{"ETag": {Size: 3, SrcIfMatch: old.ETag}, "version": {Size: 3, SrcVersion: old.Version}} {
		if o.SrcIfMatch == "" && o.SrcVersion == "" {
			continue
		}
		_, err := c.CopyFrom(t.Context(), d, "src", "dst", o)
		if err == nil {
			got, _, err := get(t.Context(), d, "dst", store.GetOptions{})
			if err != nil || string(got) != "old" { // a store with versions can still copy the old one
				t.Errorf("copy pinned to the %s of a replaced source gave %s, %v: what was listed is not what was copied", what, brief(got), err)
			}
			put(t, d, "dst", []byte("before"))
			continue
		}
		wantCode(t, d, err, "copy pinned to the "+what+" of a replaced source", fault.FailedPrecondition, fault.NotFound)
		holds(t, d, "dst", []byte("before"), "a copy that failed")
	}
	if _, err := c.CopyFrom(t.Context(), d, "src", "dst", store.CopyOptions{Size: 5, SrcIfMatch: young.ETag}); err != nil {
		t.Errorf("copy pinned to the current source: %v", err)
	}
	holds(t, d, "dst", []byte("young"), "a pinned copy")
}

func copyConditions(t testing.TB, s *suite) {
	d, c := s.copier(t)
	src := put(t, d, "src", []byte("source"))
	dst := put(t, d, "dst", []byte("target"))
	if d.Caps().IfAbsent {
		_, err := c.CopyFrom(t.Context(), d, "src", "dst", store.CopyOptions{Size: src.Size, Put: store.PutOptions{IfAbsent: true}})
		wantCode(t, d, err, "copy onto an existing key with IfAbsent", fault.AlreadyExists, fault.FailedPrecondition, fault.Unimplemented)
		holds(t, d, "dst", []byte("target"), "a copy with IfAbsent overwrote an object")
	}
	if d.Caps().IfMatch {
		_, err := c.CopyFrom(t.Context(), d, "src", "dst", store.CopyOptions{Size: src.Size, Put: store.PutOptions{IfMatch: dst.ETag + "x"}})
		wantCode(t, d, err, "copy onto an object with another ETag", fault.FailedPrecondition, fault.Unimplemented)
		holds(t, d, "dst", []byte("target"), "a copy with IfMatch overwrote another's change")
	}
}

// foreign is a driver of no family.
type foreign struct{ store.Driver }

func copyForeign(t testing.TB, s *suite) {
	d, c := s.copier(t)
	put(t, d, "src", []byte("x"))
	_, err := c.CopyFrom(t.Context(), foreign{d}, "src", "dst", store.CopyOptions{Size: 1})
	wantCode(t, d, err, "copy from a driver of another kind", fault.Unimplemented)
	absent(t, d, "dst", "copy from a driver of another kind")
}

func copyParts(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	total := 2*size + 500
	src, err := d.Put(t.Context(), "src", pattern(80).body(0, total), store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u := begin(t, m, "dst", store.PutOptions{}, total)
	c, ok := u.(store.PartCopier)
	if !ok {
		t.Skip("the driver's uploads cannot copy parts on the server's side")
	}
	pin := store.CopyOptions{Size: total, SrcIfMatch: src.ETag, SrcVersion: src.Version}
	var parts []store.Part
	for n := 1; n <= 3; n++ {
		off := int64(n-1) * size
		p, err := c.CopyPart(t.Context(), n, d, "src", store.Range{Off: off, Len: min(size, total-off)}, pin)
		if err != nil {
			t.Fatalf("copy of part %d: %v", n, err)
		}
		if p.N != n || p.Off != off || p.Size != min(size, total-off) {
			t.Errorf("copy of part %d answers %+v", n, p)
		}
		parts = append(parts, p)
	}
	if _, err := u.Commit(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	wantPattern(t, d, "dst", pattern(80), total, "an object of copied parts")
	put(t, d, "src", []byte("replaced"))
	v := begin(t, m, "dst2", store.PutOptions{}, total)
	if _, err := v.(store.PartCopier).CopyPart(t.Context(), 1, d, "src", store.Range{Off: 0, Len: 8}, store.CopyOptions{Size: total, SrcIfMatch: src.ETag}); err == nil {
		t.Error("a part was copied from a source that had changed: the copy would be a mixture")
	}
	if _, err := v.(store.PartCopier).CopyPart(t.Context(), 1, foreign{d}, "src", store.Range{Off: 0, Len: 8}, store.CopyOptions{}); d.Classify(err).Code != fault.Unimplemented {
		t.Errorf("a part from a driver of another kind: %v, want code %s", err, fault.Unimplemented)
	}
}

func batchAll(t testing.TB, s *suite) {
	d := s.open(t)
	b, ok := d.(store.BatchDeleter)
	if !ok {
		t.Skip("the driver deletes one by one")
	}
	for _, k := range []string{"a", "b/c", "b/d", "keep", "ü &<>\"'"} {
		put(t, d, k, []byte(k))
	}
	failed, err := b.DeleteBatch(t.Context(), []string{"a", "b/c", "b/d", "was never there", "a", "ü &<>\"'"})
	if err != nil || len(failed) > 0 {
		t.Errorf("delete of a batch: %v, %v: absent keys are no failure", failed, err)
	}
	got, err := listAll(t, d, store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, d, store.Query{}, got, listed{keys: []string{"keep"}})
	if failed, err := b.DeleteBatch(t.Context(), nil); err != nil || len(failed) > 0 {
		t.Errorf("delete of an empty batch: %v, %v", failed, err)
	}
}

func batchPartial(t testing.TB, s *suite) {
	d := s.open(t)
	b, ok := d.(store.BatchDeleter)
	if !ok {
		t.Skip("the driver deletes one by one")
	}
	if d.Caps().MaxKey == 0 {
		t.Skip("every key can be deleted: nothing fails")
	}
	put(t, d, "a", nil)
	put(t, d, "z", nil)
	bad := key(d.Caps().MaxKey + 1)
	failed, err := b.DeleteBatch(t.Context(), []string{"a", bad, "z"})
	if err == nil && failed[bad] == nil {
		t.Errorf("a key that cannot be deleted is not reported: %v", failed)
	}
	for k, err := range failed {
		if k != bad || d.Classify(err).Code == "" {
			t.Errorf("reported: %q: %v", k, err)
		}
	}
	if err == nil {
		absent(t, d, "a", "a batch with one bad key")
		absent(t, d, "z", "a batch with one bad key")
	}
}
