package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

var condChecks = []check{
	{"Put/IfAbsent", true, ifAbsent},
	{"Put/IfAbsentHasOneWinner", true, ifAbsentRace},
	{"Put/IfMatch", true, ifMatch},
	{"Put/IfMatchHasOneWinner", true, ifMatchRace},
	{"Delete/IfMatch", true, deleteIfMatch},
}

// refusesCond checks a driver that denies an ability: it must say so, and change nothing.
func refusesCond(t testing.TB, d store.Driver, name string, o store.PutOptions) {
	t.Helper()
	put(t, d, "there", []byte("old"))
	for _, key := range []string{"there", "not there"} {
		_, err := d.Put(t.Context(), key, Bytes([]byte("new")), o)
		wantCode(t, d, err, "Caps denies "+name+": put with it", fault.Unimplemented)
	}
	holds(t, d, "there", []byte("old"), "put with "+name+", which the driver cannot do, overwrote an object")
	absent(t, d, "not there", "put with "+name+", which the driver cannot do")
}

func ifAbsent(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().IfAbsent {
		refusesCond(t, d, "IfAbsent", store.PutOptions{IfAbsent: true})
		return
	}
	if _, err := d.Put(t.Context(), "once", Bytes([]byte("first")), store.PutOptions{IfAbsent: true}); err != nil {
		t.Fatalf("put of a new key with IfAbsent: %v", err)
	}
	for _, n := range []int{5, 2 << 20} {
		_, err := d.Put(t.Context(), "once", Bytes(pattern(1).bytes(n)), store.PutOptions{IfAbsent: true})
		wantCode(t, d, err, "put of an existing key with IfAbsent", fault.AlreadyExists, fault.FailedPrecondition)
		holds(t, d, "once", []byte("first"), "IfAbsent overwrote an object")
	}
	if err := d.Delete(t.Context(), "once", store.Cond{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "once", Bytes([]byte("second")), store.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("put of a deleted key with IfAbsent: %v", err)
	}
}

// race runs n writers at once and returns which succeeded.
func race(n int, write func(i int) error) (won []int, errs []error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			err := write(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, i)
			} else {
				errs = append(errs, err)
			}
		})
	}
	close(start)
	wg.Wait()
	return won, errs
}

func ifAbsentRace(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().IfAbsent {
		t.Skip("Caps.Why: ", d.Caps().Why["IfAbsent"])
	}
	other := s.again(t, d)
	for round := range testbed.Scale(5, 50) {
		key := fmt.Sprintf("race-%d", round)
		content := func(i int) []byte { return bytes.Repeat([]byte{byte('A' + i)}, 4000) }
		won, errs := race(32, func(i int) error {
			dd := d
			if i%2 == 1 {
				dd = other
			}
			_, err := dd.Put(t.Context(), key, Bytes(content(i)), store.PutOptions{IfAbsent: true})
			return err
		})
		if len(won) != 1 {
			t.Fatalf("%d of 32 writers of a new key won: %v: the work of all but one is lost: %v", len(won), won, errs[:min(1, len(errs))])
		}
		for _, err := range errs {
			if c := d.Classify(err); c.Code != fault.AlreadyExists && c.Code != fault.FailedPrecondition && !c.Retryable() {
				t.Errorf("a losing writer got code %q: %v", c.Code, err)
			}
		}
		holds(t, d, key, content(won[0]), "the object of the one winner")
	}
}

func ifMatch(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().IfMatch {
		refusesCond(t, d, "IfMatch", store.PutOptions{IfMatch: `"0123456789abcdef0123456789abcdef"`})
		return
	}
	one := put(t, d, "matched", []byte("one"))
	two, err := d.Put(t.Context(), "matched", Bytes([]byte("two")), store.PutOptions{IfMatch: one.ETag})
	if err != nil {
		t.Fatalf("put with the current ETag: %v", err)
	}
	for what, etag := range map[string]string{"a replaced": one.ETag, "an unknown": `"0123456789abcdef0123456789abcdef"`} {
		_, err := d.Put(t.Context(), "matched", Bytes([]byte("three")), store.PutOptions{IfMatch: etag})
		wantCode(t, d, err, "put with "+what+" ETag", fault.FailedPrecondition)
		holds(t, d, "matched", []byte("two"), "put with "+what+" ETag overwrote another's change")
	}
	_, err = d.Put(t.Context(), "absent", Bytes([]byte("x")), store.PutOptions{IfMatch: two.ETag})
	wantCode(t, d, err, "put with an ETag where there is no object", fault.FailedPrecondition, fault.NotFound)
	absent(t, d, "absent", "put with an ETag where there was no object")
}

func ifMatchRace(t testing.TB, s *suite) {
	d := s.open(t)
	if !d.Caps().IfMatch {
		t.Skip("Caps.Why: ", d.Caps().Why["IfMatch"])
	}
	// Eight writers add 1 until each has done it n times: a lost update shows in the sum.
	n := testbed.Scale(5, 50)
	put(t, d, "counter", []byte("0"))
	var tries atomic.Int32
	won, errs := race(8, func(int) error {
		for done := 0; done < n; {
			if tries.Add(1) > int32(2000*n) {
				return fmt.Errorf("no progress")
			}
			b, x, err := get(t.Context(), d, "counter", store.GetOptions{})
			if err != nil {
				return err
			}
			var v int
			fmt.Sscan(string(b), &v)
			time.Sleep(200 * time.Microsecond) // so that others come between
			_, err = d.Put(t.Context(), "counter", Bytes(fmt.Append(nil, v+1)), store.PutOptions{IfMatch: x.Entry.ETag})
			switch {
			case err == nil:
				done++
			case d.Classify(err).Code != fault.FailedPrecondition && !d.Classify(err).Retryable():
				return err
			}
		}
		return nil
	})
	if len(won) != 8 {
		t.Fatal(errs)
	}
	holds(t, d, "counter", fmt.Append(nil, 8*n), "updates were lost")
}

func deleteIfMatch(t testing.TB, s *suite) {
	d := s.open(t)
	one := put(t, d, "matched", []byte("one"))
	two := put(t, d, "matched", []byte("two"))
	err := d.Delete(t.Context(), "matched", store.Cond{IfMatch: one.ETag + "x"})
	if !d.Caps().IfMatch {
		wantCode(t, d, err, "Caps denies IfMatch: delete with it", fault.Unimplemented)
		holds(t, d, "matched", []byte("two"), "delete with a condition that the driver cannot hold")
		return
	}
	wantCode(t, d, err, "delete with an unknown ETag", fault.FailedPrecondition)
	wantCode(t, d, d.Delete(t.Context(), "matched", store.Cond{IfMatch: one.ETag}), "delete with a replaced ETag", fault.FailedPrecondition)
	holds(t, d, "matched", []byte("two"), "delete with a replaced ETag took another's object")
	if err := d.Delete(t.Context(), "matched", store.Cond{IfMatch: two.ETag}); err != nil {
		t.Errorf("delete with the current ETag: %v", err)
	}
	absent(t, d, "matched", "an object deleted by its ETag")
	wantCode(t, d, d.Delete(t.Context(), "matched", store.Cond{IfMatch: two.ETag}), "delete of an absent key with an ETag", fault.FailedPrecondition, fault.NotFound)
}
