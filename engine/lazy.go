package engine

import (
	"context"
	"sync"
)

// lazy opens things by name, each once however many ask for it at the same time. A failed opening is not kept: the next
// one who asks tries again.
type lazy[T any] struct {
	mu   sync.Mutex
	open map[string]*opening[T]
}

type opening[T any] struct {
	done chan struct{}
	v    T
	err  error
}

func (l *lazy[T]) get(ctx context.Context, name string, open func(context.Context) (T, error)) (T, error) {
	l.mu.Lock()
	if l.open == nil {
		l.open = map[string]*opening[T]{}
	}
	o, ok := l.open[name]
	if !ok {
		o = &opening[T]{done: make(chan struct{})}
		l.open[name] = o
	}
	l.mu.Unlock()
	if ok {
		select {
		case <-o.done:
			return o.v, o.err
		case <-ctx.Done():
			var zero T
			return zero, context.Cause(ctx)
		}
	}
	defer close(o.done)
	o.v, o.err = open(ctx)
	if o.err != nil {
		l.mu.Lock()
		delete(l.open, name)
		l.mu.Unlock()
	}
	return o.v, o.err
}

// take returns all that is open, waiting for what is being opened, and forgets it.
func (l *lazy[T]) take() []T {
	l.mu.Lock()
	all := l.open
	l.open = nil
	l.mu.Unlock()
	var out []T
	for _, o := range all {
		<-o.done
		if o.err == nil {
			out = append(out, o.v)
		}
	}
	return out
}
