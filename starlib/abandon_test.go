package starlib

import (
	"context"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// TestCancelledBuiltinDoesNotHold cancels scripts inside of built-ins that nothing can interrupt: the run returns soon,
// with the cause.
func TestCancelledBuiltinDoesNotHold(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	stuck := func(name string) *Function {
		return Declare(Func{Name: name}, func(*Params) Impl {
			return func(*Call) (starlark.Value, error) { <-release; return nil, nil }
		})
	}
	for _, c := range []struct{ name, src string }{
		{"computing", "fmt_stuck()"},
		{"below a function that passes on", "catch(lambda: fmt_stuck())"},
		{"in parallel", "parallel.map(lambda i: fmt_stuck(), [1, 2, 3])"},
		{"below a call that reaches out", "call_out(lambda: fmt_stuck())"},
	} {
		t.Run(c.name, func(t *testing.T) {
			busy := stuck("fmt_stuck")
			busy.effect = computes
			out := Declare(Func{Name: "call_out"}, func(p *Params) Impl {
				fn := p.Callable("fn", ".")
				return func(c *Call) (starlark.Value, error) {
					return c.Run.Call(c.Thread, fn.Get(c), nil, nil)
				}
			})
			p, err := Parse("stuck.star", []byte(c.src), busy, out)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			err = p.Run(t.Context(), RunOptions{Host: &fakeHost{}, Limits: Limits{Timeout: 50 * time.Millisecond}})
			if !fault.Is(err, fault.Limit) {
				t.Errorf("got %v, want a limit", err)
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestCancelledTransferIsWaitedFor: a call that reaches a store gets the time to abort what it began.
func TestCancelledTransferIsWaitedFor(t *testing.T) {
	aborted := false
	slow := Declare(Func{Name: "slow_upload"}, func(*Params) Impl {
		return func(c *Call) (starlark.Value, error) {
			<-c.Run.Ctx.Done()
			time.Sleep(computeGrace + 500*time.Millisecond)
			aborted = true
			return nil, context.Cause(c.Run.Ctx)
		}
	})
	p, err := Parse("slow.star", []byte("slow_upload()"), slow)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(t.Context(), RunOptions{Host: &fakeHost{}, Limits: Limits{Timeout: 20 * time.Millisecond}})
	if !aborted || !fault.Is(err, fault.Limit) {
		t.Errorf("aborted = %v, err = %v", aborted, err)
	}
}
