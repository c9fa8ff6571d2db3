package httpstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// calls are all ways to ask the store that may be repeated.
func (b *bench) calls() map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"stat": func(ctx context.Context) error { _, err := b.Stat(ctx, "x", store.Cond{}); return err },
		"get":  func(ctx context.Context) error { _, err := b.read(ctx, "x", store.ReadOptions{}); return err },
		"list": func(ctx context.Context) error { _, err := b.list(ctx, store.ListOptions{}); return err },
		"put": func(ctx context.Context) error {
			_, err := b.Put(ctx, "y", store.BytesBody([]byte("y")), store.WriteOptions{Overwrite: true})
			return err
		},
		"delete": func(ctx context.Context) error { return b.Delete(ctx, "z", true) },
	}
}

func (b *bench) list(ctx context.Context, o store.ListOptions) (keys []string, err error) {
	l := b.List(ctx, o)
	defer l.Close()
	for {
		batch, err := l.Next(ctx)
		for _, e := range batch {
			keys = append(keys, e.Key)
		}
		if err == io.EOF {
			return keys, nil
		}
		if err != nil {
			return keys, err
		}
	}
}

// One retry policy, ours (R13): what the service asks to wait is waited, and no try is made by anyone else.
func TestRetries(t *testing.T) {
	for _, status := range []int{429, 500, 502, 503, 504, 408} {
		b := over(t) // each has a budget of retries
		b.place(t, "x", []byte("x"))
		for name, call := range b.calls() {
			for _, after := range []time.Duration{2 * time.Second, 0} {
				what := fmt.Sprintf("%s with %d, Retry-After %v", name, status, after)
				b.f.Clear()
				b.f.Add(faults.Rule{Times: 2, Fault: faults.Status(status, after)})
				seen := len(b.clock.Waits())
				if err := call(t.Context()); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if n := b.f.Count(""); n != 3 && !(name == "delete" && n == 4) { // delete looks first whether there is an object
					t.Errorf("%s: %d requests, want 3", what, n)
				}
				waits := b.clock.Waits()[seen:]
				var sum time.Duration
				for _, w := range waits {
					sum += w
				}
				if len(waits) != 2 || after > 0 && (sum < 4*time.Second || sum > 6*time.Second) || sum > 6*time.Second {
					t.Errorf("%s: waits %v", what, waits)
				}
			}
		}
	}
}

// An outage is not met with a storm: the tries of one call, and of many, are bounded.
func TestOutage(t *testing.T) {
	b := over(t)
	b.f.Add(faults.Rule{Fault: faults.Status(503, 0)})
	for name, call := range b.calls() {
		before := b.f.Count("")
		err := call(t.Context())
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v, want code %s", name, err, fault.Unavailable)
		}
		if n := b.f.Count("") - before; n > 5 {
			t.Errorf("%s: %d tries", name, n)
		}
	}
	before := b.f.Count("")
	for range 200 {
		b.Stat(t.Context(), "x", store.Cond{})
	}
	if n := b.f.Count("") - before; n > 200+store.DefaultRetryBudget {
		t.Errorf("200 calls in an outage made %d requests, the budget is %d retries", n, store.DefaultRetryBudget)
	}
}

// Refusals are not repeated, and their text cannot show a secret or drive a terminal (R30, R32).
func TestRefusals(t *testing.T) {
	b := over(t)
	for status, code := range map[int]fault.Code{400: fault.InvalidArgument, 401: fault.Unauthenticated, 403: fault.PermissionDenied, 501: fault.Unimplemented} {
		for name, call := range b.calls() {
			b.f.Clear()
			b.f.Add(faults.Rule{Fault: faults.Answer(status, nil, "denied for \x1b]52;c;eA==\a\u202e\r\nBearer "+canary)})
			err := call(t.Context())
			if !fault.Is(err, code) {
				t.Errorf("%s with %d: %v, want code %s", name, status, err, code)
			}
			if n := b.f.Count(""); n != 1 {
				t.Errorf("%s with %d: %d requests, want 1", name, status, n)
			}
			if err == nil {
				continue
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), canary) {
					t.Errorf("%s with %d: an error shows the token: %q", name, status, e.Error())
				}
			}
			if strings.ContainsAny(err.Error(), "\x1b\a\r\n\u202e") {
				t.Errorf("%s with %d: an error can drive a terminal: %q", name, status, err.Error())
			}
		}
	}
}

// A redirect to another host takes no secret there (R29).
func TestRedirects(t *testing.T) {
	b := over(t)
	b.place(t, "x", []byte("x"))
	other := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("stolen")) }))
	for name, call := range b.calls() {
		b.f.Clear()
		b.f.Add(faults.Rule{Fault: faults.Redirect(other.URL + "/o/x")})
		if err := call(t.Context()); err == nil {
			t.Errorf("%s: an answer of another host was taken", name)
		}
	}
	for _, r := range other.Requests() {
		for k, v := range r.Header {
			if strings.Contains(strings.Join(v, " "), canary) {
				t.Errorf("%s went to another host with %s", r.Method, k)
			}
		}
		if r.Received > 0 {
			t.Errorf("%s sent %d bytes of an object to another host", r.Method, r.Received)
		}
	}
}
