package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/retry"
)

// Whatever is under way when it is cancelled returns within a second, leaves no goroutine, body or upload, and nothing
// half-written.
func TestCancelAnywhere(t *testing.T) {
	points := 50
	if os.Getenv("DSRUN_TEST_LONG") == "1" {
		points = 1000
	}
	quick := retry.Policy{Base: time.Millisecond}
	data := testBytes(200 << 10)
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, op := range []struct {
		name string
		run  func(ctx context.Context, s, dst *Store) error
	}{
		{"read", func(ctx context.Context, s, _ *Store) error { _, _, err := s.ReadAll(ctx, "k", 1<<30); return err }},
		{"list", func(ctx context.Context, s, _ *Store) error {
			return s.List(ctx, ListOptions{}).Each(ctx, func(Entry) error { return nil })
		}},
		{"put", func(ctx context.Context, s, _ *Store) error {
			_, err := s.Put(ctx, "new", BytesBody(data), WriteOptions{})
			return err
		}},
		{"stream", func(ctx context.Context, s, _ *Store) error {
			_, err := s.Put(ctx, "new", ReaderBody(bytes.NewReader(data), -1), WriteOptions{})
			return err
		}},
		{"write", func(ctx context.Context, s, _ *Store) error {
			w, err := s.Create(ctx, "new", WriteOptions{})
			if err != nil {
				return err
			}
			defer w.Close()
			for i := range 20 {
				if _, err := w.Write(data[i*(10<<10) : (i+1)*(10<<10)]); err != nil {
					return err
				}
			}
			_, err = w.Commit()
			return err
		}},
		{"copy", func(ctx context.Context, s, dst *Store) error { _, err := Copy(ctx, s, dst, CopyJob{}); return err }},
	} {
		t.Run(op.name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			cancelled := 0
			for range points {
				d, to := newParts(PartLimits{Count: 100, Max: 1 << 30}), newParts(PartLimits{Count: 100, Max: 1 << 30})
				d.page = 2
				d.set("k", string(data))
				for i := range 10 {
					d.set(fmt.Sprint("o", i), "x")
				}
				slow := func(string, string, int) error { time.Sleep(time.Millisecond); return nil }
				d.before, to.before = slow, slow
				d.body = func(_ string, off int64, r io.Reader) io.Reader {
					if off == 0 {
						return &cutAfter{&slowReader{r}, 60 << 10, errReset}
					}
					return &slowReader{r}
				}
				s, dst := New("a", "mem", d, Options{Retry: quick}), New("b", "mem", to, Options{Retry: quick})
				s.tune, dst.tune = small, small
				ctx, cancel := context.WithCancel(context.Background())
				after := time.Duration(rnd.Int64N(int64(30 * time.Millisecond)))
				var at time.Time
				timer := time.AfterFunc(after, func() { at = time.Now(); cancel() })
				err := op.run(ctx, s, dst)
				end := time.Now()
				if !timer.Stop() {
					<-ctx.Done()
					if end.Sub(at) > time.Second {
						t.Errorf("returned %v after the cancel", end.Sub(at))
					}
				}
				cancel()
				if err != nil {
					cancelled++
					wantCode(t, err, fault.Cancelled)
					if _, ok := d.get("new"); ok {
						t.Error("something was stored by a call that failed")
					}
				}
				for _, k := range to.keys() {
					if got, _ := to.get(k); k == "k" && got != string(data) {
						t.Error("half an object was copied")
					}
				}
				if d.pending()+to.pending() != 0 || d.open.Load() != 0 {
					t.Errorf("%d uploads, %d bodies left", d.pending()+to.pending(), d.open.Load())
				}
				if s.Close() != nil || dst.Close() != nil {
					t.Error("not closed")
				}
			}
			if cancelled == 0 {
				t.Error("no call was cancelled: the test is too slow or the calls too quick")
			}
			t.Logf("%d of %d calls cancelled", cancelled, points)
		})
	}
}

type slowReader struct{ r io.Reader }

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(200 * time.Microsecond)
	return s.r.Read(p[:min(len(p), 8<<10)])
}
