package rows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// rec makes a record of names and values.
func rec(kv ...any) *Object {
	o := &Object{}
	for i := 0; i < len(kv); i += 2 {
		o.Keys, o.Vals = append(o.Keys, kv[i].(string)), append(o.Vals, kv[i+1])
	}
	return o
}

func build(t testing.TB, recs ...*Object) *Batch {
	t.Helper()
	b, err := Build(recs...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// show prints batches as records, one a line.
func show(batches ...*Batch) string {
	var s strings.Builder
	for _, b := range batches {
		for i := range b.N {
			o := Row(b, i)
			for k := range o.Keys {
				if k > 0 {
					s.WriteByte(' ')
				}
				fmt.Fprintf(&s, "%s=%v", o.Keys[k], o.Vals[k])
			}
			s.WriteByte('\n')
		}
	}
	return s.String()
}

func all(t testing.TB, src Source) []*Batch {
	t.Helper()
	var out []*Batch
	if err := Each(context.Background(), src, func(b *Batch) error { out = append(out, b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// closer tells whether its source was closed, and fails the test when it is used afterwards.
type closer struct {
	Source
	t      *testing.T
	closed int
}

func (c *closer) Next(ctx context.Context) (*Batch, error) {
	if c.closed > 0 {
		c.t.Error("Next after Close")
	}
	return c.Source.Next(ctx)
}

func (c *closer) Close() error { c.closed++; return c.Source.Close() }

// failing fails after its batches.
type failing struct {
	Source
	err error
}

func (f failing) Next(ctx context.Context) (*Batch, error) {
	b, err := f.Source.Next(ctx)
	if err == io.EOF {
		err = f.err
	}
	return b, err
}

var someValues = []any{nil, false, true, math.NaN(), math.Inf(-1), new(big.Int).Lsh(big.NewInt(-1), 70), int64(math.MinInt64), -1.5,
	int64(0), 0.5, int64(1), int64(1) << 53, int64(1)<<53 + 1, int64(math.MaxInt64), float64(1 << 63), new(big.Int).Lsh(big.NewInt(1), 70),
	1e300, math.Inf(1), "", "a", "ab", "b", []byte{}, []byte("a"), time.Unix(0, 0), time.Unix(1, 0),
	[]any{}, []any{nil}, []any{int64(1)}, []any{int64(1), "x"}, []any{int64(2)}, rec(), rec("a", nil), rec("a", int64(1)), rec("b", nil)}

// The values above stand in their order, so that each pair is known.
func TestCompareIsTotal(t *testing.T) {
	for i, a := range someValues {
		for j, b := range someValues {
			want := 0
			if i != j {
				want = 1
				if i < j {
					want = -1
				}
			}
			if got := Compare(a, b); got != want {
				t.Errorf("Compare(%v, %v) = %d, want %d", a, b, got, want)
			}
			if same := string(AppendKey(nil, a)) == string(AppendKey(nil, b)); same != (i == j) {
				t.Errorf("keys of %v and %v: same is %v", a, b, same)
			}
		}
	}
	for _, p := range [][2]any{{int64(1), 1.0}, {0.0, math.Copysign(0, -1)}, {float64(1 << 62), int64(1 << 62)},
		{new(big.Int).Lsh(big.NewInt(1), 70), math.Ldexp(1, 70)}, {big.NewInt(5), int64(5)}, {math.NaN(), math.Float64frombits(0x7ff8000000000123)},
		{time.Unix(1, 0), time.Unix(1, 0).UTC()}, {[]any{int64(1)}, []any{1.0}}} {
		if !Equal(p[0], p[1]) || string(AppendKey(nil, p[0])) != string(AppendKey(nil, p[1])) || Hash(p[0]) != Hash(p[1]) {
			t.Errorf("%v and %v are not equal", p[0], p[1])
		}
	}
	for _, p := range [][2]any{{int64(1)<<53 + 1, float64(1 << 53)}, {int64(math.MaxInt64), float64(1 << 63)}} {
		if Equal(p[0], p[1]) || Hash(p[0]) == Hash(p[1]) {
			t.Errorf("%v and %v are equal", p[0], p[1])
		}
	}
}

func TestBuilderInfersTypes(t *testing.T) {
	b := build(t, rec("i", int64(1), "n", nil, "m", int64(1)), rec("s", "x", "i", int64(2), "m", "y"), rec("m", 2.5, "b", []byte("z"), "n", true))
	if got := fmt.Sprint(b.Schema.Names, b.Schema.Types, b.Schema.Open); got != "[i n m s b] [int bool any string bytes] true" {
		t.Error(got)
	}
	want := "i=1 n=<nil> m=1\ni=2 m=y s=x\nn=true m=2.5 b=[122]\n"
	if got := show(b); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if _, err := Build(rec("a", int64(1), "a", int64(2))); err == nil {
		t.Error("a field twice is taken")
	}
	if _, err := Build(rec("a", struct{}{})); err == nil {
		t.Error("a struct is taken")
	}
}

// A row that fails leaves nothing behind, neither cells nor columns.
func TestBuilderDropRow(t *testing.T) {
	b := NewBuilder(nil)
	for range 70 {
		if err := b.AppendObject(rec("a", "x", "n", nil)); err != nil {
			t.Fatal(err)
		}
		if err := b.AppendObject(rec("n", nil, "a", "wrong", "new", int64(1), "bad", struct{}{})); err == nil {
			t.Fatal("taken")
		}
	}
	got := b.Batch()
	if got.N != 70 || !slices.Equal(got.Schema.Names, []string{"a", "n"}) || got.Cols[1].Null.Count() != 70 || got.Cols[0].Text != strings.Repeat("x", 70) {
		t.Errorf("%d rows, %v, %s", got.N, got.Schema.Names, show(got))
	}
	f := NewBuilder(NewSchema([]string{"i", "f"}, []Type{Int, Float}))
	if err := f.AppendRow("x", 1.0); err == nil || err.Error() != `column "i": got string, want int` {
		t.Error(err)
	}
	if err := f.AppendRow(int64(1), int64(2)); err != nil {
		t.Error(err)
	}
	if err := f.AppendRow(int64(1), int64(1)<<53+1); err == nil {
		t.Error("an int is rounded")
	}
	if got := show(f.Batch()); got != "i=1 f=2\n" {
		t.Error(got)
	}
}

// Batches that were handed out stay as they are while the builder goes on.
func TestBatchesAreImmutable(t *testing.T) {
	b := NewBuilder(nil)
	var batches []*Batch
	var want []string
	for round := range 5 {
		for i := range 100 {
			if err := b.AppendObject(rec("s", fmt.Sprint(round, i), "i", int64(i*round), "x", nil)); err != nil {
				t.Fatal(err)
			}
		}
		batches = append(batches, b.Batch())
		want = append(want, show(batches[round]))
	}
	for i := range batches {
		if show(batches[i]) != want[i] || batches[i].First != int64(i*100) || batches[i].Schema != batches[0].Schema {
			t.Errorf("batch %d changed", i)
		}
	}
}

// randomBatch has every type of column, nulls and absent cells.
func randomBatch(rng *rand.Rand, n int) *Batch {
	b := NewBuilder(nil)
	for i := range n {
		o := rec("id", int64(i))
		for k, v := range []any{rng.Int64N(50) - 25, float64(rng.IntN(20)) / 4, fmt.Sprint("s", rng.IntN(30)), rng.IntN(2) == 0,
			time.Unix(rng.Int64N(9), 0), []byte{byte(rng.IntN(4))}, someValues[rng.IntN(len(someValues))]} {
			switch rng.IntN(10) {
			case 0:
				v = nil
			case 1:
				continue
			}
			o.Keys, o.Vals = append(o.Keys, fmt.Sprint("c", k)), append(o.Vals, v)
		}
		if err := b.AppendObject(o); err != nil {
			panic(err)
		}
	}
	return b.Batch()
}

func TestSliceFilterGatherConcat(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		b := randomBatch(rng, 1+rng.IntN(300))
		lines := strings.SplitAfter(show(b), "\n")
		i := rng.IntN(b.N)
		j := i + rng.IntN(b.N-i+1)
		if got, want := show(Slice(b, i, j)), strings.Join(lines[i:j], ""); got != want {
			t.Fatalf("slice %d:%d of %d: got\n%swant\n%s", i, j, b.N, got, want)
		}
		if got, want := show(Compact(Slice(b, i, j))), strings.Join(lines[i:j], ""); got != want {
			t.Fatalf("compact slice: got\n%swant\n%s", got, want)
		}
		var keep Bits
		want := ""
		for k := range b.N {
			if rng.IntN(3) == 0 {
				keep = keep.Set(k)
				want += lines[k]
			}
		}
		keep = keep.Set(b.N + 100) // bits beyond the batch mean nothing
		if got := show(Filter(b, keep)); got != want {
			t.Fatalf("filter: got\n%swant\n%s", got, want)
		}
		if got := show(Concat(Slice(b, 0, i), Slice(b, i, j), Slice(b, j, b.N))); got != show(b) {
			t.Fatalf("concat: got\n%swant\n%s", got, show(b))
		}
		var idx []int32
		want = ""
		for range rng.IntN(20) {
			k := rng.IntN(b.N)
			idx = append(idx, int32(k))
			want += lines[k]
		}
		if got := show(Gather(b, idx)); got != want {
			t.Fatalf("gather: got\n%swant\n%s", got, want)
		}
	}
	b := Concat(build(t, rec("a", int64(1))), build(t, rec("b", "x"), rec("a", "y")))
	if got := show(b); got != "a=1\nb=x\na=y\n" || b.Schema.Types[0] != Any {
		t.Errorf("differing schemas: %s %v", got, b.Schema.Types)
	}
}

func TestTransforms(t *testing.T) {
	b := build(t, rec("a", "1", "b", int64(2), "c", 2.0), rec("a", " ", "b", int64(3)))
	closed := *b
	closed.Schema = NewSchema(b.Schema.Names, b.Schema.Types)
	for _, tt := range []struct {
		name string
		fn   Transform
		want string
	}{
		{"select", Select("c", "a"), "c=2 a=1\na= \n"},
		{"drop", Drop("b", "c"), "a=1\na= \n"},
		{"rename", Rename(map[string]string{"a": "b", "b": "a"}), "b=1 a=2 c=2\nb=  a=3\n"},
		{"cast", Cast(map[string]Type{"a": Int, "b": String, "c": Int}), "a=1 b=2 c=2\na=<nil> b=3\n"},
	} {
		x, err := tt.fn(b)
		if err != nil || show(x) != tt.want {
			t.Errorf("%s: got %v\n%swant\n%s", tt.name, err, show(x), tt.want)
		}
		if y, err := tt.fn(b); err != nil || y.Schema != x.Schema {
			t.Errorf("%s: the schema is not shared", tt.name)
		}
	}
	if x, err := Select("zz")(b); err != nil || show(x) != "\n\n" {
		t.Errorf("an open schema: %v", err)
	}
	for _, fn := range []Transform{Select("zz"), Drop("zz"), Rename(map[string]string{"zz": "y"}), Cast(map[string]Type{"zz": Int}), Select("a", "a"),
		Rename(map[string]string{"a": "b"})} {
		if _, err := fn(&closed); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := Cast(map[string]Type{"a": Bool, "b": Bool})(b); !fault.Is(err, fault.BadRow) || err.Error() != `bad_row: row 1: column "b": got int, want bool: "2"` {
		t.Error(err)
	}
	if x := With(b, "b", absentColumn(2), nil); show(x) != "a=1 c=2\na= \n" {
		t.Error(show(x))
	}
	if x := Map(FromBatches(b), Drop("a", "b", "c")); len(all(t, x)) != 1 {
		t.Error("rows without columns are rows")
	}
}

func TestSources(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	b := randomBatch(rng, 1000)
	parts := func() Source { return FromBatches(Slice(b, 0, 300), Slice(b, 300, 301), Slice(b, 301, 1000)) }
	for _, n := range []int64{0, 1, 299, 300, 301, 302, 999, 1000, 2000} {
		got := show(all(t, Take(parts(), n))...) + show(all(t, Skip(parts(), n))...)
		if got != show(b) {
			t.Errorf("take and skip %d", n)
		}
	}
	var opened []*closer
	open := func(context.Context) (Source, error) {
		for _, c := range opened {
			if c.closed != 1 {
				t.Error("the source before is open")
			}
		}
		c := &closer{Source: parts(), t: t}
		opened = append(opened, c)
		return c, nil
	}
	got := all(t, ConcatSources(open, open, open))
	if show(got...) != strings.Repeat(show(b), 3) || got[len(got)-1].First != 2301 {
		t.Error("concat")
	}
	boom := errors.New("boom")
	for name, src := range map[string]func(Source) Source{
		"sort":     func(s Source) Source { return Sort(s, []SortKey{{"id", false}}, 0) },
		"distinct": func(s Source) Source { return Distinct(s, nil, 0) },
		"group":    func(s Source) Source { return Group(s, nil, nil, 0) },
		"left":     func(s Source) Source { return Join(s, parts(), JoinOptions{On: []string{"id"}}) },
		"right":    func(s Source) Source { return Join(parts(), s, JoinOptions{On: []string{"id"}}) },
		"take":     func(s Source) Source { return Take(s, 5000) },
		"concat":   func(s Source) Source { return ConcatSources(func(context.Context) (Source, error) { return s, nil }) },
	} {
		c := &closer{Source: failing{parts(), boom}, t: t}
		if err := Each(context.Background(), src(c), func(*Batch) error { return nil }); err != boom || c.closed != 1 {
			t.Errorf("%s: error %v, closed %d times", name, err, c.closed)
		}
		c = &closer{Source: parts(), t: t}
		s := src(c)
		if err := s.Close(); err != nil || c.closed != 1 && name != "concat" {
			t.Errorf("%s: closed %d times, %v", name, c.closed, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := src(parts()).Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", name, err)
		}
	}
}
