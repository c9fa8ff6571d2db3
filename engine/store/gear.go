package store

import (
	"sync"
	"time"
)

// gear finds how many workers are worth it: it begins with as many as fit the time that the first small piece took, doubles
// their number while that makes the work go faster, goes back when it does not, and halves it when the service asks for
// less. It is safe for concurrent use.
type gear struct {
	mu     sync.Mutex
	limit  int // workers wanted
	least  int
	most   int
	active int

	retries func() int64 // tries so far that a service has refused or dropped
	now     func() time.Time

	begun   bool // the first piece is done
	left    int  // pieces of work until the rate is looked at; the first half is not measured
	units   float64
	start   time.Time
	last    float64 // units a second before the number was raised; 0 when it was not
	refused int64
}

// Work is measured in pieces, for what each costs, and in bytes.
const (
	gearBytes = 256 << 10 // bytes that count as a piece
	gearGain  = 1.2       // twice the workers must do so much more
	gearRest  = 8         // looks without a change after a number that was not worth it

	// gearStep is the time in which one more small piece can be begun while the others wait for their answers, several times
	// what that costs, as a first answer is late by the making of its connection. gearFirst bounds what one time may decide.
	gearStep  = 500 * time.Microsecond
	gearFirst = 64
)

// newGear returns a gear of exactly n workers where n > 0, else of least to most.
func newGear(n, least, most int, retries func() int64) *gear {
	if n > 0 {
		least, most = n, n
	}
	most = max(most, 1)
	least = min(least, most)
	g := &gear{limit: least, least: least, most: most, retries: retries, now: time.Now}
	if retries != nil {
		g.refused = retries()
	}
	g.left = 2 * g.limit
	return g
}

// hire says how many workers are to be started now; they count as active from then on.
func (g *gear) hire() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := max(g.limit-g.active, 0)
	g.active += n
	return n
}

// leave reports whether the calling worker is one too many; it then counts no more.
func (g *gear) leave() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.active <= g.limit {
		return false
	}
	g.active--
	return true
}

// done counts a finished piece of work and the time that it took.
func (g *gear) done(bytes int64, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.least == g.most {
		return
	}
	if !g.begun {
		g.begun = true
		if n := min(int(took/gearStep), gearFirst, g.most); bytes <= gearBytes && n > g.limit {
			g.limit, g.left = n, 2*n
		}
	}
	if g.left--; g.left == g.limit {
		g.units, g.start = 0, g.now()
		return
	}
	g.units += 1 + float64(max(bytes, 0))/gearBytes
	if g.left > 0 || g.start.IsZero() {
		return
	}
	rate := g.units / max(g.now().Sub(g.start).Seconds(), 1e-6)
	rest := 1
	var refused int64
	if g.retries != nil {
		refused = g.retries() - g.refused
		g.refused += refused
	}
	switch {
	case refused > int64(g.limit)/16:
		g.limit, g.last, rest = max(g.limit/2, 1), 0, gearRest
	case g.last > 0 && rate < g.last*gearGain:
		g.limit, g.last, rest = max(g.limit/2, g.least), 0, gearRest
	case g.limit < g.most:
		g.limit, g.last = min(2*g.limit, g.most), rate
	default:
		g.last = 0
	}
	g.left = (rest + 1) * g.limit
	g.start = time.Time{}
}
