package event

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

const (
	// linger is how long an event waits for others to fill its batch.
	linger = 500 * time.Millisecond
	// senders is how many batches of an unordered bus are under way at once.
	senders = 4
	// openBatch bounds a batch where the bus does not: messages and bytes.
	openBatch, openBytes = 1000, 4 << 20
)

// PublishAll sends every event that next yields until io.EOF, packed into batches, in bounded memory, and returns how
// many the bus accepted or the outbox keeps. An event that is stored as a dead letter counts for neither. onError is called with each event that was refused for good; when it returns an error (or is nil)
// the publishing ends with it.
//
// next and onError are called by the calling goroutine only. When next fails, what it yielded before is sent, and the
// error is returned as it is. An event that no bus could take is named by its number, from 0, before anything of its
// batch is sent.
func (t *Topic) PublishAll(ctx context.Context, next func(context.Context) (Event, error), onError func(Message, error) error) (int, error) {
	if err := t.enter("publish"); err != nil {
		return 0, err
	}
	defer t.under.Done()
	limits, err := t.limits()
	if err != nil {
		return 0, t.fail(ctx, "publish", err)
	}
	p := &publishing{t: t, ctx: ctx, limits: limits, onError: onError,
		in: make(chan item), work: make(chan []item), refused: make(chan refusal)}
	return p.run(next)
}

// publishing is one PublishAll: the caller's goroutine reads events and handles refusals, one goroutine packs batches,
// and a few send them. Channels without room between them keep memory bounded.
type publishing struct {
	t       *Topic
	ctx     context.Context
	limits  Limits
	onError func(Message, error) error

	in       chan item
	work     chan []item
	refused  chan refusal
	running  bool        // the goroutines are
	ended    bool        // in is closed
	dropped  atomic.Bool // what is not sent yet stays unsent
	accepted atomic.Int64
}

// item is a message, its number in the stream from 0, and what the bus counts for it.
type item struct {
	Message
	n    int
	size int64
}

// refusal asks the caller's goroutine what to do about messages that were refused. The sender waits until done is closed.
type refusal struct {
	batch []item
	errs  []error
	done  chan struct{}
}

func (p *publishing) run(next func(context.Context) (Event, error)) (int, error) {
	defer p.abandon()
	err := p.feed(next)
	if last := p.finish(); err == nil {
		err = last
	}
	return int(p.accepted.Load()), err
}

// feed takes events from next until io.EOF or an error.
func (p *publishing) feed(next func(context.Context) (Event, error)) error {
	for n := 0; ; n++ {
		if p.ctx.Err() != nil {
			p.dropped.Store(true)
			return p.t.fail(p.ctx, "publish", context.Cause(p.ctx))
		}
		e, err := next(p.ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		m, size, err := p.t.message(e, p.limits)
		switch {
		case err != nil:
			if err = p.t.unfit(p.ctx, m, err); err != nil {
				err = p.refuse(item{m, n, size}, err)
			}
		case p.t.o.DryRun != nil:
			p.t.o.DryRun(m)
			p.accepted.Add(1)
		default:
			err = p.put(item{m, n, size})
		}
		if err != nil {
			return err
		}
	}
}

// put hands a message over, and handles refusals while it waits.
func (p *publishing) put(it item) error {
	if !p.running {
		if err := p.t.ready(p.ctx); err != nil && !p.t.kept(p.ctx, err) {
			return p.t.fail(p.ctx, "publish", err)
		}
		var err error
		if p.limits, it.size, err = p.t.refit(it.Message, it.size, p.limits); err != nil {
			if err = p.t.unfit(p.ctx, it.Message, err); err != nil {
				err = p.refuse(it, err)
			}
			return err
		}
		p.start()
	}
	for {
		select {
		case p.in <- it:
			return nil
		case r := <-p.refused:
			if err := p.handle(r); err != nil {
				return err
			}
		}
	}
}

// refuse reports a message that no further try will get through.
func (p *publishing) refuse(it item, cause error) error {
	err := p.t.fail(p.ctx, "publish", &numberedError{it.n, cause})
	if p.onError == nil {
		return err
	}
	return p.onError(it.Message, err)
}

func (p *publishing) handle(r refusal) error {
	defer close(r.done)
	for i, err := range r.errs {
		if err == nil || p.dropped.Load() {
			continue
		}
		if p.ctx.Err() != nil {
			err = p.t.fail(p.ctx, "publish", err)
		} else {
			if p.t.final(p.ctx, err) {
				err = p.t.deadLetter(p.ctx, r.batch[i].Message, err)
			}
			if err != nil {
				err = p.refuse(r.batch[i], err)
			}
		}
		if err != nil {
			p.dropped.Store(true)
			return err
		}
	}
	return nil
}

// finish lets the goroutines send the rest, and returns the first error that ends the publishing.
func (p *publishing) finish() (first error) {
	if !p.running {
		return nil
	}
	p.ended = true
	close(p.in)
	for r := range p.refused {
		if err := p.handle(r); first == nil {
			first = err
		}
	}
	p.running = false
	return first
}

// abandon ends the goroutines when a panic of next or onError passes.
func (p *publishing) abandon() {
	if !p.running {
		return
	}
	p.dropped.Store(true)
	if !p.ended {
		close(p.in)
	}
	for r := range p.refused {
		close(r.done)
	}
}

func (p *publishing) start() {
	p.running = true
	n := senders
	if p.limits.Ordered {
		n = 1
	}
	var wg sync.WaitGroup
	for range n {
		wg.Go(p.sendBatches)
	}
	go p.pack()
	go func() { wg.Wait(); close(p.refused) }()
}

// pack makes batches of what comes in.
func (p *publishing) pack() {
	defer close(p.work)
	most, mostBytes := p.limits.Batch, p.limits.BatchBytes
	if most <= 0 {
		most = openBatch
	}
	if mostBytes <= 0 {
		mostBytes = openBytes
	}
	var batch []item
	var size int64
	flush := func() {
		if len(batch) > 0 && !p.dropped.Load() {
			p.work <- batch
		}
		batch, size = nil, 0
	}
	timer := time.NewTimer(linger)
	timer.Stop()
	for {
		select {
		case it, ok := <-p.in:
			if !ok {
				flush()
				return
			}
			if size+it.size > mostBytes {
				flush()
			}
			if batch = append(batch, it); len(batch) == 1 {
				timer.Reset(linger)
			}
			if size += it.size; len(batch) >= most {
				flush()
			}
		case <-timer.C:
			flush()
		}
	}
}

// sendBatches sends batches until there are no more.
func (p *publishing) sendBatches() {
	for batch := range p.work {
		if p.dropped.Load() {
			continue
		}
		msgs := make([]Message, len(batch))
		for i, it := range batch {
			msgs[i] = it.Message
		}
		errs := p.t.send(p.ctx, msgs, p.limits)
		bad := 0
		for _, err := range errs {
			if err != nil {
				bad++
			}
		}
		p.accepted.Add(int64(len(batch) - bad))
		if bad > 0 {
			r := refusal{batch, errs, make(chan struct{})}
			p.refused <- r
			<-r.done
		}
	}
}

// numberedError says which event of a stream an error is about.
type numberedError struct {
	n   int
	err error
}

func (e *numberedError) Error() string {
	cause := e.err
	if f, ok := cause.(*fault.Error); ok && f.Op == "" && f.Err != nil {
		cause = f.Err // its code is said by the error that wraps this one
	}
	return fmt.Sprintf("event %d: %v", e.n, cause)
}
func (e *numberedError) Unwrap() error { return e.err }
