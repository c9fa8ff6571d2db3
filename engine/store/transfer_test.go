package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// Parts beyond the budget go to spill files, which are closed; without any the upload waits for room.
func TestBudgetAndSpill(t *testing.T) {
	ctx := context.Background()
	data := testBytes(5*int(small.unknown) + 3)
	dir := t.TempDir()
	var files []*spillFile
	d := newParts(PartLimits{Count: 10_000, Max: 5 << 30})
	b := NewBudget(small.unknown + 1<<10)
	s := newStore(t, d, Options{Budget: b, Spill: func() (SpillFile, error) {
		f, err := os.CreateTemp(dir, "")
		sf := &spillFile{File: f}
		files = append(files, sf)
		return sf, err
	}})
	if _, err := s.Put(ctx, "k", ReaderBody(bytes.NewReader(data), -1), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	got, _ := d.get("k")
	wantBytes(t, []byte(got), data)
	if len(files) == 0 || b.Peak() > b.Size() || b.Used() != 0 {
		t.Fatalf("%d spill files, peak %d of %d, %d held", len(files), b.Peak(), b.Size(), b.Used())
	}
	for _, f := range files {
		if f.closed.Load() != 1 {
			t.Error("a spill file was closed", f.closed.Load(), "times")
		}
	}
	s = newStore(t, newParts(PartLimits{Count: 10_000, Max: 5 << 30}), Options{Budget: b})
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if _, err := s.Put(ctx, fmt.Sprint(i), ReaderBody(bytes.NewReader(data), -1), WriteOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	full := newStore(t, newParts(PartLimits{Count: 10_000, Max: 5 << 30}), Options{Budget: NewBudget(1 << 10),
		Spill: func() (SpillFile, error) { return fullDisk{}, nil }})
	_, err := full.Put(ctx, "k", ReaderBody(bytes.NewReader(data), -1), WriteOptions{})
	wantCode(t, err, fault.ResourceExhausted)
}

type spillFile struct {
	*os.File
	closed atomic.Int64
}

func (f *spillFile) Close() error { f.closed.Add(1); return f.File.Close() }

func TestAbortReachesTheServer(t *testing.T) {
	ctx := context.Background()
	for _, how := range []string{"part fails", "commit fails", "cancelled", "panic", "abort fails"} {
		d := newParts(PartLimits{Count: 100, Max: 1 << 30})
		cctx, cancel := context.WithCancel(ctx)
		d.before = func(op, _ string, n int) error {
			switch {
			case op == "part" && n == 2:
				switch how {
				case "part fails", "abort fails":
					return fault.New(fault.InvalidArgument, "400")
				case "cancelled":
					cancel()
				case "panic":
					panic("driver")
				}
			case op == "commit" && how == "commit fails":
				return fault.New(fault.InvalidArgument, "400")
			case op == "abort" && how == "abort fails":
				return fault.New(fault.PermissionDenied, "no aborts")
			}
			return nil
		}
		s := newStore(t, d, Options{})
		_, err := s.Put(cctx, "k", BytesBody(make([]byte, int(small.from)*3)), WriteOptions{})
		cancel()
		if err == nil || d.count("abort") != 1 {
			t.Errorf("%s: %v, %d aborts", how, err, d.count("abort"))
		}
		if how == "abort fails" {
			if !strings.Contains(err.Error(), "may be left") || !fault.Is(err, fault.InvalidArgument) {
				t.Error(err)
			}
		} else if d.pending() != 0 {
			t.Errorf("%s: %d uploads left", how, d.pending())
		}
	}
}

func TestResumeUpload(t *testing.T) {
	ctx := context.Background()
	d := newParts(PartLimits{Count: 100, Max: 1 << 30})
	data := testBytes(int(small.known)*4 + 9)
	u, err := d.Begin(ctx, "k", PutOptions{}, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3} {
		off := (n - 1) * int(small.known)
		if _, err := u.Part(ctx, n, int64(off), BytesBody(data[off:off+int(small.known)])); err != nil {
			t.Fatal(err)
		}
	}
	s := newStore(t, d, Options{})
	e, err := s.ResumeUpload(ctx, "k", u.State(), BytesBody(data).(RangeOpener), WriteOptions{})
	if err != nil || e.Size != int64(len(data)) {
		t.Fatal(e, err)
	}
	got, _ := d.get("k")
	wantBytes(t, []byte(got), data)
	order := slices.Clone(u.(*memUpload).order[2:])
	slices.Sort(order)
	if !slices.Equal(order, []int{2, 4, 5}) {
		t.Fatalf("sent parts %v again, want 2, 4 and 5", order)
	}
}

func TestChangedFileIsNotStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, size := range []int{100, int(small.from) * 2} {
		for name, change := range map[string]func(*os.File) error{
			"shorter": func(f *os.File) error { return f.Truncate(int64(size / 2)) },
			"longer":  func(f *os.File) error { _, err := f.WriteAt([]byte("x"), int64(size)); return err },
			"touched": func(f *os.File) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		} {
			if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			b, err := FileBody(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := change(f); err != nil {
				t.Fatal(err)
			}
			d := newParts(PartLimits{Count: 100})
			if _, err := newStore(t, d, Options{}).Put(context.Background(), "k", b, WriteOptions{}); err == nil {
				t.Errorf("%s, %d bytes: stored", name, size)
			}
			if len(d.keys()) != 0 || d.pending() != 0 {
				t.Errorf("%s: left %v, %d", name, d.keys(), d.pending())
			}
			f.Close()
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "spill", Err: syscall.ENOSPC}
}
func (fullDisk) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (fullDisk) Close() error                      { return nil }
