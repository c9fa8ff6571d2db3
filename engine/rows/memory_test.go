package rows

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// endless makes rows with ever new keys for as long as it is asked.
type endless struct {
	n     int64
	build *Builder
}

func (e *endless) Next(ctx context.Context) (*Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.n > 20_000_000 {
		return nil, io.EOF
	}
	for e.build.Len() < BatchSize {
		e.n++
		if err := e.build.AppendRow(fmt.Sprintf("key-%d", e.n), e.n, float64(e.n)/3); err != nil {
			return nil, err
		}
	}
	return e.build.Batch(), nil
}

func (e *endless) Close() error { return nil }

// What an operator counts is what it holds: when it stops at its limit, the heap has grown by at most one and a half times
// the limit, and by at least a quarter of it.
func TestLimitsAreHonest(t *testing.T) {
	const limit = 16 << 20
	src := func() Source {
		return &endless{build: NewBuilder(NewSchema([]string{"k", "i", "f"}, []Type{String, Int, Float}))}
	}
	one := FromBatches(build(t, rec("k", "x")))
	for name, op := range map[string]Source{
		"sort":          Sort(src(), []SortKey{{"k", false}}, limit),
		"distinct":      Distinct(src(), []string{"k"}, limit),
		"distinct rows": Distinct(src(), nil, limit),
		"join":          Join(one, src(), JoinOptions{On: []string{"k"}, Limit: limit}),
		"group":         Group(src(), []string{"k"}, []Agg{{"n", "count", ""}, {"s", "sum", "f"}, {"m", "max", "k"}}, limit),
		"group ints":    Group(src(), []string{"i"}, nil, limit),
		"distinct of":   Group(src(), nil, []Agg{{"d", "distinct", "i"}}, limit),
	} {
		// The heap is read whenever the operator asks for input, while all that it holds is in use.
		var peak uint64
		base := heap()
		switch o := op.(type) {
		case *lazySource:
			for i := range o.in {
				if w, ok := o.in[i].(*once); ok {
					w.Source = &watcher{Source: w.Source, peak: &peak}
				}
			}
		case *mapSource:
			o.src = &watcher{Source: o.src, peak: &peak}
		}
		err := Each(context.Background(), op, func(*Batch) error { return nil })
		if !fault.Is(err, fault.Limit) {
			t.Fatalf("%s: %v", name, err)
		}
		grown := int64(peak) - int64(base)
		t.Logf("%s: %d MiB", name, grown>>20)
		if grown > limit*3/2 || grown < limit/4 {
			t.Errorf("%s holds %d MiB at a limit of %d", name, grown>>20, limit>>20)
		}
	}
}

// watcher notes the heap before every 40th batch.
type watcher struct {
	Source
	n    int
	peak *uint64
}

func (w *watcher) Next(ctx context.Context) (*Batch, error) {
	if w.n++; w.n%40 == 0 {
		*w.peak = max(*w.peak, heap())
	}
	return w.Source.Next(ctx)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
