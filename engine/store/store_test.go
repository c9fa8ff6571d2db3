package store

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

func TestBasics(t *testing.T) {
	ctx := context.Background()
	d := newMem()
	s := newStore(t, d, Options{Prefix: "in/"})
	e, err := s.Put(ctx, "a.txt", BytesBody([]byte("hello")), WriteOptions{Attrs: Attributes{ContentType: "text/plain"}})
	if err != nil || e.Key != "a.txt" || e.Size != 5 {
		t.Fatal(e, err)
	}
	if got, _ := d.get("in/a.txt"); got != "hello" {
		t.Fatalf("stored %q", got)
	}
	b, e, err := s.ReadAll(ctx, "a.txt", 100)
	if err != nil || string(b) != "hello" || e.Key != "a.txt" || e.Attrs.ContentType != "text/plain" {
		t.Fatal(string(b), e, err)
	}
	_, _, err = s.ReadAll(ctx, "a.txt", 4)
	wantCode(t, err, fault.Limit)
	_, err = s.Put(ctx, "a.txt", BytesBody(nil), WriteOptions{})
	wantCode(t, err, fault.AlreadyExists)
	if _, err = s.Put(ctx, "a.txt", BytesBody([]byte("other")), WriteOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(ctx, "b/c.txt", WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "some ")
	io.WriteString(w, "text")
	if _, ok := d.get("in/b/c.txt"); ok {
		t.Fatal("visible before Commit")
	}
	if e, err = w.Commit(); err != nil || e.Size != 9 {
		t.Fatal(e, err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	if err := s.List(ctx, ListOptions{}).Each(ctx, func(e Entry) error { keys = append(keys, e.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(keys, " "); got != "a.txt b/c.txt" {
		t.Fatal(got)
	}
	if err := s.Delete(ctx, "a.txt", false); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Delete(ctx, "a.txt", false), fault.NotFound)
	if err := s.Delete(ctx, "a.txt", true); err != nil {
		t.Fatal(err)
	}
	_, err = s.Stat(ctx, "a.txt", Cond{})
	wantCode(t, err, fault.NotFound)
	if got := err.Error(); got != "stat lake a.txt: not_found: no such object: in/a.txt" {
		t.Fatal(got)
	}
}

func TestKeysAreRefusedWithWords(t *testing.T) {
	s := newStore(t, newMem(), Options{})
	for key, word := range map[string]string{"": "empty", "a\x00b": "NUL", "a\xff": "UTF-8", strings.Repeat("x", 1025): "1025 bytes"} {
		_, err := s.Stat(context.Background(), key, Cond{})
		wantCode(t, err, fault.InvalidArgument)
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not say %q", err, word)
		}
	}
}

func TestReaderAt(t *testing.T) {
	ctx := context.Background()
	d := newMem()
	data := testBytes(100_000)
	d.set("k", string(data))
	s := newStore(t, d, Options{})
	e, err := s.Stat(ctx, "k", Cond{})
	if err != nil {
		t.Fatal(err)
	}
	r := s.ReaderAt(ctx, e)
	p := make([]byte, 1000)
	if n, err := r.ReadAt(p, 5000); n != 1000 || err != nil || !bytes.Equal(p, data[5000:6000]) {
		t.Fatal(n, err)
	}
	if n, err := r.ReadAt(p, 99_900); n != 100 || err != io.EOF {
		t.Fatal(n, err)
	}
	d.set("k", string(data))
	_, err = r.ReadAt(p, 0)
	wantCode(t, err, fault.FailedPrecondition)
}
