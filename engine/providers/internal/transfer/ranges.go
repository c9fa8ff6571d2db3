// Package transfer is what drivers over HTTP share of moving bodies: ranges and their replies, bodies that end well only
// when they are whole, and sources that are read while they are sent.
package transfer

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// RangeText returns a range as the header Range has it (RFC 9110, section 14.2), or "" for one of no bytes.
func RangeText(r store.Range) (string, error) {
	switch {
	case r.Off < 0:
		if r.Off == -r.Off { // the least int64 has no negative
			r.Off++
		}
		return fmt.Sprintf("bytes=%d", r.Off), nil
	case r.Len == 0:
		return "", nil
	case r.Len < -1:
		return "", fault.New(fault.InvalidArgument, "a range of %d bytes", r.Len)
	case r.Len == -1 || r.Off+r.Len < 0:
		return fmt.Sprintf("bytes=%d-", r.Off), nil
	}
	return fmt.Sprintf("bytes=%d-%d", r.Off, r.Off+r.Len-1), nil
}

// ContentRange reads the header Content-Range, "bytes 0-9/100": where it begins, how many bytes it has, and of how many.
func ContentRange(s string) (off, n, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, all, ok2 := strings.Cut(s, "/")
	from, to, ok3 := strings.Cut(span, "-")
	off, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total, err3 := strconv.ParseInt(all, 10, 64)
	if !ok || !ok2 || !ok3 || err1 != nil || err2 != nil || err3 != nil || off < 0 || last < off || last >= total {
		return 0, 0, 0, false
	}
	return off, last - off + 1, total, true
}

// NoBytes answers a range without bytes of the object e, which the protocol has no word for: it begins at the end, or
// nowhere.
func NoBytes(e store.Entry, r store.Range) (store.Object, error) {
	off := r.Off
	if off < 0 {
		off = max(e.Size+off, 0)
	}
	switch {
	case off > e.Size:
		return store.Object{}, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the %d bytes of the object", off, e.Size)
	case off < e.Size && r.Len != 0:
		return store.Object{}, fault.New(fault.Unavailable, "the service says that there are no bytes from %d, and that the object has %d", off, e.Size)
	}
	e.Sums = nil
	return store.Object{Body: http.NoBody, Entry: e, Range: store.Range{Off: off}, Total: e.Size}, nil
}
