package azurefake

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Error is an answer that is none of success.
type Error struct {
	Status        int
	Code, Message string
}

// Refuse makes one.
func Refuse(status int, code, message string) *Error { return &Error{status, code, message} }

var requests atomic.Int64

// Head sets the headers that every answer has.
func Head(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Server", "Windows-Azure-Stand-In/1.0")
	h.Set("x-ms-request-id", fmt.Sprintf("00000000-0000-0000-0000-%012d", requests.Add(1)))
	h.Set("x-ms-version", r.Header.Get("x-ms-version"))
	if id := r.Header.Get("x-ms-client-request-id"); id != "" {
		h.Set("x-ms-client-request-id", id)
	}
}

func (e *Error) head(w http.ResponseWriter) string {
	w.Header().Set("x-ms-error-code", e.Code)
	if e.Status == 401 {
		w.Header().Set("WWW-Authenticate", `Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize resource_id=https://storage.azure.com`)
	}
	return fmt.Sprintf("%s\nRequestId:%s\nTime:%s", e.Message, w.Header().Get("x-ms-request-id"), time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"))
}

// JSON answers in the form of the Data Lake service.
func (e *Error) JSON(w http.ResponseWriter, r *http.Request) {
	text := e.head(w)
	b, _ := json.Marshal(map[string]any{"error": map[string]string{"code": e.Code, "message": text}})
	e.send(w, r, "application/json;charset=utf-8", b)
}

// XML answers in the form of the other services.
func (e *Error) XML(w http.ResponseWriter, r *http.Request) {
	text := e.head(w)
	b, _ := xml.Marshal(struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}{Code: e.Code, Message: text})
	e.send(w, r, "application/xml", append([]byte("\xef\xbb\xbf"+`<?xml version="1.0" encoding="utf-8"?>`), b...))
}

func (e *Error) send(w http.ResponseWriter, r *http.Request, kind string, b []byte) {
	if r.Method != "HEAD" {
		w.Header().Set("Content-Type", kind)
	} else {
		b = nil
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(e.Status)
	w.Write(b)
}

var etags atomic.Int64

// NewETag returns one that no other has.
func NewETag() string {
	return fmt.Sprintf("0x8DC%012X", time.Now().UnixNano()&0xffff_ffff+etags.Add(1)<<32)
}

var table = crc64.MakeTable(0x9a6c9329ac4bc9b5)

// Body reads a request's body of at most limit bytes and verifies the checksums that came with it.
func Body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *Error) {
	if r.ContentLength < 0 {
		return nil, Refuse(411, "MissingContentLengthHeader", "Content-Length header is required.")
	}
	if r.ContentLength > limit {
		return nil, Refuse(413, "RequestBodyTooLarge", fmt.Sprintf("The request body is too large and exceeds the maximum permissible limit of %d bytes.", limit))
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away: there is nobody to answer
	}
	if want := r.Header.Get("Content-MD5"); want != "" {
		sum := md5.Sum(b)
		if got := base64.StdEncoding.EncodeToString(sum[:]); got != want {
			return nil, Refuse(400, "Md5Mismatch", "The MD5 value specified in the request did not match with the MD5 value calculated by the server.")
		}
		w.Header().Set("Content-MD5", want)
	}
	if want := r.Header.Get("x-ms-content-crc64"); want != "" {
		got := base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, crc64.Checksum(b, table)))
		if got != want {
			return nil, Refuse(400, "Crc64Mismatch", "The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.")
		}
		w.Header().Set("x-ms-content-crc64", want)
	}
	return b, nil
}

// Range reads the range that a request asks for of size bytes. ok is false when it asks for none.
func Range(r *http.Request, size int64) (from, to int64, ok bool, e *Error) {
	v := r.Header.Get("x-ms-range")
	if v == "" {
		v = r.Header.Get("Range")
	}
	if v == "" {
		return 0, size, false, nil
	}
	a, b, found := strings.Cut(strings.TrimPrefix(v, "bytes="), "-")
	from, err := strconv.ParseInt(a, 10, 64)
	if !found || err != nil {
		return 0, size, false, nil // as the service: what it does not understand it leaves out
	}
	to = size
	if b != "" {
		if to, err = strconv.ParseInt(b, 10, 64); err != nil {
			return 0, size, false, nil
		}
		to = min(to+1, size)
	}
	if from >= size || from >= to {
		return 0, 0, false, Refuse(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
	}
	return from, to, true, nil
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// MD5 is the MD5 of data in base64.
func MD5(data []byte) string {
	sum := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}
