package httpstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// once is a body that cannot be read again.
type once struct{ io.Reader }

func (once) Close() error { return nil }

// Success means that the server proved that it holds the bytes (R5).
func TestUploadsAreProven(t *testing.T) {
	content := random(300_000, 1)
	wrong := func(edit func(*store.Entry)) faults.Fault {
		return faults.SetHeaders(func(h http.Header) {
			var e store.Entry
			if err := unpack(h.Get(headEntry), &e); err != nil {
				panic(err)
			}
			edit(&e)
			h.Set(headEntry, pack(e))
		})
	}
	for what, f := range map[string]faults.Fault{
		"no description": faults.DropHeaders(headEntry),
		"no ETag":        faults.DropHeaders("ETag"),
		"no checksum":    wrong(func(e *store.Entry) { e.Sums = nil }),
		"wrong checksum": wrong(func(e *store.Entry) { e.Sums[0].Value = []byte{1, 2, 3, 4} }),
		"wrong size":     wrong(func(e *store.Entry) { e.Size-- }),
		"another key":    wrong(func(e *store.Entry) { e.Key += "x" }),
		"portal page":    faults.Portal(),
		"empty 200":      faults.Empty(),
		"200 with error": faults.Answer(200, map[string]string{"Content-Type": "application/xml"}, "<Error><Code>InternalError</Code></Error>"),
		"reset":          faults.ResetHead(),
		"reset upload":   faults.ResetUpload(100_000),
	} {
		for _, body := range []store.Body{store.BytesBody(content), store.ReaderBody(once{bytes.NewReader(content)}, -1), store.ReaderBody(once{bytes.NewReader(content)}, int64(len(content)))} {
			b := over(t)
			b.f.Add(faults.Rule{Fault: f})
			if e, err := b.Put(t.Context(), "x", body, store.WriteOptions{Overwrite: true}); err == nil {
				t.Errorf("%s: put answers %+v", what, e)
			} else if fault.CodeOf(err) == fault.Internal {
				t.Errorf("%s: code internal: %v", what, err)
			}
			if e, err := b.m.Stat(t.Context(), "x", store.Cond{}); err == nil && e.Size != int64(len(content)) {
				t.Errorf("%s: the server has %d of %d bytes", what, e.Size, len(content))
			}
		}
	}
}

// A fault that passes does not fail an upload that can be repeated.
func TestUploadsAreRepeated(t *testing.T) {
	content := random(300_000, 2)
	for what, f := range map[string]faults.Fault{"503": faults.Status(503, 0), "reset": faults.ResetHead(), "reset upload": faults.ResetUpload(100_000), "portal page": faults.Portal()} {
		b := over(t)
		b.f.Add(faults.Rule{Times: 1, Fault: f})
		if _, err := b.Put(t.Context(), "x", store.BytesBody(content), store.WriteOptions{Overwrite: true}); err != nil {
			t.Errorf("%s once: %v", what, err)
		}
		if got, err := b.read(t.Context(), "x", store.ReadOptions{}); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s once: %d bytes, %v", what, len(got), err)
		}
	}
}

// An upload in parts that fails leaves neither an object nor parts (R4, R6).
func TestFailedPartsLeaveNothing(t *testing.T) {
	content := random(40<<20, 3)
	for what, x := range map[string]faults.Rule{
		"part 2 is refused":     {Match: faults.On("PUT", "n=2&"), Fault: faults.Answer(400, nil, "no")},
		"all parts are reset":   {Match: faults.On("PUT", "/part"), Fault: faults.ResetUpload(1000)},
		"the commit is refused": {Match: faults.On("POST", "/commit"), Fault: faults.Answer(400, nil, "no")},
		"the answers lie": {Match: faults.On("PUT", "/part"), Fault: faults.Edit(func(b []byte) []byte {
			var p store.Part
			json.Unmarshal(b, &p)
			p.Size--
			b, _ = json.Marshal(p)
			return b
		})},
	} {
		for _, body := range []store.Body{store.BytesBody(content), store.ReaderBody(once{bytes.NewReader(content)}, -1)} {
			b := over(t)
			b.place(t, "x", []byte("old"))
			b.f.Add(x)
			if _, err := b.Put(t.Context(), "x", body, store.WriteOptions{Overwrite: true}); err == nil {
				t.Errorf("%s: the upload succeeded", what)
			}
			left, err := b.m.Uploads(t.Context(), "", "")
			if err != nil || len(left.Uploads) > 0 {
				t.Errorf("%s: %d uploads are left, %v", what, len(left.Uploads), err)
			}
			if e, err := b.m.Stat(t.Context(), "x", store.Cond{}); err != nil || e.Size != 3 {
				t.Errorf("%s: the old object is gone or altered: %d bytes, %v", what, e.Size, err)
			}
		}
	}
}

// A listing is complete or an error (R8).
func TestListsAreWholeOrFail(t *testing.T) {
	b := over(t)
	const n = 2500
	for i := range n {
		b.place(t, fmt.Sprintf("k/%05d", i), nil)
	}
	edit := func(change func(*listReply)) faults.Fault {
		return faults.Edit(func(b []byte) []byte {
			var r listReply
			if err := json.Unmarshal(b, &r); err != nil {
				panic(err)
			}
			change(&r)
			b, _ = json.Marshal(r)
			return b
		})
	}
	second := func(f faults.Fault) faults.Rule { return faults.Rule{Skip: 1, Fault: f} }
	for what, rule := range map[string]faults.Rule{
		"the same token for ever":          {Fault: edit(func(r *listReply) { r.Next = "ay8wMDk5OQ" })},
		"a cut page, length fitting":       second(faults.Edit(func(b []byte) []byte { return b[:len(b)/2] })),
		"a cut page":                       second(faults.Cut(1000)),
		"a cut page, clean end":            second(faults.CleanEnd(1000)),
		"a page that lost entries":         second(edit(func(r *listReply) { r.Entries = r.Entries[:10] })),
		"a page that repeats a key":        second(edit(func(r *listReply) { r.Entries[5] = r.Entries[4] })),
		"a page out of order":              second(edit(func(r *listReply) { r.Entries[5], r.Entries[4] = r.Entries[4], r.Entries[5] })),
		"a page of other keys":             second(edit(func(r *listReply) { r.Entries[5].Key = "a/0" })),
		"page 3 fails":                     {Skip: 2, Fault: faults.Status(500, 0)},
		"page 3 is a portal":               {Skip: 2, Fault: faults.Portal()},
		"page 3 is empty":                  {Skip: 2, Fault: faults.Empty()},
		"pages that are empty for ever":    second(edit(func(r *listReply) { r.Entries, r.Count = nil, 0; r.Next = "ay8wMDk5OQ" })),
		"a portal that passes for a page":  second(faults.Answer(200, map[string]string{"Content-Type": "application/json"}, "[]")),
		"a page with a key off the prefix": second(edit(func(r *listReply) { r.Entries[0].Key = "j" })),
	} {
		b.f.Clear()
		b.f.Add(rule)
		keys, err := b.list(t.Context(), store.ListOptions{Prefix: "k/"})
		if err == nil {
			t.Errorf("%s: a listing of %d of %d keys ended as if whole", what, len(keys), n)
		} else if fault.CodeOf(err) == fault.Internal {
			t.Errorf("%s: code internal: %v", what, err)
		}
		if c := b.f.Count(""); c > 50 {
			t.Errorf("%s: %d requests", what, c)
		}
	}
	b.f.Clear()
	if keys, err := b.list(t.Context(), store.ListOptions{Prefix: "k/"}); err != nil || len(keys) != n {
		t.Errorf("without a fault: %d keys, %v", len(keys), err)
	}
	b.f.Add(faults.Rule{Skip: 1, Times: 1, Fault: faults.CleanEnd(1000)})
	if keys, err := b.list(t.Context(), store.ListOptions{Prefix: "k/"}); err != nil || len(keys) != n || !strings.HasSuffix(keys[n-1], "02499") {
		t.Errorf("a fault that passes: %d keys, %v", len(keys), err)
	}
}
