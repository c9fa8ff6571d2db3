package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/fault"
)

// filler is a memory store that takes bytes at offsets.
type filler struct {
	*memDriver
	writing func(off int64) error
	aborted atomic.Int64
}

type memFilling struct {
	d    *filler
	key  string
	o    PutOptions
	mu   sync.Mutex
	data []byte
	done bool
}

func (d *filler) Fill(_ context.Context, key string, size int64, o PutOptions) (Filling, error) {
	return &memFilling{d: d, key: key, o: o, data: make([]byte, size)}, nil
}

func (f *memFilling) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.d.writing != nil {
		if err := f.d.writing(off); err != nil {
			return 0, err
		}
	}
	return copy(f.data[off:], p), nil
}

func (f *memFilling) Commit(context.Context) (Entry, error) {
	f.done = true
	return f.d.commit(f.key, f.data, f.o)
}

func (f *memFilling) Abort() error {
	if !f.done {
		f.d.aborted.Add(1)
	}
	return nil
}

// A large object comes by ranges, whole and proven, or not at all.
func TestCopyByRanges(t *testing.T) {
	data := testBytes(5*fillRange + 12345)
	full := errors.New("no space left")
	for name, c := range map[string]struct {
		set  func(src *memDriver, dst *filler)
		want fault.Code // "" for success
		one  bool       // by a single read
	}{
		"plain": {func(*memDriver, *filler) {}, "", false},
		"each range is cut once": {func(src *memDriver, _ *filler) {
			var cut sync.Map
			src.body = func(_ string, off int64, r io.Reader) io.Reader {
				if _, again := cut.LoadOrStore(off/fillRange, true); again {
					return r
				}
				return io.MultiReader(io.LimitReader(r, 1<<20), iotest.ErrReader(errReset))
			}
		}, "", false},
		"a byte is altered": {func(src *memDriver, _ *filler) {
			src.body = func(_ string, off int64, r io.Reader) io.Reader {
				if off != 3*fillRange {
					return r
				}
				b, _ := io.ReadAll(r)
				b = bytes.Clone(b)
				b[77] ^= 1
				return bytes.NewReader(b)
			}
		}, fault.DataLoss, false},
		"the object is replaced": {func(src *memDriver, _ *filler) {
			src.before = func(op, key string, n int) error {
				if op == "get" && n == 5 {
					src.set("k", "another")
				}
				return nil
			}
		}, fault.FailedPrecondition, false},
		"the target is full": {func(_ *memDriver, dst *filler) {
			dst.writing = func(off int64) error {
				if off > 2*fillRange {
					return fault.New(fault.ResourceExhausted, "%w", full)
				}
				return nil
			}
		}, fault.ResourceExhausted, false},
		"no checksum that can be joined": {func(src *memDriver, _ *filler) {
			src.caps.Sums = []string{"md5"}
			src.store("k", data, Attributes{})
		}, "", true},
		"no pin": {func(src *memDriver, _ *filler) { src.caps.Pin = false }, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			src, dst := newMem(), &filler{memDriver: newMem()}
			src.store("k", data, Attributes{ContentType: "text/x"})
			dst.set("k", "old")
			c.set(src, dst)
			s, d := newStore(t, src, Options{}), newStore(t, dst, Options{})
			d.tune = defaultTuning
			res, err := Copy(context.Background(), s, d, CopyJob{Overwrite: OverwriteAlways})
			got, _ := dst.get("k")
			if c.want != "" {
				wantCode(t, err, c.want)
				if got != "old" || dst.aborted.Load() != 1 {
					t.Error("the target is not what it was, or was not aborted", len(got), dst.aborted.Load())
				}
			} else if err != nil || res.Bytes != int64(len(data)) || got != string(data) {
				t.Error(res, err, len(got))
			} else if e, _ := d.Stat(context.Background(), "k", Cond{}); !c.one && e.Attrs.ContentType != "text/x" {
				t.Errorf("%+v", e.Attrs)
			}
			if gets := src.count("get"); c.one != (gets == 1) && c.want == "" {
				t.Error(gets, "requests")
			}
			if src.open.Load() != 0 {
				t.Error(src.open.Load(), "bodies left open")
			}
		})
	}
}
