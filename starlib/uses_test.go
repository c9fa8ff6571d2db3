package starlib_test

import (
	"slices"
	"testing"

	"github.com/dsrun/dsrun/starlib"
)

func TestUses(t *testing.T) {
	p, err := starlib.Parse("x.star", []byte(`def main():
    print(ds.raw.list().count(), ds["wörld"].name)
    topics.events.publish("x")
    for n in ds.names():
        print(ds[n])

def other(ds):
    return ds.mine
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []starlib.Use{{"ds", "raw", 2, 14, 17}, {"ds", "wörld", 2, 37, 44}, {"topics", "events", 3, 12, 18}, {"ds", "names", 4, 17, 22}}
	if got := p.Uses(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTexts(t *testing.T) {
	p, err := starlib.Parse("x.star", []byte("def main():\n    print(\"ü\", b\"x\")\n    return \"\"\"a\nb\"\"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []starlib.Text{{"ü", 2, 11, 14}, {"x", 2, 16, 20}, {"a\nb", 3, 12, 12}}
	if got := p.Texts(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
