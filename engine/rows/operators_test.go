package rows

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// Sort agrees with a plain stable sort of materialised rows.
func TestSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 25 {
		var batches []*Batch
		var recs []*Object
		for range 1 + rng.IntN(4) {
			b := randomBatch(rng, 1+rng.IntN(900))
			batches = append(batches, b)
			for i := range b.N {
				recs = append(recs, Row(b, i))
			}
		}
		var keys []SortKey
		for range 1 + rng.IntN(3) {
			keys = append(keys, SortKey{fmt.Sprint("c", rng.IntN(8)), rng.IntN(2) == 0}) // c7 is not there
		}
		slices.SortStableFunc(recs, func(a, b *Object) int {
			for _, k := range keys {
				x, _ := a.Get(k.Column)
				y, _ := b.Get(k.Column)
				if c := Compare(x, y); c != 0 {
					if k.Desc {
						return -c
					}
					return c
				}
			}
			return 0
		})
		got := all(t, Sort(FromBatches(batches...), keys, 0))
		n := 0
		for _, b := range got {
			if b.First != int64(n) {
				t.Fatal("first")
			}
			for i := range b.N {
				for _, k := range append(keys, SortKey{Column: "id"}) {
					want, _ := recs[n].Get(k.Column)
					if x, _ := Row(b, i).Get(k.Column); !Equal(x, want) {
						t.Fatalf("%v: row %d: %s is %v, want %v", keys, n, k.Column, x, want)
					}
				}
				n++
			}
		}
		if n != len(recs) {
			t.Fatalf("%d rows of %d", n, len(recs))
		}
	}
}

func TestDistinctAndJoin(t *testing.T) {
	b := FromBatches(build(t, rec("a", int64(1), "b", "x"), rec("b", "x", "a", 1.0), rec("a", int64(1), "b", "y")),
		build(t, rec("b", "x", "a", int64(1), "z", nil), rec("b", nil), rec("z", nil)))
	if got := show(all(t, Distinct(b, nil, 0))...); got != "a=1 b=x\na=1 b=y\nb=<nil>\n" {
		t.Errorf("rows: %s", got)
	}
	b = FromBatches(build(t, rec("a", int64(1), "b", "x"), rec("a", 1.0, "b", "y"), rec("b", "z"), rec("a", nil)))
	if got := show(all(t, Distinct(b, []string{"a"}, 0))...); got != "a=1 b=x\nb=z\n" {
		t.Errorf("columns: %s", got)
	}
	left := build(t, rec("k", int64(1), "v", "a"), rec("k", int64(2), "v", "b"), rec("v", "c"), rec("k", nil, "v", "d"), rec("k", 1.0, "v", "e"))
	right := build(t, rec("id", int64(1), "v", "r1"), rec("id", int64(3), "v", "r2"), rec("id", int64(1), "w", "r3"), rec("id", nil, "v", "r4"))
	o := JoinOptions{On: []string{"k"}, RightOn: []string{"id"}}
	want := "k=1 v=a v_right=r1\nk=1 v=a w=r3\nk=1 v=e v_right=r1\nk=1 v=e w=r3\n"
	if got := show(all(t, Join(FromBatches(left), FromBatches(right), o))...); got != want {
		t.Errorf("inner: got\n%swant\n%s", got, want)
	}
	o.Left = true
	want = "k=1 v=a v_right=r1\nk=1 v=a w=r3\nk=2 v=b v_right=<nil> w=<nil>\nv=c v_right=<nil> w=<nil>\nk=<nil> v=d v_right=<nil> w=<nil>\n" +
		"k=1 v=e v_right=r1\nk=1 v=e w=r3\n"
	if got := show(all(t, Join(FromBatches(left), FromBatches(right), o))...); got != want {
		t.Errorf("left: got\n%swant\n%s", got, want)
	}
	// Long rows make small batches.
	wide := []*Object{}
	for i := range 100 {
		wide = append(wide, rec("k", int64(i%2), "s", strings.Repeat("x", 200<<10)))
	}
	for name, src := range map[string]Source{
		"sort": Sort(FromBatches(build(t, wide...)), []SortKey{{"k", true}}, 0),
		"join": Join(FromBatches(build(t, rec("k", int64(0)), rec("k", int64(1)))), FromBatches(build(t, wide...)), JoinOptions{On: []string{"k"}}),
	} {
		n := 0
		for _, b := range all(t, src) {
			if n += b.N; b.Size() > 2*batchBytes {
				t.Errorf("%s: a batch of %d bytes", name, b.Size())
			}
		}
		if n != 100 {
			t.Errorf("%s: %d rows", name, n)
		}
	}
	// Many matches of one row come in batches of bounded size.
	many := NewBuilder(nil)
	for i := range 5000 {
		if err := many.AppendObject(rec("k", int64(7), "i", int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	got := all(t, Join(FromBatches(build(t, rec("k", int64(7)), rec("k", int64(7)))), FromBatches(many.Batch()), JoinOptions{On: []string{"k"}}))
	n := int64(0)
	for _, b := range got {
		if b.N > 2*BatchSize || b.First != n {
			t.Fatalf("%d rows from %d on", b.N, b.First)
		}
		for i := range b.N {
			if x := At(b, i, 1); x != (n+int64(i))%5000 {
				t.Fatalf("row %d has %v", n, x)
			}
		}
		n += int64(b.N)
	}
	if n != 10000 {
		t.Errorf("%d rows", n)
	}
}

func TestGroup(t *testing.T) {
	b := build(t, rec("k", "x", "v", int64(math.MaxInt64)), rec("k", "y", "v", 1.5), rec("k", "x", "v", int64(1)), rec("v", int64(5)),
		rec("k", "x", "v", nil), rec("k", "y"), rec("k", "x", "v", int64(1)))
	aggs := []Agg{{"n", "count", ""}, {"c", "count", "v"}, {"s", "sum", "v"}, {"m", "mean", "v"}, {"lo", "min", "v"}, {"hi", "max", "v"}, {"d", "distinct", "v"}}
	got := show(all(t, Group(FromBatches(b), []string{"k"}, aggs, 0))...)
	want := "k=x n=4 c=3 s=9223372036854775809 m=3.0744573456182584e+18 lo=1 hi=9223372036854775807 d=2\n" +
		"k=y n=2 c=1 s=1.5 m=1.5 lo=1.5 hi=1.5 d=1\nk=<nil> n=1 c=1 s=5 m=5 lo=5 hi=5 d=1\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	got = show(all(t, Group(FromBatches(), nil, aggs, 0))...)
	if want := "n=0 c=0 s=0 m=<nil> lo=<nil> hi=<nil> d=0\n"; got != want {
		t.Errorf("of nothing: got\n%swant\n%s", got, want)
	}
	if got := all(t, Group(FromBatches(), []string{"k"}, aggs, 0)); len(got) != 0 {
		t.Errorf("groups of nothing: %s", show(got...))
	}
	for _, a := range []Agg{{"x", "median", "v"}, {"x", "sum", "k"}, {"k", "count", ""}, {"x", "sum", ""}} {
		if _, err := Group(FromBatches(b), []string{"k"}, []Agg{a}, 0).Next(context.Background()); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%v: %v", a, err)
		}
	}
}

func TestSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 200 {
		var s Sum
		exact := new(big.Int)
		for range 50 {
			v := int64(rng.Uint64())
			if rng.IntN(3) == 0 {
				v = math.MinInt64
			}
			s.AddInt(v)
			exact.Add(exact, big.NewInt(v))
		}
		if Compare(s.Value(), exact) != 0 {
			t.Fatalf("got %v, want %v", s.Value(), exact)
		}
	}
	var s Sum
	for _, f := range []float64{1, 1e100, 1, -1e100} { // Neumaier's own example: plain summation gives 0
		s.AddFloat(f)
	}
	if s.Value() != 2.0 {
		t.Errorf("got %v", s.Value())
	}
	s.AddFloat(math.Inf(1))
	if s.Value() != math.Inf(1) {
		t.Errorf("with infinity: %v", s.Value())
	}
	s.AddInt(1)
	s.AddFloat(math.Inf(-1))
	if !math.IsNaN(s.Value().(float64)) {
		t.Errorf("with both infinities: %v", s.Value())
	}
}

func TestStats(t *testing.T) {
	stats, err := Stats(context.Background(), FromBatches(build(t, rec("a", int64(3), "b", "x"), rec("a", nil, "b", int64(1)), rec("b", "y")),
		build(t, rec("c", 2.5, "a", int64(-1)))))
	if err != nil {
		t.Fatal(err)
	}
	want := "column=a type=int count=2 nulls=1 absent=1 min=-1 max=3 mean=1 distinct=2\n" +
		"column=b type=string|int count=3 nulls=0 absent=1 min=1 max=y mean=1 distinct=3\n" +
		"column=c type=float count=1 nulls=0 absent=3 min=2.5 max=2.5 mean=2.5 distinct=1\n"
	if got := show(StatsBatch(stats)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var c cardinality
	next := 1000
	for i := range 1000000 {
		c.add(Hash(int64(i)))
		if i+1 == next {
			if got := float64(c.count()); math.Abs(got/float64(next)-1) > 5*0.0163 || next <= exactValues && got != float64(next) {
				t.Errorf("%d different values are counted as %v", next, got)
			}
			next = next * 3 / 2
		}
	}
}

// Every operator that holds rows stops at its limit, and not before it needs to.
func TestOperatorLimits(t *testing.T) {
	src := func() Source {
		b := NewBuilder(nil)
		var batches []*Batch
		for i := range 20000 {
			if err := b.AppendObject(rec("k", fmt.Sprintf("key-%010d", i), "v", int64(i))); err != nil {
				t.Fatal(err)
			}
			if b.Full() {
				batches = append(batches, b.Batch())
			}
		}
		return FromBatches(append(batches, b.Batch())...)
	}
	for name, op := range map[string]func(limit int64) Source{
		"sort":     func(l int64) Source { return Sort(src(), []SortKey{{"k", true}}, l) },
		"distinct": func(l int64) Source { return Distinct(src(), nil, l) },
		"join":     func(l int64) Source { return Join(src(), src(), JoinOptions{On: []string{"k"}, Limit: l}) },
		"group":    func(l int64) Source { return Group(src(), []string{"k"}, []Agg{{"n", "count", ""}}, l) },
		"counted":  func(l int64) Source { return Group(src(), nil, []Agg{{"n", "distinct", "k"}}, l) },
	} {
		err := Each(context.Background(), op(100<<10), func(*Batch) error { return nil })
		if !fault.Is(err, fault.Limit) || fault.ClassOf(err).Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err := Each(context.Background(), op(16<<20), func(*Batch) error { return nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
