package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/retry"
)

// cutAfter fails with err after n bytes.
type cutAfter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *cutAfter) Read(p []byte) (int, error) {
	if c.n <= 0 {
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.n)])
	c.n -= int64(n)
	return n, err
}

// A body that is reset every MiB is read to its end, with few bytes sent twice.
func TestReadsResume(t *testing.T) {
	data := testBytes(16 << 20)
	for name, lost := range map[string]error{"reset": errReset, "unexpected EOF": io.ErrUnexpectedEOF, "clean EOF": io.EOF} {
		d := newMem()
		d.set("k", string(data))
		var sent atomic.Int64
		d.body = func(_ string, _ int64, r io.Reader) io.Reader {
			return &cutAfter{io.TeeReader(r, countWriter{&sent}), 1 << 20, lost}
		}
		c := clock.NewFake(time.Now())
		s := newStore(t, d, Options{Clock: c})
		got, _, err := s.ReadAll(context.Background(), "k", 1<<30)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if sha256.Sum256(got) != sha256.Sum256(data) {
			t.Fatalf("%s: other bytes", name)
		}
		if extra := sent.Load() - int64(len(data)); extra > int64(len(data))/20 {
			t.Errorf("%s: %d bytes sent twice", name, extra)
		}
		if s.Stats().Resumes.Load() != 15 || len(c.Waits()) != 0 || d.open.Load() != 0 {
			t.Errorf("%s: %d resumes, waits %v, %d open", name, s.Stats().Resumes.Load(), c.Waits(), d.open.Load())
		}
	}
}

type countWriter struct{ n *atomic.Int64 }

func (w countWriter) Write(p []byte) (int, error) { w.n.Add(int64(len(p))); return len(p), nil }

// Without progress the resumes end; with little of it each waits first.
func TestResumesAreBounded(t *testing.T) {
	d := newMem()
	d.set("k", "0123456789")
	d.body = func(_ string, off int64, r io.Reader) io.Reader { return &cutAfter{r, 4 - off, errReset} }
	c := clock.NewFake(time.Now())
	s := newStore(t, d, Options{Clock: c, Retry: retry.Policy{MaxAttempts: 3}})
	got, _, err := s.ReadAll(context.Background(), "k", 100)
	wantCode(t, err, fault.Unavailable)
	if d.count("get") != 3 || len(c.Waits()) != 2 {
		t.Fatalf("%q, %d gets, waits %v", got, d.count("get"), c.Waits())
	}
}

func TestChangedObjectIsNotMixed(t *testing.T) {
	data := string(testBytes(1 << 20))
	for name, caps := range map[string]func(*Caps){
		"pinned":  func(*Caps) {},
		"by ETag": func(c *Caps) { c.Pin = false },
	} {
		for _, how := range []string{"replaced", "deleted"} {
			d := newMem()
			caps(&d.caps)
			d.set("k", data)
			d.body = func(_ string, off int64, r io.Reader) io.Reader {
				if off > 0 {
					return r
				}
				return &cutAfter{r, 1000, errReset}
			}
			s := newStore(t, d, Options{})
			r, err := s.Open(context.Background(), "k", ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 10)
			if _, err := io.ReadFull(r, p); err != nil {
				t.Fatal(err)
			}
			if how == "replaced" {
				d.set("k", strings.ToUpper(data))
			} else {
				d.mu.Lock()
				delete(d.objects, "k")
				d.mu.Unlock()
			}
			if _, err = io.ReadAll(r); !fault.Is(err, fault.FailedPrecondition) {
				t.Errorf("%s, %s: %v", name, how, err)
			}
			r.Close()
		}
	}
}

// Where nothing proves that the object is the same, a lost connection is the end.
func TestUnprovableResumeIsRefused(t *testing.T) {
	d := newMem()
	d.caps.Pin, d.caps.Sums = false, nil
	d.set("k", "0123456789")
	d.served = func(o *Object) { o.Entry.ETag, o.Entry.Modified = "", time.Time{} }
	d.body = func(_ string, off int64, r io.Reader) io.Reader { return &cutAfter{r, 4, errReset} }
	s := newStore(t, d, Options{})
	_, _, err := s.ReadAll(context.Background(), "k", 100)
	wantCode(t, err, fault.Unavailable)
	if d.count("get") != 1 || !strings.Contains(fault.ClassOf(err).Hint, "from the start") {
		t.Fatal(d.count("get"), err, fault.ClassOf(err).Hint)
	}
}

// No read ends as success with bytes that are short, long, other or of another range.
func TestBadRepliesAreFound(t *testing.T) {
	data := testBytes(100_000)
	flip := func(_ string, _ int64, r io.Reader) io.Reader {
		b, _ := io.ReadAll(r)
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		return bytes.NewReader(b)
	}
	longer := func(_ string, _ int64, r io.Reader) io.Reader {
		return io.MultiReader(r, strings.NewReader("x"))
	}
	always := func(n int64) func(string, int64, io.Reader) io.Reader {
		return func(_ string, off int64, r io.Reader) io.Reader { return &cutAfter{r, max(n-off, 0), io.EOF} }
	}
	tests := []struct {
		name   string
		rg     *Range
		body   func(string, int64, io.Reader) io.Reader
		served func(*Object)
	}{
		{name: "flipped bit", body: flip},
		{name: "one byte short for ever", body: always(99_999)},
		{name: "empty", body: always(0)},
		{name: "longer", body: longer},
		{name: "longer range", rg: &Range{10, 10}, body: longer},
		{name: "whole instead of a range", rg: &Range{10, 10}, served: func(o *Object) {
			o.Range, o.Body = Range{0, o.Total}, io.NopCloser(bytes.NewReader(data))
		}},
		{name: "range longer than asked", rg: &Range{0, 10}, served: func(o *Object) {
			o.Range, o.Body = Range{0, 20}, io.NopCloser(bytes.NewReader(data[:20]))
		}},
		{name: "range shorter than asked", rg: &Range{0, 10}, served: func(o *Object) {
			o.Range, o.Body = Range{0, 5}, io.NopCloser(bytes.NewReader(data[:5]))
		}},
		{name: "length is not the size", served: func(o *Object) {
			o.Range, o.Body = Range{0, 5}, io.NopCloser(bytes.NewReader(data[:5]))
		}},
		{name: "two sizes", served: func(o *Object) { o.Entry.Size++ }},
		{name: "unpacked on the way", served: func(o *Object) { // as a transport that undoes gzip by itself: no length, other bytes
			o.Range.Len, o.Entry.Sums = -1, nil
			o.Body = io.NopCloser(io.MultiReader(o.Body, bytes.NewReader(data)))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newMem()
			d.set("k", string(data))
			d.body, d.served = tt.body, tt.served
			s := newStore(t, d, Options{})
			ctx := context.Background()
			for _, way := range []string{"all", "counted", "small"} {
				r, err := s.Open(ctx, "k", ReadOptions{Range: tt.rg})
				if err == nil {
					switch way {
					case "all":
						_, err = io.ReadAll(r)
					case "counted": // a caller that reads what it expects and does not look further
						want := int64(100_000)
						if tt.rg != nil {
							want = tt.rg.Len
						}
						_, err = io.ReadFull(r, make([]byte, want))
					case "small":
						_, err = io.ReadAll(iotest.OneByteReader(r))
					}
					r.Close()
				}
				if !fault.Is(err, fault.DataLoss) && !(way == "counted" && err == io.ErrUnexpectedEOF) {
					t.Errorf("%s: got %v, want data_loss", way, err)
				}
			}
			if d.open.Load() != 0 && tt.served == nil {
				t.Errorf("%d bodies left open", d.open.Load())
			}
		})
	}
}

// A connection that breaks after the last byte has cost nothing; an altered body that the driver finds there has.
func TestLostAfterTheLastByte(t *testing.T) {
	for _, sums := range [][]string{nil, {"crc32c"}} {
		for err, code := range map[error]fault.Code{errReset: "", fault.New(fault.DataLoss, "altered"): fault.DataLoss} {
			d := newMem()
			d.caps.Sums = sums
			d.set("k", "0123456789")
			d.body = func(_ string, _ int64, r io.Reader) io.Reader { return &cutAfter{r, 10, err} }
			_, _, rerr := newStore(t, d, Options{}).ReadAll(context.Background(), "k", 100)
			if fault.CodeOf(rerr) != code || d.count("get") != 1 {
				t.Errorf("%v, sums %v: %v after %d requests", err, sums, rerr, d.count("get"))
			}
		}
	}
}

// A sum of parts' sums is not the sum of the bytes, and an unknown algorithm is no reason to fail.
func TestOnlySumsOfBytesAreChecked(t *testing.T) {
	d := newMem()
	d.set("k", "abc")
	d.served = func(o *Object) {
		o.Entry.Sums = []Sum{{Algo: "crc32c", Value: []byte{1, 2, 3, 4}, Parts: 2}, {Algo: "blake9", Value: []byte{1}}}
	}
	if _, _, err := newStore(t, d, Options{}).ReadAll(context.Background(), "k", 10); err != nil {
		t.Fatal(err)
	}
	for _, algo := range sumOrder {
		h := newHash(algo)
		io.WriteString(h, "abc")
		sum := h.Sum(nil)
		for _, good := range []bool{true, false} {
			d.served = func(o *Object) {
				v := bytes.Clone(sum)
				if !good {
					v[0]++
				}
				o.Entry.Sums = []Sum{{Algo: algo, Value: v}}
			}
			_, _, err := newStore(t, d, Options{}).ReadAll(context.Background(), "k", 10)
			if good != (err == nil) {
				t.Errorf("%s, good=%v: %v", algo, good, err)
			}
		}
	}
}

// The check value of every algorithm, from the published check of "123456789".
func TestHashesAreTheNamedOnes(t *testing.T) {
	for algo, want := range map[string]string{"crc32c": "\xe3\x06\x92\x83", "crc64nvme": "\xae\x8b\x14\x86\x0a\x79\x98\x88"} {
		h := newHash(algo)
		io.WriteString(h, "123456789")
		if got := string(h.Sum(nil)); got != want {
			t.Errorf("%s: %x, want %x", algo, got, want)
		}
	}
}

func TestUnknownSizeIsSaid(t *testing.T) {
	d := newMem()
	d.set("k", "abc")
	d.served = func(o *Object) { o.Entry.Size, o.Range.Len, o.Total = -1, -1, -1 }
	s := newStore(t, d, Options{})
	r, err := s.Open(context.Background(), "k", ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Size() != -1 || r.Entry().Size != -1 {
		t.Fatal(r.Size(), r.Entry().Size)
	}
	if b, err := io.ReadAll(r); string(b) != "abc" || err != nil {
		t.Fatal(b, err)
	}
}

func TestStallsEnd(t *testing.T) {
	ctx := context.Background()
	const short = 50 * time.Millisecond
	t.Run("head", func(t *testing.T) {
		d := &stallDriver{memDriver: newMem()}
		d.set("k", "abc")
		s := newStore(t, d, Options{StallTimeout: short, Retry: retry.Policy{MaxAttempts: 2}})
		start := time.Now()
		_, err := s.Open(ctx, "k", ReadOptions{})
		took := time.Since(start)
		wantCode(t, err, fault.DeadlineExceeded)
		if took < 2*short || took > 2*short*3 || !strings.Contains(err.Error(), "no reply") {
			t.Fatal(took, err)
		}
	})
	t.Run("body", func(t *testing.T) {
		d := newMem()
		d.set("k", string(testBytes(1000)))
		d.body = func(_ string, off int64, r io.Reader) io.Reader {
			if off > 0 {
				return r
			}
			return io.MultiReader(io.LimitReader(r, 100), stallReader{})
		}
		s := newStore(t, &ctxDriver{d}, Options{IdleTimeout: short, Retry: retry.Policy{MaxAttempts: 2}})
		start := time.Now()
		r, err := s.Open(ctx, "k", ReadOptions{Range: &Range{0, 150}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil || len(b) != 150 {
			t.Fatal(len(b), err)
		}
		if took := time.Since(start); took < short || took > 5*short {
			t.Fatal(took)
		}
	})
	t.Run("slow but moving", func(t *testing.T) {
		d := newMem()
		d.set("k", "0123456789")
		d.body = func(_ string, _ int64, r io.Reader) io.Reader { return &trickle{r, short / 2} }
		s := newStore(t, d, Options{IdleTimeout: 5 * short, StallTimeout: 5 * short})
		b, _, err := s.ReadAll(ctx, "k", 100)
		if err != nil || len(b) != 10 || d.count("get") != 1 {
			t.Fatal(len(b), err, d.count("get"))
		}
	})
}

// stallDriver sends no head.
type stallDriver struct{ *memDriver }

func (d *stallDriver) Get(ctx context.Context, key string, o GetOptions) (Object, error) {
	<-ctx.Done()
	return Object{}, ctx.Err()
}

// ctxDriver lets bodies wait for the end of their context, as those of an HTTP client do.
type ctxDriver struct{ *memDriver }

func (d *ctxDriver) Get(ctx context.Context, key string, o GetOptions) (Object, error) {
	obj, err := d.memDriver.Get(ctx, key, o)
	if err == nil {
		obj.Body = &ctxBody{ReadCloser: obj.Body, ctx: ctx}
	}
	return obj, err
}

type ctxBody struct {
	io.ReadCloser
	ctx context.Context
}

func (b *ctxBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == errStall {
		<-b.ctx.Done()
		err = b.ctx.Err()
	}
	return n, err
}

type stallReader struct{}

var errStall = io.ErrNoProgress

func (stallReader) Read([]byte) (int, error) { return 0, errStall }

type trickle struct {
	r io.Reader
	d time.Duration
}

func (t *trickle) Read(p []byte) (int, error) {
	time.Sleep(t.d)
	return t.r.Read(p[:1])
}

func TestRanges(t *testing.T) {
	ctx := context.Background()
	d := newMem()
	d.set("k", "0123456789")
	s := newStore(t, d, Options{})
	for _, tt := range []struct {
		r    Range
		want string
	}{{Range{0, -1}, "0123456789"}, {Range{3, 4}, "3456"}, {Range{8, 100}, "89"}, {Range{-3, -1}, "789"}, {Range{-30, -1}, "0123456789"},
		{Range{-3, 3}, "789"}, {Range{10, -1}, ""}, {Range{4, 0}, ""}} {
		r, err := s.Open(ctx, "k", ReadOptions{Range: &tt.r})
		if err != nil {
			t.Errorf("%v: %v", tt.r, err)
			continue
		}
		b, err := io.ReadAll(r)
		if string(b) != tt.want || err != nil || r.Size() != int64(len(tt.want)) {
			t.Errorf("%v: %q, %v, size %d", tt.r, b, err, r.Size())
		}
		r.Close()
	}
	for _, bad := range []Range{{0, -2}, {-3, 2}} {
		_, err := s.Open(ctx, "k", ReadOptions{Range: &bad})
		wantCode(t, err, fault.InvalidArgument)
	}
	_, err := s.Open(ctx, "k", ReadOptions{IfMatch: "other"})
	wantCode(t, err, fault.FailedPrecondition)
	d.caps.Pin = false // and a store that ignores the condition
	_, err = newStore(t, d, Options{}).Open(ctx, "k", ReadOptions{IfMatch: "other"})
	wantCode(t, err, fault.FailedPrecondition)
}

func TestWriteTo(t *testing.T) {
	d := newMem()
	data := testBytes(3<<20 + 5)
	d.set("k", string(data))
	s := newStore(t, d, Options{})
	r, err := s.Open(context.Background(), "k", ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if n, err := io.Copy(&b, r); err != nil || n != int64(len(data)) {
		t.Fatal(n, err)
	}
	wantBytes(t, b.Bytes(), data)
}
