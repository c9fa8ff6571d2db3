package store

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// Part maths holds for every size and limit: the parts cover the object, and each keeps to the limits.
func TestPartPlans(t *testing.T) {
	s3 := PartLimits{Min: 5 << 20, Max: 5 << 30, Count: 10_000}
	known := []struct {
		l     PartLimits
		total int64
		part  int64
	}{
		{s3, 0, 16 << 20}, {s3, 1, 16 << 20}, {s3, 100 << 20, 16 << 20}, {s3, 5 << 40, 525 << 20}, {s3, 10_000 * (5 << 30), 5 << 30},
		{PartLimits{Max: 4 << 20, Count: 50_000}, 100 << 20, 4 << 20},
	}
	for _, k := range known {
		p, err := planParts(k.l, k.total, defaultTuning.known)
		if err != nil || p.part != k.part {
			t.Errorf("%d bytes: parts of %d, %v; want %d", k.total, p.part, err, k.part)
		}
	}
	if _, err := planParts(s3, 10_000*(5<<30)+1, defaultTuning.known); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("one byte more than 10,000 parts hold: %v", err)
	}
	rounds := 20_000
	if os.Getenv("DSRUN_TEST_LONG") == "1" {
		rounds = 2_000_000
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		l := PartLimits{Min: rnd.Int64N(8 << 20), Count: 1 + rnd.IntN(50_000)}
		if rnd.IntN(2) == 0 {
			l.Align = 1 << rnd.IntN(20)
		}
		l.Max = l.Min + 1 + l.Align + rnd.Int64N(6<<30)
		total := rnd.Int64N(1 << (1 + rnd.IntN(46))) // to 64 TiB
		p, err := planParts(l, total, rnd.Int64N(64<<20))
		most := l.Max
		if l.Align > 0 {
			most -= most % l.Align
		}
		if err != nil {
			if int64(l.Count)*most >= total {
				t.Fatalf("%+v, %d bytes: refused though they fit: %v", l, total, err)
			}
			continue
		}
		n := int64(p.parts())
		switch {
		case n > int64(l.Count), p.part > l.Max, p.part < l.Min, p.part <= 0, l.Align > 0 && p.part%l.Align != 0,
			n*p.part < total, total > 0 && (n-1)*p.part >= total:
			t.Fatalf("%+v, %d bytes: %d parts of %d", l, total, n, p.part)
		}
	}
}

func TestPartPlansOfUnknownSize(t *testing.T) {
	for _, l := range []PartLimits{{Min: 5 << 20, Max: 5 << 30, Count: 10_000}, {Max: 4 << 20, Count: 50_000}, {Max: 1 << 40, Count: 10, Align: 1000},
		{Count: 1}, {Min: 64 << 20, Max: 5 << 30, Count: 10_000}} {
		p, err := planParts(l, -1, defaultTuning.unknown)
		if err != nil {
			t.Fatal(err)
		}
		var total, before int64
		for n := 1; n <= l.Count; n++ {
			size := p.sizeOf(n)
			if size < l.Min || size < before || l.Max > 0 && size > l.Max || l.Align > 0 && size%l.Align != 0 {
				t.Fatalf("%+v: part %d is %d bytes after %d", l, n, size, before)
			}
			total, before = total+size, size
		}
		if l.Count == 10_000 && l.Min == 5<<20 && total != 1000*(8<<20)*1023 {
			t.Errorf("S3 holds %d bytes of unknown length", total)
		}
		if p.sizeOf(1) == 8<<20 && l.Count == 10_000 && (p.sizeOf(1000) != 8<<20 || p.sizeOf(1001) != 16<<20) {
			t.Error("does not double every 1000 parts")
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(int64(5<<20), int64(5<<30), int64(0), 10_000, int64(5<<40))
	f.Fuzz(func(t *testing.T, min, max, align int64, count int, total int64) {
		if min < 0 || max < 0 || align < 0 || count < 0 || min > 1<<40 || max > 1<<40 || align > 1<<30 || count > 1e6 || total > 1<<50 {
			return
		}
		p, err := planParts(PartLimits{Min: min, Max: max, Align: align, Count: count}, total, defaultTuning.known)
		if err == nil && total >= 0 && (p.part <= 0 || int64(p.parts())*p.part < total) {
			t.Fatalf("%d parts of %d for %d", p.parts(), p.part, total)
		}
	})
}
