package eventtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// bus is a correct driver, so that each broken one differs from it in one thing.
type bus struct {
	limits event.Limits
	mu     sync.Mutex
	held   []event.Message
}

func (b *bus) Publish(ctx context.Context, batch []event.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = append(b.held, batch...)
	return nil
}
func (b *bus) Limits() event.Limits {
	l := b.limits
	l.Ordered = true
	return l
}
func (b *bus) Check(ctx context.Context) error { return ctx.Err() }
func (b *bus) Classify(err error) fault.Class  { return fault.Plain(err) }
func (b *bus) Close() error                    { return nil }
func (b *bus) events() []event.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.held)
}

// broken overrides one method of a bus.
type broken struct {
	*bus
	publish  func(b *bus, ctx context.Context, batch []event.Message) error
	check    func(ctx context.Context) error
	classify func(error) fault.Class
	lim      func(event.Limits) event.Limits
	close    func() error
}

func (b *broken) Publish(ctx context.Context, batch []event.Message) error {
	if b.publish != nil {
		return b.publish(b.bus, ctx, batch)
	}
	return b.bus.Publish(ctx, batch)
}
func (b *broken) Check(ctx context.Context) error {
	if b.check != nil {
		return b.check(ctx)
	}
	return b.bus.Check(ctx)
}
func (b *broken) Classify(err error) fault.Class {
	if b.classify != nil {
		return b.classify(err)
	}
	return b.bus.Classify(err)
}
func (b *broken) Limits() event.Limits {
	if b.lim != nil {
		return b.lim(b.bus.Limits())
	}
	return b.bus.Limits()
}
func (b *broken) Close() error {
	if b.close != nil {
		return b.close()
	}
	return nil
}

var errMissing = fault.New(fault.NotFound, "no such bus, token bus-token-canary")

// missing is a driver whose bus is not there.
func missing(check func(context.Context) error) event.Driver {
	return &broken{bus: &bus{}, check: check, classify: fault.ClassOf}
}

// recorder is a testing.TB that notes failures instead of failing.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	skipped  bool
	cleanup  []func()
}

func (r *recorder) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, s)
}
func (r *recorder) Helper()                      {}
func (r *recorder) Error(args ...any)            { r.note(fmt.Sprintln(args...)) }
func (r *recorder) Errorf(f string, args ...any) { r.note(fmt.Sprintf(f, args...)) }
func (r *recorder) Fatal(args ...any)            { r.note(fmt.Sprintln(args...)); runtime.Goexit() }
func (r *recorder) Fatalf(f string, args ...any) { r.note(fmt.Sprintf(f, args...)); runtime.Goexit() }
func (r *recorder) Skip(args ...any)             { r.skipped = true; runtime.Goexit() }
func (r *recorder) Cleanup(fn func())            { r.cleanup = append(r.cleanup, fn) }

// failuresOf runs one check of the suite and returns what it reports.
func failuresOf(t *testing.T, h Harness, name string) (out []string) {
	for _, c := range checks() {
		if c.name != name {
			continue
		}
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() {
				if v := recover(); v != nil {
					r.note(fmt.Sprint("panic: ", v))
				}
			}()
			c.run(r, newSuite(h))
		}()
		<-done
		for i := len(r.cleanup) - 1; i >= 0; i-- {
			r.cleanup[i]()
		}
		out = append(out, r.failures...)
	}
	return out
}

func harness(make func(b *bus) event.Driver) Harness {
	return Harness{
		Open: func(testing.TB) event.Driver {
			return make(&bus{limits: event.Limits{Batch: 20, BatchBytes: 64 << 10}})
		},
		Received: func(_ testing.TB, d event.Driver) []event.Message {
			if b, ok := d.(*broken); ok {
				return b.bus.events()
			}
			return d.(*bus).events()
		},
		Missing: func(testing.TB) event.Driver { return missing(func(context.Context) error { return errMissing }) },
		Secrets: []string{"bus-token-canary"},
	}
}

func TestCorrectDriverPasses(t *testing.T) {
	Run(t, harness(func(b *bus) event.Driver { return b }))
}

// A suite is worth what it catches: every broken driver fails the check that is meant for it.
func TestBrokenDriversFail(t *testing.T) {
	var batches sync.Map // calls by bus, for drivers that break on a later one
	count := func(b *bus) int {
		v, _ := batches.LoadOrStore(b, new(int))
		b.mu.Lock()
		defer b.mu.Unlock()
		*v.(*int)++
		return *v.(*int)
	}
	type pub = func(b *bus, ctx context.Context, batch []event.Message) error
	publish := func(p pub) func(*bus) event.Driver {
		return func(b *bus) event.Driver { return &broken{bus: b, publish: p} }
	}
	for name, c := range map[string]struct {
		make    func(*bus) event.Driver
		missing func(context.Context) error
		check   string
	}{
		"drops the last of a batch and reports success": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			if len(batch) > 1 {
				batch = batch[:len(batch)-1]
			}
			return b.Publish(ctx, batch)
		}), nil, "batch"},
		"swallows a refusal": {publish(func(b *bus, ctx context.Context, batch []event.Message) error { return ctx.Err() }), nil, "batch"},
		"sends a batch twice": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			return errors.Join(b.Publish(ctx, batch), b.Publish(ctx, batch))
		}), nil, "batch"},
		"turns the order around": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			batch = slices.Clone(batch)
			slices.Reverse(batch)
			return b.Publish(ctx, batch)
		}), nil, "order"},
		"makes ids of its own": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			batch = slices.Clone(batch)
			for i := range batch {
				batch[i].ID = fmt.Sprint("bus-", count(b))
			}
			return b.Publish(ctx, batch)
		}), nil, "lost answer"},
		"rounds numbers": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			batch = slices.Clone(batch)
			for i := range batch {
				if string(batch[i].Data) == "12345678901234567890.10" {
					batch[i].Data = []byte("12345678901234567000")
				}
			}
			return b.Publish(ctx, batch)
		}), nil, "content"},
		"loses attributes": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			batch = slices.Clone(batch)
			for i := range batch {
				batch[i].Attributes = nil
			}
			return b.Publish(ctx, batch)
		}), nil, "batch"},
		"changes what it was given": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			err := b.Publish(ctx, batch)
			batch[0].Subject = "changed"
			return err
		}), nil, "batch stays the caller's"},
		"keeps the caller's slice": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			if len(b.held) == 0 {
				b.held = batch[:len(batch):len(batch)]
				return ctx.Err()
			}
			return b.Publish(ctx, batch)
		}), nil, "batch stays the caller's"},
		"loses one of a thousand": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			return b.Publish(ctx, slices.DeleteFunc(slices.Clone(batch), func(m event.Message) bool { return m.ID == "s400" }))
		}), nil, "storm"},
		"repeats what it has": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			if batch[0].ID == "s400" {
				batch = append(slices.Clone(batch), batch[0])
			}
			return b.Publish(ctx, batch)
		}), nil, "storm"},
		"ignores the context": {publish(func(b *bus, _ context.Context, batch []event.Message) error {
			return b.Publish(context.Background(), batch)
		}), nil, "cancelled"},
		"refuses a full batch": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			if len(batch) >= 20 {
				return errors.New("too many")
			}
			return b.Publish(ctx, batch)
		}), nil, "batch"},
		"fails on an empty batch": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			return b.Publish(ctx, batch[:len(batch):len(batch)][0:max(1, len(batch))])
		}), nil, "empty batch"},
		"races": {publish(func(b *bus, ctx context.Context, batch []event.Message) error {
			b.mu.Lock()
			held := b.held
			b.mu.Unlock()
			time.Sleep(time.Millisecond)
			held = append(slices.Clone(held), batch...)
			b.mu.Lock()
			b.held = held
			b.mu.Unlock()
			return ctx.Err()
		}), nil, "concurrent publishers"},
		"leaves a goroutine": {func(b *bus) event.Driver {
			go time.Sleep(30 * time.Second)
			return b
		}, nil, "nothing stays"},
		"class without a code": {func(b *bus) event.Driver {
			return &broken{bus: b, classify: func(error) fault.Class { return fault.Class{} }}
		}, nil, "classify"},
		"calls a missing bus fine":   {nil, func(context.Context) error { return nil }, "missing bus"},
		"calls a missing bus denied": {nil, func(context.Context) error { return fault.New(fault.PermissionDenied, "denied") }, "missing bus"},
		"publishes when it checks": {func(b *bus) event.Driver {
			return &broken{bus: b, check: func(ctx context.Context) error { return b.Publish(ctx, messages(0, 1)) }}
		}, nil, "check"},
		"limit of a message above that of a batch": {func(b *bus) event.Driver {
			return &broken{bus: b, lim: func(l event.Limits) event.Limits { l.MessageBytes = l.BatchBytes + 1; return l }}
		}, nil, "limits"},
		"sizes of nothing": {func(b *bus) event.Driver {
			return &broken{bus: b, lim: func(l event.Limits) event.Limits { l.Size = func(event.Message) int64 { return 1 }; return l }}
		}, nil, "limits"},
	} {
		t.Run(name, func(t *testing.T) {
			h := harness(c.make)
			if c.make == nil {
				h = harness(func(b *bus) event.Driver { return b })
				h.Missing = func(testing.TB) event.Driver { return missing(c.missing) }
			}
			if len(failuresOf(t, h, c.check)) == 0 {
				t.Errorf("check %q does not catch it", c.check)
			}
		})
	}
}
