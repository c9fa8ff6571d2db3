package store

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// synthetic is a store of n objects that costs next to nothing itself: pages are cut from one array of keys, and
// bodies are empty. Everything measured over it is the portable layer's own.
type synthetic struct {
	*memDriver
	keys    []string
	copying bool
	missing int // every so many keys are absent
}

var syntheticTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newSynthetic(n int) *synthetic {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("train/shard-%04d/part-%07d.csv", i/1000, i)
	}
	return &synthetic{memDriver: newMem(), keys: keys}
}

func (d *synthetic) List(_ context.Context, q Query) (Page, error) {
	i, _ := strconv.Atoi(q.Token)
	if q.Token == "" && q.After != "" {
		i = sort.SearchStrings(d.keys, q.After+"\x00")
	}
	p := Page{Entries: make([]Entry, 0, 1000)}
	for ; i < len(d.keys) && len(p.Entries) < 1000; i++ {
		if d.missing > 0 && i%d.missing == 0 {
			continue
		}
		p.Entries = append(p.Entries, Entry{Key: d.keys[i], Size: 100, ETag: "e", Modified: syntheticTime})
	}
	if i < len(d.keys) {
		p.Next = strconv.Itoa(i)
	}
	return p, nil
}

func (d *synthetic) CopyFrom(_ context.Context, _ Driver, _, dstKey string, _ CopyOptions) (Entry, error) {
	if !d.copying {
		return Entry{}, fault.New(fault.Unimplemented, "no")
	}
	return Entry{Key: dstKey, Size: 100}, nil
}

const million = 1_000_000

// perKey reports processor time, allocations and bytes for each key instead of each run.
func perKey(b *testing.B, n int, run func()) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := cpuTime()
	for b.Loop() {
		run()
	}
	took := cpuTime() - start
	runtime.ReadMemStats(&after)
	keys := float64(n) * float64(b.N)
	b.ReportMetric(float64(took.Nanoseconds())/keys, "cpu-ns/key")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/keys, "allocs/key")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/keys, "B/key")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkListMillion(b *testing.B) {
	d := newSynthetic(million)
	for name, o := range map[string]ListOptions{"all": {}, "suffix": {Pattern: "train/**/*.csv"}, "glob": {Pattern: "train/shard-*/part-*[05].csv"}} {
		for _, order := range []Order{OrderByKey, OrderNone} {
			b.Run(name+"/"+order.String(), func(b *testing.B) {
				d.caps.Order = order
				s := newStore(b, d, Options{})
				ctx := context.Background()
				perKey(b, million, func() {
					l := s.List(ctx, o)
					for {
						if _, err := l.Next(ctx); err == io.EOF {
							return
						} else if err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		}
	}
}

func BenchmarkCopyMillion(b *testing.B) {
	for _, c := range []struct {
		name    string
		missing int
		o       Overwrite
	}{{"nothing to do", 0, OverwriteIfChanged}, {"one in a hundred", 100, OverwriteIfChanged}, {"all by the service", 0, OverwriteAlways}} {
		b.Run(c.name, func(b *testing.B) {
			src, dst := newSynthetic(million), newSynthetic(million)
			dst.missing, dst.copying = c.missing, true
			s, d := newStore(b, src, Options{}), newStore(b, dst, Options{})
			perKey(b, million, func() {
				res, err := Copy(context.Background(), s, d, CopyJob{Overwrite: c.o})
				if err != nil || res.Copied+res.Skipped != million {
					b.Fatal(res, err)
				}
			})
		})
	}
}

// The merge walk holds pages, at most 48 of each side, not keys: its peak over the start does not grow with the number of
// entries.
func TestCopyMemoryIsFlat(t *testing.T) {
	const n = 200_000
	src, dst := newSynthetic(n), newSynthetic(n)
	s, d := newStore(t, src, Options{}), newStore(t, dst, Options{})
	runtime.GC()
	var base, now runtime.MemStats
	runtime.ReadMemStats(&base)
	var peak uint64
	var mu sync.Mutex
	pages := 0
	src.before = func(string, string, int) error { return nil }
	watch := Options{Layers: []Interceptor{func(ctx context.Context, c Call, next func(context.Context) error) error {
		mu.Lock()
		if pages++; pages%50 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc-min(base.HeapAlloc, now.HeapAlloc))
		}
		mu.Unlock()
		return next(ctx)
	}}}
	s, d = newStore(t, src, watch), newStore(t, dst, watch) // neither side allocates while it is measured
	res, err := Copy(context.Background(), s, d, CopyJob{Overwrite: OverwriteIfChanged, DeleteExtra: true})
	if err != nil || res.Skipped != n {
		t.Fatal(res, err)
	}
	if peak > 28<<20 {
		t.Errorf("%d bytes held while %d entries were compared", peak, n)
	}
	t.Logf("peak %d KiB over the start", peak>>10)
}
