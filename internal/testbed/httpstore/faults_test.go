package httpstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// The product's time-outs of 30 s and 60 s at a twentieth.
var (
	stallTime = testbed.Scale(1500*time.Millisecond, 30*time.Second)
	idleTime  = testbed.Scale(3*time.Second, 60*time.Second)
)

// bench is a portable store over the wire, with the fault server between and the server's own memory at hand.
type bench struct {
	*store.Store
	f     *faults.Server
	m     *memory.Driver
	clock *clock.Fake
}

func over(t *testing.T) *bench {
	t.Helper()
	f, m := serve(t)
	c := clock.NewFake(time.Now())
	r := secret.NewRedactor()
	r.Add(canary)
	s := store.New("web", "httpstore", Open(f.URL, client(t, httpclient.Options{StallTimeout: stallTime, IdleTimeout: idleTime}), secret.New(canary)),
		store.Options{Clock: c, Redactor: r, StallTimeout: stallTime, IdleTimeout: idleTime})
	t.Cleanup(func() { s.Close() })
	return &bench{s, f, m, c}
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed)))
	r.Read(b)
	return b
}

// place puts an object on the server, past the wire.
func (b *bench) place(t *testing.T, key string, content []byte) store.Entry {
	t.Helper()
	e, err := b.m.Put(t.Context(), key, store.BytesBody(content), store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (b *bench) read(ctx context.Context, key string, o store.ReadOptions) ([]byte, error) {
	r, err := b.Open(ctx, key, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// alterations are what can happen to the bytes of an answer; each must be noticed.
func alterations() map[string]faults.Fault {
	return map[string]faults.Fault{
		"cut, length known":       faults.Cut(300_000),
		"cut, chunked":            faults.CutChunked(300_000),
		"clean end, chunked":      faults.CleanEnd(300_000),
		"clean end before byte 0": faults.CleanEnd(0),
		"reset":                   faults.Reset(300_000),
		"reset before the head":   faults.ResetHead(),
		"bit flip":                faults.Flip(250_000),
		"bit flip in byte 0":      faults.Flip(0),
		"packed on the way":       faults.Gzip(),
		"portal page":             faults.Portal(),
		"empty 200":               faults.Empty(),
		"no description":          faults.DropHeaders(headEntry),
		"no ETag":                 faults.DropHeaders("ETag"),
		"200 for a range":         faults.Whole(),
		"no Content-Range":        faults.DropHeaders("Content-Range"),
		"another Content-Range":   faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", "bytes 0-9/1000000") }),
		"shorter, length fitting": faults.Edit(func(b []byte) []byte { return b[:len(b)*3/4] }),
		"longer, length fitting":  faults.Edit(func(b []byte) []byte { return append(b, b[:10]...) }),
	}
}

// No read ends as success short or altered (R2): a fault that stays is an error, one that passes is an error or mended.
func TestReadsAreWholeOrFail(t *testing.T) {
	content := random(1_000_000, 1)
	forms := map[string]*store.Range{"whole": nil, "range": {Off: 100_000, Len: 600_000}, "end": {Off: -600_000}, "rest": {Off: 300_000, Len: -1}}
	harmless := func(what, form string) bool { // what such a request cannot meet
		ranged := form != "whole"
		return !ranged && (what == "200 for a range" || what == "no Content-Range" || what == "another Content-Range")
	}
	// These go on by 300,000 bytes a time, so that the reading comes to its end.
	moving := map[string]bool{"cut, length known": true, "cut, chunked": true, "clean end, chunked": true, "reset": true}
	b := over(t)
	b.place(t, "x", content)
	detected, mended := 0, 0
	for what, f := range alterations() {
		for form, r := range forms {
			if harmless(what, form) {
				continue
			}
			want := content
			if r != nil {
				off, n := r.Off, r.Len
				if off < 0 {
					off, n = int64(len(content))+off, -1
				}
				if n < 0 {
					n = int64(len(content)) - off
				}
				want = content[off : off+n]
			}
			for _, times := range []int{0, 1} {
				b.f.Clear()
				b.f.Add(faults.Rule{Match: faults.Method("GET"), Times: times, Fault: f})
				got, err := b.read(t.Context(), "x", store.ReadOptions{Range: r})
				switch {
				case err == nil && !bytes.Equal(got, want):
					t.Errorf("%s, %s, times %d: %d bytes of %d passed for good", what, form, times, len(got), len(want))
				case err == nil && times == 0 && !moving[what]:
					t.Errorf("%s, %s: not noticed", what, form)
				case err == nil:
					mended++
				default:
					detected++
				}
				if err != nil && fault.CodeOf(err) == fault.Internal {
					t.Errorf("%s, %s: code internal: %v", what, form, err)
				}
				if n := b.f.Count("GET"); n > 20 {
					t.Errorf("%s, %s: %d requests", what, form, n)
				}
			}
		}
	}
	t.Logf("%d faults detected, %d mended by another try, 0 passed", detected, mended)
}

// Reads resume at their offset, pinned (R3): a reset each MiB costs at most 5 % more bytes.
func TestReadResumes(t *testing.T) {
	size := testbed.Scale(8<<20, 64<<20)
	content := random(size, 2)
	b := over(t)
	b.place(t, "x", content)
	b.f.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.Reset(1 << 20)})
	got, err := b.read(t.Context(), "x", store.ReadOptions{})
	if err != nil || sha256.Sum256(got) != sha256.Sum256(content) {
		t.Fatalf("%d of %d bytes, %v", len(got), size, err)
	}
	extra := float64(b.f.Sent()-int64(size)) / float64(size)
	if extra > 0.05 {
		t.Errorf("%.1f %% more bytes than the object has", extra*100)
	}
	for i, r := range b.f.Requests() {
		if i > 0 && (r.Header.Get("If-Match") == "" || r.Header.Get("Range") == "") {
			t.Errorf("request %d is not pinned or has no range: %v", i, r.Header)
		}
	}
	t.Logf("%d MiB in %d requests, %.2f %% extra", size>>20, b.f.Count("GET"), extra*100)
}

// An object that is replaced under a reader is an error, and no byte of the new one comes out.
func TestReadOfReplacedObject(t *testing.T) {
	old, young := random(4<<20, 3), random(4<<20, 4)
	b := over(t)
	for _, after := range []int64{0, 1, 1 << 20, 4<<20 - 1} {
		b.f.Clear()
		b.place(t, "x", old)
		b.f.Add(faults.Rule{Times: 1, Fault: faults.Do(after, func() { b.place(t, "x", young) }, faults.Abort())})
		got, err := b.read(t.Context(), "x", store.ReadOptions{})
		if !fault.Is(err, fault.FailedPrecondition) && !(after == 0 && err == nil && bytes.Equal(got, young)) {
			t.Errorf("replaced after %d bytes: %d bytes, %v, want code %s", after, len(got), err, fault.FailedPrecondition)
		}
		if err != nil && !bytes.HasPrefix(old, got) {
			t.Errorf("replaced after %d bytes: bytes of two objects are mixed", after)
		}
	}
}

// A connection that stands still ends (R15); one that is slow does not (R16).
func TestStallsEndAndSlownessDoesNot(t *testing.T) {
	content := random(2<<20, 5)
	for what, x := range map[string]struct {
		fault faults.Fault
		hold  bool
		limit time.Duration
		put   bool
	}{
		"no answer to a read":        {fault: faults.StallHead(), limit: stallTime},
		"no byte of a body":          {fault: faults.StallBody(0), limit: idleTime},
		"no more bytes of a body":    {fault: faults.StallBody(1 << 20), limit: idleTime},
		"a connection without words": {hold: true, limit: stallTime},
		"no answer to an upload":     {fault: faults.StallHead(), limit: stallTime, put: true},
		"an upload that is not read": {fault: faults.StallUpload(100_000), limit: idleTime, put: true},
	} {
		t.Run(strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
			t.Parallel()
			b := over(t)
			b.place(t, "x", content)
			if x.hold {
				b.f.OnAccept(func(n int) faults.Accept { return []faults.Accept{faults.Hold, faults.Serve}[min(n, 1)] })
			} else {
				b.f.Add(faults.Rule{Times: 1, Fault: x.fault})
			}
			begin := time.Now()
			var got []byte
			var err error
			if x.put {
				up := content
				if x.limit == stallTime { // all of it is sent
					up = content[:10_000]
				}
				_, err = b.Put(t.Context(), "y", store.BytesBody(up), store.WriteOptions{Overwrite: true})
			} else {
				got, err = b.read(t.Context(), "x", store.ReadOptions{})
			}
			took := time.Since(begin)
			if took < x.limit*9/10 || took > x.limit*11/10+time.Second {
				t.Errorf("ended after %v, the limit is %v: %v", took, x.limit, err)
			}
			if err != nil || !x.put && !bytes.Equal(got, content) {
				t.Errorf("not mended by another try: %d bytes, %v", len(got), err)
			}
		})
	}
	total := testbed.Scale(5*time.Second, 90*time.Second)
	const pieces = 100
	for _, put := range []bool{false, true} {
		t.Run(fmt.Sprintf("slow,_put_%v", put), func(t *testing.T) {
			t.Parallel()
			b := over(t)
			content := random(14<<20, 6)
			b.place(t, "x", content)
			b.f.SmallBuffer(16 << 10)
			b.f.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.Trickle(len(content)/pieces, total/pieces)})
			b.f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: faults.TrickleUpload(len(content)/pieces, total/pieces)})
			begin := time.Now()
			var err error
			if put {
				_, err = b.Put(t.Context(), "y", store.BytesBody(content), store.WriteOptions{Overwrite: true})
			} else {
				_, err = b.read(t.Context(), "x", store.ReadOptions{})
			}
			if took := time.Since(begin); err != nil || took < total*8/10 || b.f.Count("") != 1 {
				t.Errorf("slow but moving: %v after %v, %d requests", err, took, b.f.Count(""))
			}
		})
	}
}
