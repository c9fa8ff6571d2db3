// Package storetest is the conformance suite of datastores: every promise of package store, held against a driver and
// against the portable Store over it.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{Open: func(t testing.TB) store.Driver { return open(t) }})
//	}
//
// The suite reads Caps. What a driver cannot do is a named ability with its reason in Caps.Why; an absent ability
// without a reason is a failure. Checks are sub-tests; their messages say what a user would lose.
package storetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

// Harness says how to get at the store under test. Only Open is needed.
type Harness struct {
	// Open returns a driver on a fresh, empty store. The suite closes the driver; what else it needed is freed with
	// t.Cleanup. It is called many times.
	Open func(t testing.TB) store.Driver
	// Again opens one more driver on the store that d is on, as another process would. With nil the checks of resumed
	// uploads use d itself.
	Again func(t testing.TB, d store.Driver) store.Driver
	// Seed opens a driver on a store that holds these objects. It is needed where Caps.ReadOnly, and used only there: checks
	// that write are skipped, and those named ReadOnly/ take their place. Open is not needed then.
	Seed func(t testing.TB, objects map[string][]byte) store.Driver
	// Idle closes idle connections of clients and servers, so that goroutines and descriptors can be counted.
	Idle func()
	// InProcess says that the server's side of the store is in this process too, so that memory is not a measure.
	InProcess bool
	// Secrets are texts that must never show: keys, tokens, passwords that Open's drivers use.
	Secrets []string
	// Redactor is the one that the driver's provider was given; Secrets are added to it. nil makes one.
	Redactor *secret.Redactor
	// SkipKey returns why the server used here (not the driver) cannot hold a key, or "".
	SkipKey func(key string) string
	// Skip gives the reason for each check, by its name, that the server used here cannot show.
	Skip map[string]string
	// MaxSize bounds the objects of the checks of large ones; 0 means 64 MiB, or 4 GiB at full figures.
	MaxSize int64
}

// A check holds one promise. It reports to a testing.TB, so that it can be shown to fail as well.
type check struct {
	name   string
	writes bool // needs a store that can be written
	run    func(t testing.TB, s *suite)
}

// suite is a harness in use.
type suite struct {
	Harness
}

// checks returns all checks, by matter.
func checks() []check {
	var all []check
	for _, group := range [][]check{capsChecks, readChecks, listChecks, nameChecks, putChecks, condChecks, deleteChecks,
		attrChecks, multipartChecks, fillChecks, uploadsChecks, copyChecks, batchChecks, errorChecks, cancelChecks, loadChecks, portableChecks, readOnlyChecks} {
		all = append(all, group...)
	}
	return all
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	names := map[string]bool{}
	for _, c := range checks() {
		if strings.HasPrefix(c.name, "ReadOnly/") && h.Seed == nil {
			continue
		}
		if names[c.name] {
			t.Errorf("two checks are named %s", c.name)
		}
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) { runOne(t, h, c) })
	}
	for name := range h.Skip {
		if !names[name] {
			t.Errorf("Harness.Skip names %q, which is no check", name)
		}
	}
}

// runOne runs one check, or skips it with the reason.
func runOne(t testing.TB, h Harness, c check) {
	if why := h.Skip[c.name]; why != "" {
		t.Skip("not shown by this server: ", why)
	}
	if c.writes && h.Seed != nil {
		d := h.Seed(t, nil)
		caps := d.Caps()
		d.Close()
		if caps.ReadOnly {
			t.Skip("read only: ", caps.Why["ReadOnly"])
		}
	}
	c.run(t, &suite{h})
}

// open returns a driver on an empty store, closed with the test.
func (s *suite) open(t testing.TB) store.Driver {
	t.Helper()
	return closing(t, s.Open(t))
}

// with returns a driver on a store that holds the objects.
func (s *suite) with(t testing.TB, objects map[string][]byte) store.Driver {
	t.Helper()
	if s.Seed != nil {
		return closing(t, s.Seed(t, objects))
	}
	d := s.open(t)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	var mu sync.Mutex
	var first error
	for key, content := range objects {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := d.Put(t.Context(), key, Bytes(content), store.PutOptions{}); err != nil {
				mu.Lock()
				first = fmt.Errorf("put %q: %w", key, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if first != nil {
		t.Fatal(first)
	}
	return d
}

// again returns another driver on the store of d.
func (s *suite) again(t testing.TB, d store.Driver) store.Driver {
	t.Helper()
	if s.Again == nil {
		return d
	}
	return closing(t, s.Again(t, d))
}

func closing(t testing.TB, d store.Driver) store.Driver {
	t.Helper()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// wantCode fails unless err is there and of one of the codes.
func wantCode(t testing.TB, d store.Driver, err error, what string, codes ...fault.Code) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %v", what, codes)
		return
	}
	got := d.Classify(err).Code
	for _, c := range codes {
		if got == c {
			return
		}
	}
	t.Errorf("%s: code %q, want %v: %v", what, got, codes, err)
}
