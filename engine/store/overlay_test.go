package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// A dry run shows what would be, and changes nothing.
func TestOverlayReadsItsWrites(t *testing.T) {
	ctx := context.Background()
	base := newMem()
	fill(base, "a", "b", "c/d")
	o := Overlay(base)
	s := newStore(t, o, Options{})
	if _, err := s.Put(ctx, "new", ReaderBody(strings.NewReader("hello"), -1), WriteOptions{Attrs: Attributes{ContentType: "a/b"}}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(ctx, "a", BytesBody(nil), WriteOptions{})
	wantCode(t, err, fault.AlreadyExists)
	if _, err := s.Put(ctx, "a", BytesBody([]byte("12")), WriteOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "b", false); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Delete(ctx, "b", false), fault.NotFound)
	if err := s.Delete(ctx, "never", true); err != nil {
		t.Fatal(err)
	}
	copyTo(t, s, "c/d", "copied")
	for key, want := range map[string]string{"new": "hello", "a": "12", "copied": "content of c/d", "c/d": "content of c/d"} {
		got, e, err := s.ReadAll(ctx, key, 100)
		if err != nil || string(got) != want || e.Size != int64(len(want)) {
			t.Errorf("%s: %q, %v", key, got, err)
		}
		if st, err := s.Stat(ctx, key, Cond{IfMatch: e.ETag}); err != nil || st.Size != e.Size {
			t.Errorf("%s: %v, %v", key, st, err)
		}
	}
	_, err = s.Stat(ctx, "b", Cond{})
	wantCode(t, err, fault.NotFound)
	keys, err := listKeys(t, s, ListOptions{})
	if strings.Join(keys, " ") != "a c/d copied new" || err != nil {
		t.Error(keys, err)
	}
	if got := base.keys(); strings.Join(got, " ") != "a b c/d" || base.count("put")+base.count("delete") != 0 {
		t.Error("the base was changed:", got)
	}
	want := []Change{{Op: "create", Key: "new", Bytes: 5}, {Op: "overwrite", Key: "a", Bytes: 2}, {Op: "delete", Key: "b"},
		{Op: "copy", Key: "copied", Bytes: 14, From: "c/d"}}
	if got := o.Plan(); !reflect.DeepEqual(got, want) {
		t.Errorf("plan %+v, want %+v", got, want)
	}
}

func copyTo(t *testing.T, s *Store, from, to string) {
	t.Helper()
	e, err := s.Stat(context.Background(), from, Cond{})
	if err == nil {
		_, err = CopyObject(context.Background(), s, e, s, to, false)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Only what a dry run means to offer can be found on it.
func TestOverlayHidesWhatWouldChangeTheBase(t *testing.T) {
	var d Driver = Overlay(newParts(PartLimits{Count: 10}))
	if _, ok := d.(Multiparter); ok {
		t.Error("parts would reach the base")
	}
	if _, ok := d.(BatchDeleter); ok {
		t.Error("batches would reach the base")
	}
	if _, ok := d.(Signer); ok {
		t.Error("signed URLs would reach the base")
	}
	if d.Caps().Part != (PartLimits{}) {
		t.Error("parts are claimed")
	}
}

func TestOverlayLimits(t *testing.T) {
	ctx := context.Background()
	o := Overlay(newMem())
	o.MaxBytes = 1000
	s := newStore(t, o, Options{})
	if _, err := s.Put(ctx, "a", BytesBody(make([]byte, 900)), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(ctx, "b", BytesBody(make([]byte, 200)), WriteOptions{})
	wantCode(t, err, fault.Limit)
	if !strings.Contains(err.Error(), "1000 bytes") {
		t.Error(err)
	}
	if err := s.Delete(ctx, "a", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, "b", BytesBody(make([]byte, 200)), WriteOptions{}); err != nil {
		t.Fatal("what was deleted still counts:", err)
	}
	d := newMem()
	d.caps.ReadOnly = true
	if _, err := Overlay(d).Put(ctx, "k", BytesBody(nil), PutOptions{}); !fault.Is(err, fault.PermissionDenied) {
		t.Error(err)
	}
}

// A copy holds what the source held, whatever becomes of the source in the dry run.
func TestOverlayCopiesAreSnapshots(t *testing.T) {
	ctx := context.Background()
	o := Overlay(newMem())
	s := newStore(t, o, Options{})
	put := func(k, v string) {
		if _, err := s.Put(ctx, k, BytesBody([]byte(v)), WriteOptions{Overwrite: true}); err != nil {
			t.Fatal(err)
		}
	}
	put("a", "one")
	copyTo(t, s, "a", "b")
	put("a", "two")
	if got, _, err := s.ReadAll(ctx, "b", 10); string(got) != "one" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	// Between stores: the source's errors keep their meaning.
	src := newMem()
	fill(src, "x")
	other := newStore(t, src, Options{})
	e, _ := other.Stat(ctx, "x", Cond{})
	if _, err := CopyObject(ctx, other, e, s, "x", false); err != nil || src.count("get") != 0 {
		t.Fatal(err, src.count("get"), "gets")
	}
	src.set("x", "changed")
	_, _, err := s.ReadAll(ctx, "x", 100)
	wantCode(t, err, fault.FailedPrecondition)
	_, err = CopyObject(ctx, other, Entry{Key: "none"}, s, "y", false)
	wantCode(t, err, fault.NotFound)
}

// A listing of a dry run is that of a store where all of it was done, on every page size, level and order.
func TestOverlayListingsAreTheRealOnes(t *testing.T) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(3, 4))
	name := func() string {
		parts := []string{"a", "b", "a.b", "c"}
		k := parts[rnd.IntN(4)]
		for range rnd.IntN(3) {
			k += "/" + parts[rnd.IntN(4)]
		}
		return k
	}
	for round := range 300 {
		base, real := newMem(), newMem()
		order := []Order{OrderByKey, OrderNone}[round%2]
		base.caps.Order = order
		for range rnd.IntN(20) {
			k := name()
			base.set(k, "x")
			real.set(k, "x")
		}
		o := Overlay(base)
		for range rnd.IntN(15) {
			k := name()
			if rnd.IntN(3) == 0 {
				_ = o.Delete(ctx, k, Cond{})
				_ = real.Delete(ctx, k, Cond{})
				continue
			}
			if _, err := o.Put(ctx, k, BytesBody([]byte("yy")), PutOptions{}); err != nil {
				t.Fatal(err)
			}
			real.set(k, "yy")
		}
		base.page = 1 + rnd.IntN(5)
		q := Query{Max: rnd.IntN(4), Prefix: []string{"", "a", "a/", "b/a"}[rnd.IntN(4)]}
		if rnd.IntN(2) == 0 {
			q.Delimiter = "/"
		} else if rnd.IntN(2) == 0 {
			q.After, q.Before = name(), name()
		}
		want := flatten(t, real, q)
		got := flatten(t, o, q)
		if order != OrderByKey {
			slices.Sort(got)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d, order %s, %+v, base pages of %d:\n got %q\nwant %q\nbase %q\nplan %+v", round, order, q, base.page, got, want, base.keys(), o.Plan())
		}
	}
}

// flatten lists page by page and checks that pages keep to Max.
func flatten(t *testing.T, d Driver, q Query) []string {
	t.Helper()
	var out []string
	for pages := 0; ; pages++ {
		p, err := d.List(context.Background(), q)
		if err != nil || pages > 1000 {
			t.Fatal(err, pages)
		}
		if q.Max > 0 && len(p.Entries)+len(p.Prefixes) > q.Max {
			t.Fatalf("%d entries, asked for %d", len(p.Entries)+len(p.Prefixes), q.Max)
		}
		var page []string
		for _, e := range p.Entries {
			page = append(page, fmt.Sprint(e.Key, " ", e.Size))
		}
		page = append(page, p.Prefixes...)
		slices.Sort(page)
		out = append(out, page...)
		if p.Next == "" {
			return out
		}
		q.Token = p.Next
	}
}

func TestOverlayTokensOfStrangers(t *testing.T) {
	for _, token := range []string{"x", "b", "b9:x", "b-1:x", "bx:y", "k1"} {
		_, err := Overlay(newMem()).List(context.Background(), Query{Token: token})
		wantCode(t, err, fault.InvalidArgument)
	}
}

// Many writers of one key in a dry run have one winner, and the plan one step.
func TestOverlayOneWinner(t *testing.T) {
	o := Overlay(newMem())
	s := newStore(t, o, Options{})
	done := make(chan error)
	for i := range 32 {
		go func() {
			_, err := s.Put(context.Background(), "k", BytesBody(bytes.Repeat([]byte{byte(i)}, 100)), WriteOptions{Exclusive: true})
			done <- err
		}()
	}
	won := 0
	for range 32 {
		if err := <-done; err == nil {
			won++
		} else if !fault.Is(err, fault.AlreadyExists) {
			t.Error(err)
		}
	}
	if won != 1 || len(o.Plan()) != 1 {
		t.Error(won, "winners,", o.Plan())
	}
}
