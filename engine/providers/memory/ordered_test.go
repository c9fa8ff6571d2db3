package memory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// The ordered map against a plain map and a sort, over random changes that split and empty leaves.
func TestOrdered(t *testing.T) {
	for _, shape := range []string{"random", "ascending", "descending"} {
		rnd := rand.New(rand.NewPCG(1, 2))
		var o ordered
		want := map[string]*object{}
		for i := range 20_000 {
			n := i % 5000
			switch shape {
			case "random":
				n = rnd.IntN(5000)
			case "descending":
				n = 5000 - n
			}
			key := fmt.Sprintf("%05d", n)
			if rnd.IntN(3) == 0 {
				if got := o.delete(key); got != want[key] {
					t.Fatalf("%s: delete %s returned another object", shape, key)
				}
				delete(want, key)
				continue
			}
			x := &object{key: key}
			if got := o.put(x); got != want[key] {
				t.Fatalf("%s: put %s replaced another object", shape, key)
			}
			want[key] = x
		}
		var keys []string
		for k, x := range want {
			keys = append(keys, k)
			if o.get(k) != x {
				t.Fatalf("%s: get %s", shape, k)
			}
		}
		slices.Sort(keys)
		var got []string
		for p := o.seek(""); o.at(p) != nil; p = o.after(p) {
			got = append(got, o.at(p).key)
		}
		if !slices.Equal(got, keys) || o.n != len(keys) {
			t.Fatalf("%s: %d keys in order, want %d", shape, len(got), len(keys))
		}
		for range 1000 {
			from := fmt.Sprintf("%05d", rnd.IntN(5100))[:1+rnd.IntN(5)]
			i, _ := slices.BinarySearch(keys, from)
			x := o.at(o.seek(from))
			if i == len(keys) && x != nil || i < len(keys) && (x == nil || x.key != keys[i]) {
				t.Fatalf("%s: seek %s", shape, from)
			}
		}
		for _, k := range keys {
			o.delete(k)
		}
		if o.n != 0 || len(o.leaves) != 0 {
			t.Fatalf("%s: %d keys and %d leaves are left", shape, o.n, len(o.leaves))
		}
	}
}

func BenchmarkOrderedInsert(b *testing.B) {
	var o ordered
	for i := range b.N {
		o.put(&object{key: fmt.Sprintf("%016x", uint64(i)*0x9E3779B97F4A7C15)})
	}
}
