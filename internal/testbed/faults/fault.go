package faults

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// Fault is what happens to a request. Byte numbers count the body of the answer, or of the request where said.
type Fault func(x *Exchange)

// Method returns a Match for a method.
func Method(m string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == m }
}

// On returns a Match for a method and a part of the request's URI; "" matches any.
func On(method, part string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return (method == "" || r.Method == method) && strings.Contains(r.URL.RequestURI(), part)
	}
}

// at runs act before byte n of the answer's body.
func at(n int64, act func(x *Exchange) (drop bool)) Fault {
	return func(x *Exchange) {
		x.W.at, x.W.act = n, func() bool { return act(x) }
		x.Pass()
	}
}

// Cut ends the connection with FIN before byte n: a proxy or server that went away.
func Cut(n int64) Fault { return at(n, func(x *Exchange) bool { x.abort(false); return true }) }

// Reset ends the connection with RST before byte n. What was sent has time to arrive first: a client's kernel drops it
// otherwise, and tests could not count bytes.
func Reset(n int64) Fault {
	return at(n, func(x *Exchange) bool { x.wait(10 * time.Millisecond); x.abort(true); return true })
}

// ResetHead ends the connection with RST instead of an answer; the request took effect.
func ResetHead() Fault {
	return func(x *Exchange) {
		x.next.ServeHTTP(httptest.NewRecorder(), x.R)
		x.abort(true)
	}
}

// StallBody sends nothing more from byte n on and keeps the connection.
func StallBody(n int64) Fault {
	return at(n, func(x *Exchange) bool { x.wait(-1); x.abort(true); return true })
}

// StallHead never answers.
func StallHead() Fault { return func(x *Exchange) { x.wait(-1); x.abort(true) } }

// Delay answers after d.
func Delay(d time.Duration) Fault { return func(x *Exchange) { x.wait(d); x.Pass() } }

// Trickle pauses after each n bytes.
func Trickle(n int, pause time.Duration) Fault {
	return func(x *Exchange) { x.W.piece, x.W.pause = n, pause; x.Pass() }
}

// Flip inverts the lowest bit of byte n.
func Flip(n int64) Fault {
	return func(x *Exchange) { x.W.flip, x.W.flips = n, true; x.Pass() }
}

// CleanEnd ends the body before byte n as if that were all: chunked, without the length, properly closed.
func CleanEnd(n int64) Fault {
	return func(x *Exchange) {
		x.W.onHead = func(h http.Header) { h.Del("Content-Length") }
		at(n, func(*Exchange) bool { return true })(x)
	}
}

// CutChunked is Cut of an answer without a length.
func CutChunked(n int64) Fault {
	return func(x *Exchange) {
		x.W.onHead = func(h http.Header) { h.Del("Content-Length") }
		Cut(n)(x)
	}
}

// Do calls f before byte n and goes on with the fault then: f may replace the object under the reader.
func Do(n int64, f func(), then Fault) Fault {
	return func(x *Exchange) {
		x.W.at, x.W.act = n, func() bool {
			f()
			if then != nil {
				then(&Exchange{R: x.R, W: x.W, Conn: x.Conn, stop: x.stop, rec: x.rec, next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
			}
			return false
		}
		x.Pass()
	}
}

// Abort ends the connection with RST right here; it is for Do.
func Abort() Fault { return func(x *Exchange) { x.abort(true) } }

// Answer answers instead of the handler. It reads the request's body first: a server that does not would reset the
// connection under an answer that the client should see.
func Answer(status int, header map[string]string, body string) Fault {
	return func(x *Exchange) {
		io.Copy(io.Discard, x.R.Body)
		for k, v := range header {
			x.W.Header().Set(k, v)
		}
		x.W.Header().Set("Content-Length", strconv.Itoa(len(body)))
		x.W.WriteHeader(status)
		if x.R.Method != http.MethodHead {
			x.W.Write([]byte(body))
		}
	}
}

// Status answers with a status and, where retryAfter > 0, a Retry-After header of whole seconds.
func Status(status int, retryAfter time.Duration) Fault {
	h := map[string]string{"Content-Type": "text/plain"}
	if retryAfter > 0 {
		h["Retry-After"] = strconv.Itoa(int((retryAfter + time.Second - 1) / time.Second))
	}
	return Answer(status, h, fmt.Sprintf("%d %s\n", status, http.StatusText(status)))
}

// Portal answers 200 with an HTML page, as the sign-in page of a guest network does.
func Portal() Fault {
	return Answer(http.StatusOK, map[string]string{"Content-Type": "text/html; charset=utf-8"}, "<!doctype html><title>Welcome</title><form action=/login>Please sign in to use this network.</form>\n")
}

// Empty answers 200 with nothing.
func Empty() Fault { return Answer(http.StatusOK, nil, "") }

// Redirect answers 307 to a location.
func Redirect(location string) Fault {
	return Answer(http.StatusTemporaryRedirect, map[string]string{"Location": location}, "")
}

// Whole ignores the Range and answers 200 with all of the object.
func Whole() Fault {
	return func(x *Exchange) { x.R.Header.Del("Range"); x.R.Header.Del("If-Range"); x.Pass() }
}

// DropHeaders removes headers from the answer.
func DropHeaders(names ...string) Fault {
	return SetHeaders(func(h http.Header) {
		for _, n := range names {
			h.Del(n)
		}
	})
}

// SetHeaders changes the headers of the answer.
func SetHeaders(edit func(http.Header)) Fault {
	return func(x *Exchange) { x.W.onHead = edit; x.Pass() }
}

// Edit changes the body of the answer and its length with it; the rest of the head stays.
func Edit(edit func([]byte) []byte) Fault {
	return func(x *Exchange) {
		rec := httptest.NewRecorder()
		x.next.ServeHTTP(rec, x.R)
		body := edit(rec.Body.Bytes())
		for k, v := range rec.Header() {
			x.W.Header()[k] = v
		}
		x.W.Header().Set("Content-Length", strconv.Itoa(len(body)))
		x.W.WriteHeader(rec.Code)
		x.W.Write(body)
	}
}

// Gzip packs the body on the way, as some proxies do unasked.
func Gzip() Fault {
	return func(x *Exchange) {
		x.W.onHead = func(h http.Header) { h.Set("Content-Encoding", "gzip") }
		Edit(func(b []byte) []byte {
			var out bytes.Buffer
			z := gzip.NewWriter(&out)
			z.Write(b)
			z.Close()
			return out.Bytes()
		})(x)
	}
}

// ResetUpload ends the connection with RST after n bytes of the request's body.
func ResetUpload(n int64) Fault {
	return func(x *Exchange) {
		b := x.R.Body.(*reader)
		b.at, b.act = n, func() { x.abort(true) }
		x.Pass()
	}
}

// StallUpload reads no more than n bytes of the request's body and does not answer.
func StallUpload(n int64) Fault {
	return func(x *Exchange) {
		b := x.R.Body.(*reader)
		b.at, b.act = n, func() { x.wait(-1); x.abort(true) }
		x.Pass()
	}
}

// TrickleUpload reads the request's body in pieces of n bytes with a pause before each.
func TrickleUpload(n int, pause time.Duration) Fault {
	return func(x *Exchange) {
		b := x.R.Body.(*reader)
		b.piece, b.pause = n, pause
		x.Pass()
	}
}
