package starlib

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// tickSteps is how many steps a thread executes between two looks at the limits.
const tickSteps = 10_000

// pollBytes is how many charged bytes may pass between two looks at the heap.
const pollBytes = 4 << 20

// meter measures what one execution uses, over all of its threads.
type meter struct {
	limits  Limits
	steps   atomic.Uint64
	pending atomic.Int64 // bytes charged since the heap was last read

	mu   sync.Mutex
	base int64 // heap when the run began
	peak int64
}

func newMeter(l Limits) *meter { return &meter{limits: l, base: heapBytes()} }

// watch sets a thread's step hook.
func (m *meter) watch(t *starlark.Thread, r *Run) {
	if m.limits.Steps == 0 && m.limits.Memory == 0 {
		return
	}
	var seen uint64
	t.SetMaxExecutionSteps(m.next(0))
	t.OnMaxSteps = func(t *starlark.Thread) {
		total := m.steps.Add(t.Steps - seen)
		seen = t.Steps
		if m.limits.Steps > 0 && total >= m.limits.Steps {
			r.stop(stopAt("step limit reached: "+count(int(m.limits.Steps), "step"), "Raise max_steps, or let the built-in functions and streams do the bulk of the work."))
		} else if err := m.check(0); err != nil {
			r.stop(err)
		}
		t.SetMaxExecutionSteps(t.Steps + m.next(total))
	}
}

// next is how many steps may pass until the next look.
func (m *meter) next(total uint64) uint64 {
	if m.limits.Steps > total {
		return min(tickSteps, m.limits.Steps-total)
	}
	return tickSteps
}

// charge implements Run.Charge.
func (m *meter) charge(r *Run, n int64) error {
	if m.limits.Memory == 0 {
		return nil
	}
	if n < pollBytes {
		if m.pending.Add(n) < pollBytes {
			return nil
		}
	}
	err := m.check(n)
	if err != nil {
		r.stop(err)
		return err
	}
	return nil
}

// check compares the heap's growth plus n bytes with the limit. Garbage is collected before the answer is no.
func (m *meter) check(n int64) error {
	limit := m.limits.Memory
	if limit == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending.Store(0)
	used := m.used()
	if used+n <= limit && n <= limit {
		return nil
	}
	if n <= limit {
		runtime.GC()
		used = m.used()
		if n == 0 && used <= limit/16*15 || n > 0 && used+n <= limit {
			return nil
		}
	}
	if n > 0 {
		return stopAt("memory limit of "+formatBytes(limit)+": this would take "+formatBytes(n)+" more", memoryHint)
	}
	return stopAt("memory limit of "+formatBytes(limit)+" reached", memoryHint)
}

const memoryHint = "Use streams, which hold a batch of rows at a time, or raise memory_limit."

// used returns the growth of the heap since the run began. The caller holds m.mu.
func (m *meter) used() int64 {
	h := heapBytes()
	if h < m.base {
		m.base = h
	}
	m.peak = max(m.peak, h-m.base)
	return h - m.base
}

// heapBytes returns the bytes of live and not yet swept objects of the process.
func heapBytes() int64 {
	s := [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s[:])
	return int64(s[0].Value.Uint64())
}

// stopAt returns the error of a limit that ends the run.
func stopAt(text, hint string) *stopError {
	e := fault.Hinted(fault.Limit, hint, "%s", text)
	return &stopError{text: text, cause: e}
}

// guardEvery is how often the heap is looked at while a script runs, besides the step hook.
const guardEvery = 10 * time.Millisecond

// guard watches the heap from the side: a few steps that each copy something large are stopped between them. It
// returns the function that ends the watch.
func (m *meter) guard(r *Run) (stop func()) {
	if m.limits.Memory == 0 {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(guardEvery)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				if err := m.check(0); err != nil {
					r.stop(err)
					return
				}
			}
		}
	})
	return func() { close(done); wg.Wait() }
}
