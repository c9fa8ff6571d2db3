package sftp

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// connections is how many connections a store has at most: one TCP connection alone is slow on long ways, and one
// sftp-server process works through its requests one by one.
const connections = 4

// pool shares connections. A call takes the one with the fewest calls; while one is free no new one is made.
type pool struct {
	dialer dialer
	mu     sync.Mutex
	closed bool
	slots  [connections]slot
	sweep  *time.Timer
}

// slot is a place for a connection.
type slot struct {
	lock   chan struct{} // held while it connects
	c      *conn         // nil, open or dead
	load   int           // calls that use it or wait for it
	used   time.Time
	err    error // of the last attempt, at failed
	failed time.Time
}

func newPool(d dialer) *pool {
	p := &pool{dialer: d}
	for i := range p.slots {
		p.slots[i].lock = make(chan struct{}, 1)
	}
	return p
}

// acquire returns a connection to use until release is called.
func (p *pool) acquire(ctx context.Context) (_ *conn, release func(), _ error) {
	if err := context.Cause(ctx); err != nil {
		return nil, nil, err
	}
	begun := time.Now()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, fault.New(fault.FailedPrecondition, "the store is closed")
	}
	s := &p.slots[0]
	for i := range p.slots[1:] {
		o := &p.slots[i+1]
		if o.load < s.load || o.load == s.load && o.open() && !s.open() {
			s = o
		}
	}
	s.load++
	p.mu.Unlock()
	c, err := p.connect(ctx, s, begun)
	if err != nil {
		p.release(s)
		return nil, nil, err
	}
	return c, sync.OnceFunc(func() { p.release(s) }), nil
}

func (s *slot) open() bool { return s.c != nil && !s.c.dead() }

// connect returns the connection of a slot, and makes it where needed. Those who waited while an attempt failed share
// its failure.
func (p *pool) connect(ctx context.Context, s *slot, begun time.Time) (*conn, error) {
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.lock }()
	p.mu.Lock()
	c, err := s.c, s.err
	recent := s.failed.After(begun)
	if s.open() {
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	if recent {
		return nil, err
	}
	if c != nil {
		c.close()
	}
	c, err = p.dialer.open(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.closed {
		c.close()
		c, err = nil, net.ErrClosed
	}
	s.c = c
	if err != nil && ctx.Err() == nil {
		s.err, s.failed = err, time.Now()
	}
	return c, err
}

func (p *pool) release(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.load--
	s.used = time.Now()
	if p.sweep == nil && !p.closed {
		p.sweep = time.AfterFunc(p.dialer.times.idle, p.expire)
	}
}

// expire closes the connections that nobody used for a time.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep = nil
	if p.drop(p.dialer.times.idle) && !p.closed {
		p.sweep = time.AfterFunc(p.dialer.times.idle, p.expire)
	}
}

// drop closes connections that were unused for at least age, and reports whether any stay.
func (p *pool) drop(age time.Duration) (some bool) {
	for i := range p.slots {
		s := &p.slots[i]
		switch {
		case s.c == nil:
		case s.load > 0 || time.Since(s.used) < age:
			some = true
		default:
			s.c.close()
			s.c = nil
		}
	}
	return some
}

// closeIdle closes the connections that nobody uses.
func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(0)
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	for i := range p.slots {
		if c := p.slots[i].c; c != nil {
			c.close()
			p.slots[i].c = nil
		}
	}
	return nil
}

// use calls fn with a connection.
func use[T any](ctx context.Context, p *pool, fn func(*conn) (T, error)) (T, error) {
	c, release, err := p.acquire(ctx)
	if err != nil {
		var none T
		return none, err
	}
	defer release()
	return fn(c)
}
