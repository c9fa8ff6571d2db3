package starlib

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
	"go.uber.org/goleak"
)

// slow answers late and counts.
type slow struct {
	*memory.Driver
	delay      time.Duration
	gets       atomic.Int32
	under, top atomic.Int32
	refuse     string
}

func (s *slow) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	s.gets.Add(1)
	n := s.under.Add(1)
	defer s.under.Add(-1)
	for t := s.top.Load(); n > t && !s.top.CompareAndSwap(t, n); t = s.top.Load() {
	}
	if err := clock.Sleep(ctx, clock.Real, s.delay); err != nil {
		return store.Object{}, err
	}
	if key == s.refuse {
		return store.Object{}, fault.New(fault.PermissionDenied, "object refused")
	}
	return s.Driver.Get(ctx, key, o)
}

func newSlowHost(t testing.TB, n int) (*dataHost, *slow) {
	h := newDataHost(t)
	s := &slow{Driver: memory.New("slow", 1<<30, clock.Real)}
	h.addStore(t, "slow", s, store.Options{})
	for i := range n {
		h.put(t, "slow", fmt.Sprintf("k%03d.csv", i), fmt.Sprintf("n\n%d\n", i))
	}
	s.delay = 10 * time.Millisecond
	return h, s
}

// TestReadAhead: many small objects are fetched ahead, in order and within bounds; few are when few rows are wanted.
func TestReadAhead(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	h, s := newSlowHost(t, 160)
	start := time.Now()
	out := h.must(t, `print([int(r.n) for r in ds.slow.read("*.csv")] == list(range(160)))`)
	took := time.Since(start)
	if out != "True\n" {
		t.Errorf("not in order: %s", out)
	}
	if n := s.top.Load(); n < 4 || n > aheadObjects {
		t.Errorf("%d requests at once, want up to %d", n, aheadObjects)
	}
	if took > 160*s.delay/2 {
		t.Errorf("took %v, one after another would take %v", took, 160*s.delay)
	}
	s.gets.Store(0)
	h.must(t, `ds.slow.read("*.csv").first()`)
	if n := s.gets.Load(); n != 1 {
		t.Errorf("%d requests for one row", n)
	}
}

// TestReadAheadFails: the failure of an object comes in its turn.
func TestReadAheadFails(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	h, s := newSlowHost(t, 40)
	s.refuse = "k020.csv"
	out, err := h.run("for r in ds.slow.read(\"*.csv\"):\n    print(r.n)\nprint(\"went on\")\n")
	if !fault.Is(err, fault.PermissionDenied) || !strings.Contains(err.Error(), "k020.csv") {
		t.Errorf("got %v", err)
	}
	if !strings.HasSuffix(out, "\n19\n") {
		t.Errorf("printed %q", out)
	}
	s.refuse, s.delay = "", time.Second
	start := time.Now()
	h.must(t, "for r in ds.slow.read(\"*.csv\").take(0):\n    pass\n")
	if time.Since(start) > s.delay {
		t.Error("take(0) waited for an object")
	}
}
