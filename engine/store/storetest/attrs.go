package storetest

import (
	"bytes"
	"compress/gzip"
	"maps"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var attrChecks = []check{
	{"Attributes/RoundTrip", true, attrsRoundTrip},
	{"Attributes/AreReplacedWithTheObject", true, attrsReplaced},
	{"Attributes/OddValues", true, attrsOdd},
	{"Attributes/Modified", true, attrsModified},
}

var attrs = store.Attributes{
	ContentType: "text/csv; charset=utf-8", ContentEncoding: "gzip", ContentDisposition: `attachment; filename="a b.csv"`,
	CacheControl: "max-age=60, must-revalidate", ContentLanguage: "de",
	User: map[string]string{"origin": "sensor-7", "run_id": "2026-11-21T00:00:00Z", "empty_not": "x y  z"},
}

func sameAttrs(t testing.TB, got *store.Attributes, want store.Attributes, what string) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: no attributes", what)
		return
	}
	if got.ContentType != want.ContentType || got.ContentEncoding != want.ContentEncoding || got.ContentDisposition != want.ContentDisposition ||
		got.CacheControl != want.CacheControl || got.ContentLanguage != want.ContentLanguage {
		t.Errorf("%s: %+v, want %+v", what, *got, want)
	}
	if !maps.Equal(got.User, want.User) && len(got.User)+len(want.User) > 0 {
		t.Errorf("%s: user metadata %q, want %q", what, got.User, want.User)
	}
}

func attrsRoundTrip(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().Metadata {
		t.Skip("Caps.Why: ", d.Caps().Why["Metadata"])
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(bytes.Repeat([]byte("packed "), 100))
	w.Close()
	if _, err := d.Put(t.Context(), "attrs", Bytes(packed.Bytes()), store.PutOptions{Attrs: attrs}); err != nil {
		t.Fatal(err)
	}
	e, err := d.Stat(t.Context(), "attrs", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	sameAttrs(t, e.Attrs, attrs, "stat")
	b, x, err := get(t.Context(), d, "attrs", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sameAttrs(t, x.Entry.Attrs, attrs, "get")
	if !bytes.Equal(b, packed.Bytes()) {
		t.Errorf("with a content encoding the %d stored bytes read as %s: they must be handed out as they are", packed.Len(), brief(b))
	}
}

func attrsReplaced(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().Metadata {
		t.Skip("Caps.Why: ", d.Caps().Why["Metadata"])
	}
	if _, err := d.Put(t.Context(), "attrs", Bytes([]byte("1")), store.PutOptions{Attrs: attrs}); err != nil {
		t.Fatal(err)
	}
	put(t, d, "attrs", []byte("2"))
	e, err := d.Stat(t.Context(), "attrs", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Attrs.ContentEncoding != "" || e.Attrs.CacheControl != "" || len(e.Attrs.User) > 0 {
		t.Errorf("attributes of the replaced object are still there: %+v", *e.Attrs)
	}
	if err := d.Delete(t.Context(), "attrs", store.Cond{}); err != nil {
		t.Fatal(err)
	}
	put(t, d, "attrs", []byte("3"))
	if e, err := d.Stat(t.Context(), "attrs", store.Cond{}); err != nil || len(e.Attrs.User) > 0 {
		t.Errorf("attributes of the deleted object came back: %+v, %v", e.Attrs, err)
	}
}

// Values that could end a header line or mean something to a wire must come back as they are or be refused.
func attrsOdd(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().Metadata {
		t.Skip("Caps.Why: ", d.Caps().Why["Metadata"])
	}
	for _, v := range []string{"x\r\nX-Injected: 1", "x\ny", "nul\x00", "grün", "日本", "%41", "=?utf-8?q?x?=", `"quoted"`, "a,b;c=d", " outer ", "\xff"} {
		want := store.Attributes{ContentType: "text/plain", User: map[string]string{"odd": v}}
		_, err := d.Put(t.Context(), "odd", Bytes([]byte("x")), store.PutOptions{Attrs: want})
		if err != nil {
			wantCode(t, d, err, "user metadata "+v, fault.InvalidArgument)
			continue
		}
		e, err := d.Stat(t.Context(), "odd", store.Cond{})
		if err != nil {
			t.Fatal(err)
		}
		sameAttrs(t, e.Attrs, want, "odd user metadata")
	}
}

func attrsModified(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().Modified {
		t.Skip("Caps.Why: ", d.Caps().Why["Modified"])
	}
	want := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if _, err := d.Put(t.Context(), "dated", Bytes([]byte("x")), store.PutOptions{Attrs: store.Attributes{Modified: want}}); err != nil {
		t.Fatal(err)
	}
	e, err := d.Stat(t.Context(), "dated", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	if !e.Modified.Equal(want) && (e.Attrs == nil || !e.Attrs.Modified.Equal(want)) {
		t.Errorf("the time %v that was asked for is kept neither as Modified (%v) nor in the attributes (%+v)", want, e.Modified, e.Attrs)
	}
}
