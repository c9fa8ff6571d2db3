// Package httpstore is a small but complete object store over HTTP: a server over any store.Driver and a client driver
// that checks replies as the driver of a cloud must. It proves the portable layer over a real wire, with nothing of a
// cloud in between.
//
// Objects are at /o/KEY, every byte of the key beyond letters, digits, "-", "_" and "~" percent-encoded, so that a key is
// never a path. Range, ETag, If-Match and If-None-Match: * are those of RFC 9110; a version condition is X-If-Version.
// The header X-Entry of a reply holds the object's description (base64 of JSON), X-Body-Crc32c the checksum of the bytes
// that follow where that is not the whole object. An upload is chunked; its trailer X-Crc32c proves to the server that
// it came whole, and the X-Entry of the reply proves to the client what is stored. Lists and multipart calls speak JSON.
package httpstore

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	headEntry   = "X-Entry"
	headError   = "X-Error" // fault code of a reply that is an error
	headVersion = "X-If-Version"
	headAttrs   = "X-Attrs"
	headSize    = "X-Size" // of an upload, where it is known
	headCRC     = "X-Crc32c"
	headBodyCRC = "X-Body-Crc32c"

	objects = "/o/"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// escape encodes a key as one path segment.
func escape(key string) string {
	var b strings.Builder
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// pack writes a value for a header.
func pack(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only structs of texts, numbers and times are packed
	}
	return base64.StdEncoding.EncodeToString(b)
}

func unpack(s string, v any) error {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// listReply is a page of a listing. Count guards against a page that lost entries on the way and is still JSON.
type listReply struct {
	store.Page
	Count int
}

// statusOf maps fault codes to HTTP statuses; codeOf maps back, for replies without X-Error too.
var statuses = map[fault.Code]int{
	fault.NotFound: http.StatusNotFound, fault.AlreadyExists: http.StatusConflict, fault.InvalidArgument: http.StatusBadRequest,
	fault.PermissionDenied: http.StatusForbidden, fault.Unauthenticated: http.StatusUnauthorized, fault.FailedPrecondition: http.StatusPreconditionFailed,
	fault.ResourceExhausted: http.StatusTooManyRequests, fault.Unavailable: http.StatusServiceUnavailable, fault.Unimplemented: http.StatusNotImplemented,
	fault.DataLoss: http.StatusUnprocessableEntity,
}

func codeOf(status int) fault.Code {
	for code, s := range statuses {
		if s == status {
			return code
		}
	}
	switch {
	case status == http.StatusRequestTimeout, status >= 500:
		return fault.Unavailable
	case status == http.StatusRequestedRangeNotSatisfiable:
		return fault.InvalidArgument
	}
	return fault.Internal
}
