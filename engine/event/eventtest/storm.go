package eventtest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// Storm decides what befalls the requests of a publisher: one in four is throttled, fails, fails in part, or is accepted
// and its answer lost. No message is struck more than three times, so that a publisher with five tries gets it through.
// It serves in front of a driver (the check "storm" of the suite), and in stand-ins of services.
type Storm struct {
	// Parts says that the service can accept some messages of a request and refuse others; Ordered, that it stops at the
	// first that it refuses.
	Parts, Ordered bool
	// DropsRepeats says that the service keeps one of several messages of one id.
	DropsRepeats bool

	mu     sync.Mutex
	rand   *rand.Rand
	struck map[string]int
	lost   map[string]int // answers by id
	count  map[Strike]int
}

// Strike is what befalls a request.
type Strike int

// What can befall a request. Of Partly the indices say what is refused; of Lost all is accepted.
const (
	Spared Strike = iota
	Slowed        // refused: too many requests, wait for a second
	Failed        // refused: the service is busy
	Partly        // some are refused
	Lost          // accepted, and the connection breaks
)

// NewStorm returns a storm; the same seed gives the same one to the same requests.
func NewStorm(seed uint64) *Storm {
	return &Storm{rand: rand.New(rand.NewPCG(seed, 0)), struck: map[string]int{}, lost: map[string]int{}, count: map[Strike]int{}}
}

// Next says what befalls a request with messages of these ids.
func (s *Storm) Next(ids []string) (kind Strike, refused []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ids) == 0 || s.rand.IntN(4) != 0 {
		return Spared, nil
	}
	for _, id := range ids {
		if s.struck[id] >= 3 {
			return Spared, nil
		}
	}
	kind = []Strike{Slowed, Failed, Partly, Lost}[s.rand.IntN(4)]
	from := 0
	if kind == Partly && (!s.Parts || len(ids) == 1) {
		kind = Failed
	}
	if kind == Partly && s.Ordered {
		from = 1 + s.rand.IntN(len(ids)-1)
	}
	for i, id := range ids[from:] {
		if kind == Partly && !s.Ordered && s.rand.IntN(2) == 0 {
			continue
		}
		s.struck[id]++
		refused = append(refused, from+i)
		if kind == Lost {
			s.lost[id]++
		}
	}
	s.count[kind]++
	return kind, refused
}

// Pass publishes chunks times size events with the ids s0, s1, ... through the topic while the storm goes on, and reports
// what was lost, what came more often than answers were lost, what came out of order where the bus keeps one, and a storm
// that was none. received is what the bus holds afterwards.
func (s *Storm) Pass(t testing.TB, tp *event.Topic, chunks, size int, received func() []event.Message) {
	t.Helper()
	work := make(chan int)
	var wg sync.WaitGroup
	workers := 4
	if s.Ordered {
		workers = 1
	}
	for range workers {
		wg.Go(func() {
			for c := range work {
				i := 0
				n, err := tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
					if i++; i > size {
						return event.Event{}, io.EOF
					}
					return event.Event{ID: fmt.Sprint("s", c*size+i-1), Type: "x", Data: fmt.Appendf(nil, "%d", c)}, nil
				}, nil)
				if n != size || err != nil {
					t.Errorf("chunk %d: %d of %d accepted, %v", c, n, size, err)
				}
			}
		})
	}
	for c := range chunks {
		work <- c
	}
	close(work)
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]int{}
	next := 0
	for _, m := range received() {
		if seen[m.ID]++; seen[m.ID] > 1 {
			continue
		}
		if s.Ordered && m.ID != fmt.Sprint("s", next) {
			t.Errorf("event %s arrived where s%d was due", m.ID, next)
		}
		next++
	}
	lost, twice := 0, 0
	for i := range chunks * size {
		id := fmt.Sprint("s", i)
		if n := seen[id]; n == 0 {
			lost++
		} else if want := 1 + s.lost[id]; n != want && !(s.DropsRepeats && n == 1) {
			t.Errorf("event %s arrived %d times, and %d answers were lost", id, n, s.lost[id])
		} else if n > 1 {
			twice++
		}
		delete(seen, id)
	}
	if lost > 0 || len(seen) > 0 {
		t.Errorf("%d events are lost, and %d have ids that nobody gave", lost, len(seen))
	}
	t.Logf("%d events: lost %d, more than once %d, all under their ids; requests throttled %d, failed %d, in part %d, answers lost %d",
		chunks*size, lost, twice, s.count[Slowed], s.count[Failed], s.count[Partly], s.count[Lost])
	if chunks >= 150 && (s.count[Slowed] == 0 || s.count[Failed] == 0 || s.count[Lost] == 0 || s.Parts && size > 2 && s.count[Partly] == 0) {
		t.Errorf("the storm was none: %v", s.count)
	}
}

// Slow is the refusal of a service that asks for a second's patience.
var Slow = &Refusal{fault.Class{Code: fault.ResourceExhausted, RetryAfter: time.Second}, "slow down"}

// fault is a strike as a Script has it.
func (s *Storm) fault(batch []event.Message) Fault {
	kind, refused := s.Next(ids(batch))
	switch kind {
	case Slowed:
		return Fault{Err: Slow}
	case Failed:
		return Fault{Err: Busy}
	case Lost:
		return Fault{Lost: Reset}
	case Partly:
		f := Fault{Refuse: map[int]error{}}
		for n, i := range refused {
			f.Refuse[i] = Busy
			if n%2 == 1 {
				f.Refuse[i] = Slow
			}
		}
		if len(refused) == 0 {
			return Fault{}
		}
		return f
	}
	return Fault{}
}

var stormChecks = []check{
	// Nothing is lost, and only what was not accepted is sent again, whatever befalls requests.
	{"storm", func(t testing.TB, s *suite) {
		for _, durable := range []bool{false, true} {
			o, chunks := event.Options{}, 200
			if durable {
				o.Outbox, chunks = corner(t).Spool(), 50
			}
			storm := NewStorm(7)
			tp, d := s.topic(t, func(_ int, batch []event.Message) Fault { return storm.fault(batch) }, o)
			l := d.Limits()
			storm.Parts, storm.Ordered, storm.DropsRepeats = true, l.Ordered, s.DropsRepeats
			storm.Pass(t, tp, chunks, batchOf(l, 10), func() []event.Message { return s.Received(t, d.Driver) })
			if n, err := tp.Waiting(t.Context()); n != 0 || err != nil {
				t.Errorf("%d wait in the outbox, %v", n, err)
			}
		}
	}},
}
