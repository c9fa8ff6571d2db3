package store

import (
	"bytes"
	"context"
	"errors"
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

// badSource gives n bytes and then err.
func badSource(n int64, err error) io.Reader {
	return &cutAfter{zeros{}, n, err}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// oneShot and replayed make the same source in the forms that a driver may get.
type replayBody struct {
	size int64
	open func() io.Reader
}

func (b replayBody) Size() int64      { return b.size }
func (b replayBody) Replayable() bool { return true }
func (b replayBody) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(b.open()), nil
}

type rangeReplay struct{ replayBody }

func (b rangeReplay) OpenRange(_ context.Context, off, n int64) (io.ReadCloser, error) {
	r := b.open()
	if _, err := io.CopyN(io.Discard, r, off); err != nil {
		return nil, err
	}
	return io.NopCloser(io.LimitReader(r, n)), nil
}

// A source that fails, ends early or runs over stores nothing and leaves what is there, in every form and size.
func TestBadSourcesNeverCommit(t *testing.T) {
	ctx := context.Background()
	errSource := errors.New("disk on fire")
	const little, large = 1000, 16<<10 + 5_000
	for _, base := range []struct {
		name string
		make func() (Driver, *memDriver, func() int)
	}{
		{"one call", func() (Driver, *memDriver, func() int) { d := newMem(); return d, d, func() int { return 0 } }},
		{"parts", func() (Driver, *memDriver, func() int) {
			d := newParts(PartLimits{Count: 100, Max: 1 << 30, Min: 5 << 10})
			return d, d.memDriver, d.pending
		}},
	} {
		for _, size := range []int64{little, large} {
			for _, src := range []struct {
				name     string
				declared int64
				gives    int64
				err      error
			}{
				{"error", size, size / 2, errSource},
				{"error, size unknown", -1, size / 2, errSource},
				{"unexpected EOF", size, size / 2, io.ErrUnexpectedEOF},
				{"unexpected EOF, size unknown", -1, size / 2, io.ErrUnexpectedEOF},
				{"error at the end", size, size, errSource},
				{"short", size, size - 1, io.EOF},
				{"empty", size, 0, io.EOF},
				{"long", size, size + 1, io.EOF},
			} {
				open := func() io.Reader { return badSource(src.gives, src.err) }
				for form, body := range map[string]func() Body{
					"reader":     func() Body { return ReaderBody(open(), src.declared) },
					"replayable": func() Body { return replayBody{src.declared, open} },
					"ranges":     func() Body { return rangeReplay{replayBody{src.declared, open}} },
				} {
					if form == "ranges" && (src.name == "long" || src.name == "error at the end") && size == large {
						continue // a range does not show what follows it; FileBody checks the file itself
					}
					d, mem, pending := base.make()
					mem.set("old", "precious")
					s := newStore(t, d, Options{})
					for key, o := range map[string]WriteOptions{"new": {}, "old": {Overwrite: true}} {
						start := time.Now()
						_, err := s.Put(ctx, key, body(), o)
						if err == nil {
							t.Errorf("%s, %d bytes, %s, %s: stored", base.name, size, src.name, form)
						}
						if src.err == errSource && !errors.Is(err, errSource) {
							t.Errorf("%s, %d bytes, %s, %s: %v hides the cause", base.name, size, src.name, form, err)
						}
						if src.err != errSource && !fault.Is(err, fault.DataLoss) {
							t.Errorf("%s, %d bytes, %s, %s: %v", base.name, size, src.name, form, err)
						}
						if time.Since(start) > 5*time.Second {
							t.Errorf("%s, %s, %s: took %v", base.name, src.name, form, time.Since(start))
						}
					}
					if old, _ := mem.get("old"); old != "precious" || len(mem.keys()) != 1 || pending() != 0 {
						t.Errorf("%s, %d bytes, %s, %s: left %v, %d uploads", base.name, size, src.name, form, mem.keys(), pending())
					}
				}
			}
		}
	}
}

func TestWriterLeavesNothingBehind(t *testing.T) {
	for _, n := range []int{0, 10, 3 << 10, int(small.from) * 2} {
		for _, how := range []string{"abort", "close", "cancel", "cancel then commit"} {
			d := newParts(PartLimits{Count: 100, Max: 1 << 30})
			s := newStore(t, d, Options{})
			ctx, cancel := context.WithCancel(context.Background())
			w, err := s.Create(ctx, "k", WriteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			switch how {
			case "abort":
				err = w.Abort()
			case "close":
				err = w.Close()
			case "cancel":
				cancel()
				err = w.Abort()
			case "cancel then commit":
				cancel()
				_, cerr := w.Commit()
				wantCode(t, cerr, fault.Cancelled)
			}
			cancel()
			if err != nil || len(d.keys()) != 0 || d.pending() != 0 {
				t.Errorf("%s after %d bytes: %v, %v, %d uploads", how, n, err, d.keys(), d.pending())
			}
			if _, err := w.Write([]byte("x")); err == nil {
				t.Errorf("%s: written afterwards", how)
			}
		}
	}
}

// A writer hears of a failed upload at its next write, and never waits for it for ever.
func TestWriterHearsOfFailures(t *testing.T) {
	for _, op := range []string{"put", "begin", "part", "commit"} {
		var d Driver
		mem := newMem()
		if op != "put" {
			p := newParts(PartLimits{Count: 1000, Max: 1 << 30})
			mem, d = p.memDriver, p
		} else {
			d = mem
		}
		refused := fault.New(fault.PermissionDenied, "no")
		mem.before = func(at, _ string, _ int) error {
			if at == op {
				return refused
			}
			return nil
		}
		s := newStore(t, d, Options{})
		w, err := s.Create(context.Background(), "k", WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 40<<10)
		for range 40 {
			if _, err = w.Write(p); err != nil {
				break
			}
		}
		if op != "commit" {
			wantCode(t, err, fault.PermissionDenied)
		}
		_, err = w.Commit()
		wantCode(t, err, fault.PermissionDenied)
		if len(mem.keys()) != 0 {
			t.Error("stored")
		}
	}
}

func TestConditions(t *testing.T) {
	ctx := context.Background()
	body := BytesBody([]byte("x"))
	d := newMem()
	e := d.set("k", "v")
	s := newStore(t, d, Options{})
	_, err := s.Put(ctx, "k", body, WriteOptions{IfMatch: "other"})
	wantCode(t, err, fault.FailedPrecondition)
	if _, err = s.Put(ctx, "k", body, WriteOptions{IfMatch: e.ETag}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Create(ctx, "\x00", WriteOptions{})
	wantCode(t, err, fault.InvalidArgument)

	d = newMem()
	d.caps.IfAbsent, d.caps.IfMatch = false, false
	d.caps.Why = map[string]string{"IfMatch": "the reason of the driver"}
	d.set("k", "v")
	s = newStore(t, d, Options{})
	_, err = s.Put(ctx, "k", body, WriteOptions{IfMatch: "e1"})
	wantCode(t, err, fault.Unimplemented)
	if !strings.Contains(err.Error(), "the reason of the driver") {
		t.Error(err)
	}
	_, err = s.Put(ctx, "new", body, WriteOptions{Exclusive: true})
	wantCode(t, err, fault.Unimplemented)
	_, err = s.Put(ctx, "k", body, WriteOptions{})
	wantCode(t, err, fault.AlreadyExists)
	if _, err = s.Put(ctx, "new", body, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if d.count("put") != 1 {
		t.Error(d.count("put"), "puts")
	}
	d.caps.ReadOnly = true
	_, err = newStore(t, d, Options{}).Put(ctx, "n", body, WriteOptions{})
	wantCode(t, err, fault.PermissionDenied)
	d.caps.ReadOnly, d.caps.MaxSize = false, 5
	_, err = newStore(t, d, Options{}).Put(ctx, "n", BytesBody(make([]byte, 6)), WriteOptions{})
	wantCode(t, err, fault.InvalidArgument)
}

// Of 32 that create one key, one wins, in one call and in parts.
func TestOneWinner(t *testing.T) {
	for _, size := range []int{10, int(small.from) + 1} {
		d := newParts(PartLimits{Count: 100, Max: 1 << 30})
		s := newStore(t, d, Options{})
		data := make([]byte, size)
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				_, err := s.Put(context.Background(), "k", BytesBody(data), WriteOptions{Exclusive: true})
				switch {
				case err == nil:
					won.Add(1)
				case fault.Is(err, fault.AlreadyExists):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 31 || d.pending() != 0 {
			t.Errorf("%d won, %d lost, %d uploads left", won.Load(), lost.Load(), d.pending())
		}
	}
}

// Every form of source arrives whole at every kind of store.
func TestUploadMatrix(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	stores := map[string]PartLimits{
		"one call":   {},
		"parts":      {Count: 10_000, Min: 5 << 10, Max: 5 << 30},
		"sequential": {Count: 10_000, Max: 1 << 30, Sequential: true, Align: 1 << 10},
		"small max":  {Count: 10_000, Max: 4 << 10},
		"needs size": {Count: 10_000, Max: 1 << 30, NeedSize: true},
	}
	for name, limits := range stores {
		for _, size := range []int{0, 1, int(small.head), int(small.head) + 1, int(small.unknown), int(small.from), int(small.from) + 1, 3*int(small.unknown) + 77} {
			data := testBytes(size)
			path := filepath.Join(dir, "f")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := FileBody(f)
			if err != nil {
				t.Fatal(err)
			}
			var spilled atomic.Int64
			for form, body := range map[string]Body{
				"bytes":        BytesBody(data),
				"file":         file,
				"known size":   ReaderBody(bytes.NewReader(data), int64(size)),
				"unknown size": ReaderBody(bytes.NewReader(data), -1),
				"replayable":   replayBody{-1, func() io.Reader { return bytes.NewReader(data) }},
			} {
				d := newParts(limits)
				b := NewBudget(20 << 10)
				s := newStore(t, d, Options{Budget: b, Spill: func() (SpillFile, error) {
					spilled.Add(1)
					return os.Create(filepath.Join(dir, fmt.Sprint("spill", spilled.Load())))
				}})
				fail := true // each part fails once
				var mu sync.Mutex
				d.before = func(op, _ string, n int) error {
					mu.Lock()
					defer mu.Unlock()
					if op == "part" {
						fail = !fail
						if !fail {
							return errBusy
						}
					}
					return nil
				}
				e, err := s.Put(ctx, "k", body, WriteOptions{Attrs: Attributes{ContentType: "a/b"}})
				if err != nil || e.Size != int64(size) {
					t.Fatalf("%s, %s, %d bytes: %v, %d", name, form, size, err, e.Size)
				}
				got, _ := d.get("k")
				wantBytes(t, []byte(got), data)
				if d.pending() != 0 || b.Used() != 0 || b.Peak() > b.Size() {
					t.Fatalf("%s, %s, %d bytes: %d uploads left, %d bytes held, peak %d", name, form, size, d.pending(), b.Used(), b.Peak())
				}
				if limits.NeedSize && form == "unknown size" && size > int(small.unknown) && spilled.Load() == 0 {
					t.Errorf("a source of unknown size went up where the size is needed, without a spill file")
				}
				if (form == "bytes" || form == "file") && b.Peak() != 0 {
					t.Errorf("%s, %s: %d bytes were held of a source that can be read again", name, form, b.Peak())
				}
			}
			f.Close()
		}
	}
}

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
