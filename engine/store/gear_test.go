package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// run works off pieces at a rate that the number of workers decides, on a clock of its own, and returns the workers at the end.
func (g *gear) run(pieces int, rate func(workers int) float64) int {
	at := time.Unix(1, 0)
	g.now = func() time.Time { return at }
	for range pieces {
		at = at.Add(time.Duration(float64(time.Second) / rate(g.limit)))
		g.done(0, 0)
	}
	return g.limit
}

func TestGear(t *testing.T) {
	for name, c := range map[string]struct {
		exact int
		rate  func(int) float64
		want  [2]int
	}{
		"waiting decides":        {0, func(n int) float64 { return float64(n) * 30 }, [2]int{256, 256}},
		"the machine is busy":    {0, func(n int) float64 { return 1000 }, [2]int{8, 16}},
		"up to a point":          {0, func(n int) float64 { return float64(min(n, 64)) }, [2]int{64, 128}},
		"more is worse":          {0, func(n int) float64 { return 1000 / float64(n) }, [2]int{8, 16}},
		"told by the caller":     {5, func(n int) float64 { return float64(n) }, [2]int{5, 5}},
		"one at a time by order": {1, func(n int) float64 { return float64(n) }, [2]int{1, 1}},
	} {
		g := newGear(c.exact, 8, 256, nil)
		if got := g.run(20_000, c.rate); got < c.want[0] || got > c.want[1] {
			t.Errorf("%s: %d workers, want %v", name, got, c.want)
		}
	}
	var refused int64
	g := newGear(0, 8, 256, func() int64 { return refused })
	got := g.run(5000, func(n int) float64 {
		if n > 20 {
			refused++ // a service that takes twenty at a time
		}
		return float64(n)
	})
	if got > 40 {
		t.Errorf("%d workers at a service that refuses more than 20", got)
	}
}

// The time of the first small piece says how many to begin with.
func TestGearBegins(t *testing.T) {
	for _, c := range []struct {
		took        time.Duration
		bytes       int64
		exact, want int
	}{{time.Millisecond, 1, 0, 8}, {10 * time.Millisecond, 1, 0, 20}, {30 * time.Millisecond, 1, 0, 60}, {time.Hour, 1, 0, 64}, {30 * time.Millisecond, 1 << 20, 0, 8}, {time.Hour, 1, 3, 3}} {
		g := newGear(c.exact, 8, 256, nil)
		g.done(c.bytes, c.took)
		g.done(0, time.Hour) // only the first counts
		if g.limit != c.want {
			t.Errorf("%+v: %d workers", c, g.limit)
		}
	}
	g := newGear(0, 8, 12, nil)
	if g.done(0, time.Hour); g.limit != 12 {
		t.Errorf("%d workers, 12 are allowed", g.limit)
	}
}

// A copy of many objects puts as many under way as the waiting is worth, and no more than the job or the store says.
func TestCopyGrows(t *testing.T) {
	for _, c := range []struct{ workers, concurrency, least, most int }{{0, 0, 32, 256}, {5, 0, 5, 5}, {0, 12, 8, 12}} {
		src, dst := newMem(), newMem()
		n := 1500
		if c.workers > 0 || c.concurrency > 0 {
			n = 150
		}
		for i := range n {
			src.set(fmt.Sprintf("k%05d", i), "x")
		}
		var now, most atomic.Int64
		dst.before = func(op, _ string, _ int) error {
			if op == "put" {
				if x := now.Add(1); x > most.Load() {
					most.Store(x)
				}
				time.Sleep(5 * time.Millisecond)
				now.Add(-1)
			}
			return nil
		}
		s, d := newStore(t, src, Options{Concurrency: c.concurrency}), newStore(t, dst, Options{})
		res, err := Copy(context.Background(), s, d, CopyJob{Workers: c.workers, Overwrite: OverwriteAlways})
		if err != nil || res.Copied != int64(n) || most.Load() < int64(c.least) || most.Load() > int64(c.most) {
			t.Errorf("%+v: %d at once, %d copied, %v", c, most.Load(), res.Copied, err)
		}
	}
}
