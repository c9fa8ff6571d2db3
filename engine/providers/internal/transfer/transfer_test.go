package transfer

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		r    store.Range
		want string
		bad  bool
	}{
		{store.Range{Off: 0, Len: 10}, "bytes=0-9", false}, {store.Range{Off: 5, Len: -1}, "bytes=5-", false}, {store.Range{Off: -5}, "bytes=-5", false},
		{store.Range{Off: 7}, "", false}, {store.Range{Off: 0, Len: -2}, "", true}, {store.Range{Off: math.MinInt64}, "bytes=-9223372036854775807", false},
		{store.Range{Off: 9, Len: math.MaxInt64}, "bytes=9-", false},
	} {
		if got, err := RangeText(c.r); got != c.want || (err != nil) != c.bad {
			t.Errorf("%+v: %q, %v", c.r, got, err)
		}
	}
	if off, n, total, ok := ContentRange("bytes 5-9/100"); off != 5 || n != 5 || total != 100 || !ok {
		t.Error(off, n, total, ok)
	}
	for _, s := range []string{"", "bytes */100", "bytes 9-5/100", "bytes 0-100/100", "bytes 0-9/*", "bytes -1-9/100", "items 0-9/100", "bytes 0-9"} {
		if _, _, _, ok := ContentRange(s); ok {
			t.Errorf("%q is taken", s)
		}
	}
	e := store.Entry{Size: 10}
	if x, err := NoBytes(e, store.Range{Off: 10, Len: 5}); err != nil || x.Total != 10 || x.Range.Off != 10 {
		t.Error(x, err)
	}
	if _, err := NoBytes(e, store.Range{Off: 11, Len: 5}); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
	if _, err := NoBytes(e, store.Range{Off: 3, Len: 5}); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

// A reply ends well only when it is whole and has its checksum.
func TestReceived(t *testing.T) {
	lost := errors.New("lost")
	sum := md5.Sum([]byte("hello"))
	for name, c := range map[string]struct {
		src  io.Reader
		size int64
		sum  []byte
		want func(error) bool
	}{
		"whole":         {strings.NewReader("hello"), 5, sum[:], func(err error) bool { return err == nil }},
		"short":         {strings.NewReader("hell"), 5, nil, func(err error) bool { return errors.Is(err, lost) && errors.Is(err, io.ErrUnexpectedEOF) }},
		"long":          {strings.NewReader("hello!"), 5, nil, func(err error) bool { return fault.Is(err, fault.DataLoss) }},
		"altered":       {strings.NewReader("hellO"), 5, sum[:], func(err error) bool { return fault.Is(err, fault.DataLoss) }},
		"broken":        {io.MultiReader(strings.NewReader("he"), iotest.ErrReader(io.ErrClosedPipe)), 5, nil, func(err error) bool { return errors.Is(err, lost) }},
		"byte for byte": {iotest.OneByteReader(strings.NewReader("hello")), 5, sum[:], func(err error) bool { return err == nil }},
	} {
		b := &Received{Ctx: context.Background(), Src: io.NopCloser(c.src), Size: c.size, Lost: func(err error) error { return errors.Join(lost, err) }}
		if c.sum != nil {
			b.Sum, b.Hash = store.Sum{Algo: "md5", Value: c.sum}, md5.New()
		}
		if _, err := io.Copy(io.Discard, b); !c.want(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSources(t *testing.T) {
	ctx := t.Context()
	body := store.BytesBody([]byte("hello"))
	if b, err := ReadAll(ctx, body, 5); err != nil || string(b) != "hello" {
		t.Error(b, err)
	}
	for _, size := range []int64{4, 6} {
		if _, err := ReadAll(ctx, body, size); !fault.Is(err, fault.DataLoss) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := ReadUpTo(ctx, body, 4); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
	for size, bad := range map[int64]bool{5: false, 4: true, 6: true} {
		s := &Stream{Body: body, Size: size, Algo: "md5", Hash: md5.New}
		r, _, err := s.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		sum, serr := s.Sent()
		want := md5.Sum([]byte("hello"))
		if bad != (err != nil) || bad != (serr != nil) || !bad && (string(got) != "hello" || !bytes.Equal(sum.Value, want[:])) || bad && int64(len(got)) >= size {
			t.Errorf("%d bytes: %q, %v, %v", size, got, err, serr)
		}
	}
}
