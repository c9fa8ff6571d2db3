package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/internal/testbed"
)

// pager lists a fixed set of keys, and can be told to go wrong.
type pager struct {
	*memDriver
	keys   []string // ascending
	pages  int      // keys of a page; 0 means at random
	delay  time.Duration
	bounds bool // it knows Before
	fault  func(n int64, q Query, p *Page) error

	calls, flying, most atomic.Int64
	mu                  sync.Mutex
	rnd                 *rand.Rand
}

func newPager(keys []string, pages int) *pager {
	slices.Sort(keys)
	return &pager{memDriver: newMem(), keys: slices.Compact(keys), pages: pages, rnd: rand.New(rand.NewPCG(1, uint64(len(keys))))}
}

func (d *pager) List(ctx context.Context, q Query) (Page, error) {
	n := d.calls.Add(1)
	if f := d.flying.Add(1); f > d.most.Load() {
		d.most.Store(f)
	}
	defer d.flying.Add(-1)
	if d.delay > 0 {
		select {
		case <-time.After(d.delay):
		case <-ctx.Done():
			return Page{}, ctx.Err()
		}
	}
	size := d.pages
	if size == 0 {
		d.mu.Lock()
		size = 1 + d.rnd.IntN(20)
		d.mu.Unlock()
	}
	if q.Max > 0 {
		size = min(size, q.Max)
	}
	from, _ := slices.BinarySearch(d.keys, max(q.Prefix, q.After))
	if q.Token != "" {
		from, _ = slices.BinarySearch(d.keys, q.Token+"\x00")
	}
	var p Page
	last := ""
	for ; from < len(d.keys); from++ {
		k := d.keys[from]
		if !strings.HasPrefix(k, q.Prefix) || d.bounds && q.Before != "" && k >= q.Before {
			break
		}
		if k <= q.After && q.After != "" {
			continue
		}
		if len(p.Entries)+len(p.Prefixes) == size {
			p.Next, p.Truncated = last, true
			break
		}
		last = k
		if i := strings.IndexByte(k[len(q.Prefix):], '/'); q.Delimiter != "" && i >= 0 {
			dir := k[:len(q.Prefix)+i+1]
			p.Prefixes = append(p.Prefixes, dir)
			for from+1 < len(d.keys) && strings.HasPrefix(d.keys[from+1], dir) {
				from++
			}
			last = d.keys[from]
			continue
		}
		p.Entries = append(p.Entries, Entry{Key: k, Size: 1})
	}
	if d.fault != nil {
		if err := d.fault(n, q, &p); err != nil {
			return Page{}, err
		}
	}
	return p, nil
}

// eager is a tuning that runs ahead of every reader.
var eager = listTuning{slow: 0, each: 1, most: 16, held: 64}

func windowStore(t testing.TB, d Driver, tuned listTuning) *Store {
	s := newStore(t, d, Options{})
	s.lists = tuned
	return s
}

// keySets are kinds of key sets, as one finds them.
var keySets = map[string]func(r *rand.Rand, n int) []string{
	"flat numbers": func(r *rand.Rand, n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("part-%08d", i))
		}
		return out
	},
	"numbers with gaps and suffix": func(r *rand.Rand, n int) (out []string) {
		at := 0
		for range n {
			at += 1 + r.IntN(50)
			out = append(out, fmt.Sprintf("logs/part-%07d.parquet", at))
		}
		return out
	},
	"prefix tree": func(r *rand.Rand, n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("p%03d/key-%08d", i*16/max(n, 1), i))
		}
		return out
	},
	"days": func(r *rand.Rand, n int) (out []string) {
		day := time.Date(2023, 11, 3, 0, 0, 0, 0, time.UTC)
		for i := range n {
			out = append(out, fmt.Sprintf("dt=%s/part-%05d", day.AddDate(0, 0, i/30).Format("2006-01-02"), i%30))
		}
		return out
	},
	"hashes": func(r *rand.Rand, n int) (out []string) {
		for range n {
			out = append(out, fmt.Sprintf("objects/%016x/%08X", r.Uint64(), r.Uint32()))
		}
		return out
	},
	"random trees": func(r *rand.Rand, n int) (out []string) {
		for range n {
			k := ""
			for range 1 + r.IntN(4) {
				k += string(rune('a'+r.IntN(4))) + strings.Repeat("x", r.IntN(3)) + []string{"/", "", "//", "."}[r.IntN(4)]
			}
			out = append(out, k+fmt.Sprint(r.IntN(200)))
		}
		return out
	},
	"unicode": func(r *rand.Rand, n int) (out []string) {
		letters := []rune("aé水字😀Zz ~\x01\x7f0/")
		for range n {
			k := ""
			for range 1 + r.IntN(8) {
				k += string(letters[r.IntN(len(letters))])
			}
			out = append(out, k)
		}
		return out
	},
	"bytes": func(r *rand.Rand, n int) (out []string) {
		for range n {
			b := make([]byte, 1+r.IntN(5))
			for i := range b {
				b[i] = byte(1 + r.IntN(255))
			}
			out = append(out, string(b))
		}
		return out
	},
	"one after another": func(r *rand.Rand, n int) (out []string) { // each key is the start of the next
		for i := range min(n, 300) {
			out = append(out, strings.Repeat("a", i+1))
		}
		return out
	},
}

// A listing that runs ahead gives what one gives that does not, or an error: whatever the keys, the pages and the faults.
func TestListingAheadIsTheSame(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	busy := errors.New("out of order")
	faults := map[string]func(n int64, q Query, p *Page) error{
		"fails": func(_ int64, _ Query, p *Page) error { return fault.New(fault.PermissionDenied, "%w", busy) },
		"twice": func(_ int64, _ Query, p *Page) error {
			if n := len(p.Entries); n > 0 {
				p.Entries = append(p.Entries, p.Entries[n-1])
			}
			return nil
		},
		"unordered": func(_ int64, _ Query, p *Page) error {
			slices.Reverse(p.Entries)
			return nil
		},
		"token again": func(_ int64, q Query, p *Page) error {
			if p.Next != "" && q.Token != "" {
				p.Next = q.Token
			}
			return nil
		},
		"no token": func(_ int64, _ Query, p *Page) error { p.Next = ""; return nil },
		"from the start": func(_ int64, q Query, p *Page) error {
			if q.After != "" && q.Token == "" {
				p.Entries = append([]Entry{{Key: q.Prefix}}, p.Entries...)
			}
			return nil
		},
	}
	rounds := testbed.Scale(25, 400)
	for name, set := range keySets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round := range rounds {
				r := rand.New(rand.NewPCG(uint64(round), 7))
				d := newPager(set(r, r.IntN(1500)), []int{0, 1, 7, 100}[r.IntN(4)])
				d.bounds = r.IntN(2) == 0
				var o ListOptions
				pick := func() string {
					if len(d.keys) == 0 {
						return "x"
					}
					return d.keys[r.IntN(len(d.keys))]
				}
				switch r.IntN(6) {
				case 0:
					o.After = pick()
				case 1:
					o.Before = pick()
				case 2:
					o.Prefix = pick()[:1]
				case 3:
					o.Limit = 1 + r.IntN(300)
				}
				want, err := listKeys(t, windowStore(t, d, listTuning{most: 1}), o)
				if err != nil {
					t.Fatal(err)
				}
				before := d.calls.Load()
				tuned := eager
				tuned.most, tuned.held = 2+r.IntN(30), 2+r.IntN(62)
				got, err := listKeys(t, windowStore(t, d, tuned), o)
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("round %d: %d keys of %d, %v", round, len(got), len(want), err)
				}
				pages := d.calls.Load() - before
				if r.IntN(2) == 0 {
					continue
				}
				what := []string{"fails", "twice", "unordered", "token again", "no token", "from the start"}[r.IntN(6)]
				at := d.calls.Load() + 1 + r.Int64N(pages)
				var hit atomic.Bool
				d.fault = func(n int64, q Query, p *Page) error {
					if n >= at && q.Delimiter == "" {
						hit.Store(true)
						return faults[what](n, q, p)
					}
					return nil
				}
				got, err = listKeys(t, windowStore(t, d, tuned), o)
				if err == nil && !slices.Equal(got, want) {
					t.Fatalf("round %d, %s (%v): %d keys of %d and no error", round, what, hit.Load(), len(got), len(want))
				}
				if err != nil && what == "fails" && !errors.Is(err, busy) {
					t.Fatal(err)
				}
			}
		})
	}
}

// One page costs one request, a reader who goes on gets more at once, and one who stops leaves nothing under way.
func TestListingAheadGrowsOnDemand(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	keys := keySets["flat numbers"](nil, 50_000)
	ctx := context.Background()
	d := newPager(keys, 100)
	d.delay = 5 * time.Millisecond
	s := windowStore(t, d, defaultLists)
	l := s.List(ctx, ListOptions{})
	if b, err := l.Next(ctx); err != nil || len(b) != 100 || d.calls.Load() != 1 {
		t.Fatal(len(b), err, d.calls.Load())
	}
	time.Sleep(20 * time.Millisecond)
	if d.calls.Load() != 1 {
		t.Fatal("pages are asked for that nobody wants:", d.calls.Load())
	}
	for range 9 {
		if _, err := l.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(20 * time.Millisecond)
	if n := d.calls.Load(); n < 11 || n > 40 {
		t.Error(n, "requests for ten pages")
	}
	begun := time.Now()
	if err := l.Close(); err != nil || d.flying.Load() != 0 || time.Since(begun) > time.Second {
		t.Error(err, d.flying.Load(), time.Since(begun))
	}
	if _, err := l.Next(ctx); err != io.EOF {
		t.Error(err)
	}

	d = newPager(keys, 100)
	d.delay = 5 * time.Millisecond
	if got, err := listKeys(t, windowStore(t, d, defaultLists), ListOptions{Limit: 150}); len(got) != 150 || err != nil || d.calls.Load() > 3 {
		t.Error(len(got), err, d.calls.Load())
	}
	d = newPager(keys, 100)
	if got, err := listKeys(t, windowStore(t, d, defaultLists), ListOptions{}); len(got) != len(keys) || err != nil || d.calls.Load() > 510 {
		t.Error("a fast store:", len(got), err, d.calls.Load())
	}
	one := newPager(keys, 100)
	one.delay = 5 * time.Millisecond
	s = newStore(t, one, Options{Concurrency: 1})
	if got, err := listKeys(t, s, ListOptions{Limit: 2000}); len(got) != 2000 || err != nil || one.most.Load() != 1 {
		t.Error("max_concurrency = 1:", len(got), err, one.most.Load())
	}
}

// Whatever the keys, a listing ahead saves most of the waiting and asks for few pages in vain.
func TestListingAheadIsFast(t *testing.T) {
	for name, most := range map[string][2]float64{ // shares of the time and multiples of the requests of one after another
		"flat numbers": {0.6, 1.3}, "numbers with gaps and suffix": {0.6, 1.7}, "prefix tree": {0.7, 2.7}, "days": {0.7, 2.5}, "hashes": {0.6, 1.8}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newPager(keySets[name](rand.New(rand.NewPCG(3, 4)), 30_000), 100)
			d.delay = 20 * time.Millisecond
			tuned := defaultLists
			tuned.each /= 2
			begun := time.Now()
			got, err := listKeys(t, windowStore(t, d, tuned), ListOptions{})
			took := time.Since(begun)
			if err != nil || len(got) != len(d.keys) {
				t.Fatal(len(got), err)
			}
			pages := (len(d.keys) + 99) / 100
			share, requests := took.Seconds()/(float64(pages)*d.delay.Seconds()), float64(d.calls.Load())/float64(pages)
			t.Logf("%.2f of the time, %.2f times the requests, %d at once", share, requests, d.most.Load())
			if share > most[0] || requests > most[1] {
				t.Errorf("%.2f of the time, %.2f times the requests; at most %v", share, requests, most)
			}
		})
	}
}
