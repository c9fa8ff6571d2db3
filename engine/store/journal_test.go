package store

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// memJournal is a journal in memory.
type memJournal struct {
	mu   sync.Mutex
	m    map[string][]byte
	fail error
}

func (j *memJournal) Names() ([]string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.m)), nil
}

func (j *memJournal) Get(name string) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.m[name], nil
}

func (j *memJournal) Put(name string, record []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		return j.fail
	}
	if j.m == nil {
		j.m = map[string][]byte{}
	}
	j.m[name] = record
	return nil
}

func (j *memJournal) Delete(name string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.m, name)
	return nil
}

// resumeJob is a copy of one object of ten parts to a target whose sixth part fails until heal is called.
func resumeJob(t *testing.T, code fault.Code) (src *memDriver, dst *partDriver, run func() (CopyResult, error), j *memJournal, heal func()) {
	src, dst = newMem(), newParts(PartLimits{Count: 100})
	src.set("in/a", string(testBytes(10*(16<<10))))
	broken := true
	dst.before = func(op, _ string, _ int) error {
		if op == "part" && broken && dst.count("partstored") >= 5 {
			return fault.New(code, "no more parts today")
		}
		return nil
	}
	j = &memJournal{}
	s, d := newStore(t, src, Options{}), newStore(t, dst, Options{PartWorkers: 1})
	run = func() (CopyResult, error) {
		return Copy(context.Background(), s, d, CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/", Overwrite: OverwriteIfChanged, Journal: j})
	}
	return src, dst, run, j, func() { broken = false }
}

func TestJournalResumes(t *testing.T) {
	src, dst, run, j, heal := resumeJob(t, fault.Unauthenticated)
	_, err := run()
	wantCode(t, err, fault.Unauthenticated)
	if dst.pending() != 1 || len(j.m) != 1 || dst.count("abort") != 0 {
		t.Fatalf("%d uploads, %d records, %d aborts after a failure that another run can mend", dst.pending(), len(j.m), dst.count("abort"))
	}
	heal()
	res, err := run()
	if err != nil {
		t.Fatal(err)
	}
	if n := dst.count("partstored"); n != 10 {
		t.Errorf("%d parts were sent, the object has 10", n)
	}
	if res.Copied != 1 || res.Bytes != 10*(16<<10) || res.ClientBytes != 5*(16<<10) {
		t.Errorf("result %+v", res)
	}
	if dst.pending() != 0 || len(j.m) != 0 {
		t.Errorf("%d uploads and %d records are left", dst.pending(), len(j.m))
	}
	want, _ := src.get("in/a")
	got, _ := dst.get("a")
	wantBytes(t, []byte(got), []byte(want))
	if res, err := run(); err != nil || res.Skipped != 1 {
		t.Errorf("another run: %+v, %v", res, err)
	}
}

// A state that changes with the parts is recorded after each; where there can be no parts, the object goes in one piece.
func TestJournalKeepsStates(t *testing.T) {
	_, dst, run, j, heal := resumeJob(t, fault.Unavailable)
	dst.wordy = true
	if _, err := run(); err == nil || len(j.m) != 1 {
		t.Fatalf("%d records, %v", len(j.m), err)
	}
	var r uploadRecord
	for _, raw := range j.m {
		if err := json.Unmarshal(raw, &r); err != nil || !strings.HasSuffix(string(r.State), " 5") {
			t.Errorf("the state is %q after 5 parts, %v", r.State, err)
		}
	}
	heal()
	if res, err := run(); err != nil || res.ClientBytes != 5*(16<<10) || len(j.m) != 0 || dst.pending() != 0 {
		t.Errorf("%+v, %v, %d records", res, err, len(j.m))
	}

	src, dst, run, j, _ := resumeJob(t, fault.Unavailable)
	dst.before = func(op, _ string, _ int) error {
		if op == "begin" {
			return fault.New(fault.Unimplemented, "no parts today")
		}
		return nil
	}
	res, err := run()
	if err != nil || res.Copied != 1 || res.ClientBytes != 10*(16<<10) || len(j.m) != 0 || dst.count("part") != 0 {
		t.Errorf("%+v, %v, %d records", res, err, len(j.m))
	}
	want, _ := src.get("in/a")
	got, _ := dst.get("a")
	wantBytes(t, []byte(got), []byte(want))
}

// An upload whose source has changed since is aborted and begun anew.
func TestJournalChangedSource(t *testing.T) {
	src, dst, run, j, heal := resumeJob(t, fault.Unavailable)
	if _, err := run(); err == nil {
		t.Fatal("no failure")
	}
	heal()
	was := src.objects["in/a"].e
	now := strings.Repeat("o", 10*(16<<10)) // the same size and time: only the ETag tells
	src.set("in/a", now)
	is := src.objects["in/a"]
	is.e.Modified = was.Modified
	src.objects["in/a"] = is
	if _, err := run(); err != nil {
		t.Fatal(err)
	}
	if got, _ := dst.get("a"); got != now {
		t.Error("the target mixes two states of the source")
	}
	if dst.count("abort") != 1 || dst.pending() != 0 || len(j.m) != 0 {
		t.Errorf("%d aborts, %d uploads, %d records", dst.count("abort"), dst.pending(), len(j.m))
	}
}

// What no other run can mend is aborted at once, and so is an upload that cannot be recorded.
func TestJournalAborts(t *testing.T) {
	_, dst, run, j, _ := resumeJob(t, fault.InvalidArgument)
	_, err := run()
	wantCode(t, err, fault.InvalidArgument)
	if dst.pending() != 0 || len(j.m) != 0 {
		t.Errorf("%d uploads, %d records", dst.pending(), len(j.m))
	}
	_, dst, run, j, _ = resumeJob(t, fault.Unavailable)
	j.fail = errors.New("disk full")
	if _, err := run(); err == nil || dst.pending() != 0 || dst.count("part") != 0 {
		t.Errorf("%v; %d uploads, %d parts sent without a record", err, dst.pending(), dst.count("part"))
	}
}

// Records of uploads that the service has lost, that cannot be read, or whose source is gone are cleared.
func TestJournalStaleRecords(t *testing.T) {
	src, dst, run, j, heal := resumeJob(t, fault.Unavailable)
	if _, err := run(); err == nil {
		t.Fatal("no failure")
	}
	heal()
	dst.ups.Clear()
	j.m["00"] = []byte("{broken")
	if _, err := run(); err != nil {
		t.Fatal(err)
	}
	if len(j.m) != 0 || dst.pending() != 0 {
		t.Errorf("%d records, %d uploads", len(j.m), dst.pending())
	}
	src, dst, run, j, heal = resumeJob(t, fault.Unavailable)
	if _, err := run(); err == nil {
		t.Fatal("no failure")
	}
	heal()
	src.mu.Lock()
	delete(src.objects, "in/a")
	src.mu.Unlock()
	if _, err := run(); err != nil {
		t.Fatal(err)
	}
	if len(j.m) != 0 || dst.pending() != 0 || len(dst.keys()) != 0 {
		t.Errorf("%d records, %d uploads, keys %v of an object that is gone", len(j.m), dst.pending(), dst.keys())
	}
}

// A run that is cancelled keeps its uploads for the next.
func TestJournalCancelled(t *testing.T) {
	_, dst, _, j, heal := resumeJob(t, fault.Unavailable)
	heal()
	src := newMem()
	src.set("a", string(testBytes(10*(16<<10))))
	ctx, cancel := context.WithCancel(context.Background())
	before := dst.before
	dst.before = func(op, key string, n int) error {
		if op == "part" && n == 4 {
			cancel()
		}
		return before(op, key, n)
	}
	s, d := newStore(t, src, Options{}), newStore(t, dst, Options{PartWorkers: 1})
	if _, err := Copy(ctx, s, d, CopyJob{Journal: j}); err == nil {
		t.Fatal("no failure")
	}
	if dst.pending() != 1 || len(j.m) != 1 || dst.count("abort") != 0 {
		t.Errorf("%d uploads, %d records, %d aborts", dst.pending(), len(j.m), dst.count("abort"))
	}
	if _, err := Copy(context.Background(), s, d, CopyJob{Journal: j}); err != nil {
		t.Fatal(err)
	}
	if n := dst.count("partstored"); n > 11 { // one may have been cut off
		t.Errorf("%d parts were stored, the object has 10", n)
	}
}
