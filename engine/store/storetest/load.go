package storetest

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

var loadChecks = []check{
	{"Load/ConcurrentUse", true, concurrentUse},
	{"Load/LargeObjectInFlatMemory", true, largeObject},
}

// concurrentUse mixes all calls on a few keys. Every object names its own content, so that a mixture shows.
func concurrentUse(t testing.TB, s *suite) {
	d := s.open(t)
	other := s.again(t, d)
	var wg sync.WaitGroup
	rounds := testbed.Scale(15, 200)
	for w := range 8 {
		d := []store.Driver{d, other}[w%2]
		wg.Go(func() {
			for i := range rounds {
				key := fmt.Sprintf("mixed/%d", (w+i)%5)
				n := 1000 + (w*7919+i*104729)%200_000
				if _, err := d.Put(t.Context(), key, pattern(n).body(0, int64(n)), store.PutOptions{}); err != nil {
					t.Errorf("put among others: %v", err)
				}
				x, err := d.Get(t.Context(), fmt.Sprintf("mixed/%d", (w+i+1)%5), store.GetOptions{})
				if err == nil {
					err = pattern(x.Total).compare(x.Body, 0, x.Total)
					x.Body.Close()
				}
				// An object may vanish or be replaced under a reader, who must then get an error and no mixture.
				if err != nil && d.Classify(err).Code == fault.Internal {
					t.Errorf("get among others: %v", err)
				}
				if _, err := d.List(t.Context(), store.Query{Prefix: "mixed/"}); err != nil {
					t.Errorf("list among others: %v", err)
				}
				if i%3 == 0 {
					if err := d.Delete(t.Context(), key, store.Cond{}); err != nil {
						t.Errorf("delete among others: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	got, err := listAll(t, d, store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range got.keys {
		x, err := d.Get(t.Context(), k, store.GetOptions{})
		if err != nil {
			t.Errorf("%s is listed and cannot be read: %v", k, err)
			continue
		}
		if err := pattern(x.Total).compare(x.Body, 0, x.Total); err != nil {
			t.Errorf("%s after all writers: %v", k, err)
		}
		x.Body.Close()
	}
}

// largeObject passes an object through that is larger than what the driver may hold of it.
func largeObject(t testing.TB, s *suite) {
	size := s.MaxSize
	if size == 0 {
		size = testbed.Scale[int64](64<<20, 4<<30)
	}
	const bound = 32 << 20
	d := s.open(t)
	if m := d.Caps().MaxSize; m > 0 && m < size {
		size = m / 2
	}
	ctx, cancel := context.WithCancel(t.Context())
	peak := heapPeak(ctx)
	if _, err := d.Put(t.Context(), "large", pattern(99).body(0, size), store.PutOptions{}); err != nil {
		t.Fatalf("put of %d bytes: %v", size, err)
	}
	x, err := d.Get(t.Context(), "large", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Body.Close()
	if err := pattern(99).compare(x.Body, 0, size); err != nil {
		t.Errorf("an object of %d bytes: %v", size, err)
	}
	off := size - 12345
	x, err = d.Get(t.Context(), "large", store.GetOptions{Range: &store.Range{Off: off &^ 7, Len: 4096}})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Body.Close()
	if err := pattern(99).compare(io.LimitReader(x.Body, 4096), off&^7, 4096); err != nil {
		t.Errorf("a range near the end of %d bytes: %v", size, err)
	}
	cancel()
	if grew := peak(); grew > bound && !s.InProcess {
		t.Errorf("%d MiB through the driver took %d MiB of memory, the bound is %d: large objects would end the process", size>>20, grew>>20, bound>>20)
	}
}

// heapPeak watches the heap until ctx ends; the function returns how far it rose above its base.
func heapPeak(ctx context.Context) func() int64 {
	var base, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	var peak atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			runtime.ReadMemStats(&now)
			peak.Store(max(peak.Load(), int64(now.HeapAlloc)-int64(base.HeapAlloc)))
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() int64 { <-done; return peak.Load() }
}
