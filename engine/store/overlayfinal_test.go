package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// Final tells what is there in the end, with the state of the base, in the order of the last changes.
func TestOverlayFinal(t *testing.T) {
	ctx := context.Background()
	base, source := newMem(), newMem()
	base.set("old", "1")
	base.set("gone", "22")
	base.set("back", "333")
	source.set("src", "4444")
	o, from := Overlay(base), Overlay(source)
	put := func(key, text string) {
		t.Helper()
		if _, err := o.Put(ctx, key, BytesBody([]byte(text)), PutOptions{Attrs: Attributes{ContentType: "t/" + text}}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(key string) {
		t.Helper()
		if err := o.Delete(ctx, key, Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	put("old", "first")
	put("new", "x")
	put("temp", "x")
	remove("gone")
	remove("back")
	put("back", "again")
	put("old", "second")
	remove("temp")
	remove("absent")
	if _, err := o.CopyFrom(ctx, from, "src", "copy", CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range o.Final() {
		s := p.Key
		if p.Base != nil {
			s += fmt.Sprintf(" was %d", p.Base.Size)
		}
		switch {
		case p.Gone:
			s += " gone"
		case p.From != nil:
			s += fmt.Sprintf(" from %s of %d", p.From.Key, p.From.Entry.Size)
			if p.From.Driver != Driver(from) {
				t.Error("the source's driver is another one")
			}
		default:
			s += fmt.Sprintf(" is %s (%s)", p.Data, p.Entry.Attrs.ContentType)
		}
		got = append(got, s)
	}
	want := "new is x (t/x); gone was 2 gone; back was 3 is again (t/again); old was 1 is second (t/second); copy from src of 4"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}
