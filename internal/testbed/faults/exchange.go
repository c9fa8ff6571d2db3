package faults

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// quiet drops what net/http says of the panics by which handlers end connections.
var quiet = log.New(io.Discard, "", 0)

// Exchange is one request that meets a fault.
type Exchange struct {
	R    *http.Request
	W    *writer
	Conn net.Conn

	stop <-chan struct{}
	rec  *Request
	next http.Handler
}

// Pass lets the request go on as it would.
func (x *Exchange) Pass() { x.next.ServeHTTP(x.W, x.R) }

// wait blocks until d has passed, the client has gone or the server ends. d < 0 waits for ever.
func (x *Exchange) wait(d time.Duration) {
	var after <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-after:
	case <-x.R.Context().Done():
	case <-x.stop:
	}
}

// abort ends the connection: with FIN, or with RST.
func (x *Exchange) abort(rst bool) {
	if t, ok := x.Conn.(*net.TCPConn); ok && !rst {
		t.CloseWrite()
	} else if x.Conn != nil {
		reset(x.Conn)
	}
	panic(http.ErrAbortHandler)
}

// writer counts the bytes of an answer's body and acts at the chosen one.
type writer struct {
	http.ResponseWriter
	x      *Exchange
	status int
	n      int64
	// at is the byte before which act runs, once. When act returns true, what follows is dropped.
	at      int64
	act     func() (drop bool)
	dropped bool
	onHead  func(h http.Header) // changes the head before it goes
	piece   int                 // with pause: bytes between two pauses
	since   int                 // the last pause
	pause   time.Duration
	flip    int64 // byte whose lowest bit is inverted; < 0 none
	flips   bool
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what is buffered.
func (w *writer) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // 100 Continue is not the answer yet
		w.status = status
		if w.onHead != nil {
			w.onHead(w.Header())
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (total int, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	for len(p) > 0 && err == nil {
		k := len(p)
		if w.act != nil && w.n+int64(k) >= w.at {
			k = int(max(0, w.at-w.n))
		}
		if w.piece > 0 {
			k = min(k, w.piece-w.since)
		}
		var n int
		n, err = w.pass(p[:k])
		total, p = total+n, p[n:]
		if w.act != nil && w.n == w.at && err == nil {
			act := w.act
			w.act = nil
			w.Flush()
			w.dropped = act()
		}
	}
	return total, err
}

// pass sends bytes on, all at once.
func (w *writer) pass(p []byte) (int, error) {
	if w.dropped {
		return len(p), nil
	}
	if at := w.flip - w.n; w.flips && at >= 0 && at < int64(len(p)) {
		p = append([]byte(nil), p...)
		p[at] ^= 1
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	atomic.AddInt64(&w.x.rec.Sent, int64(n))
	if w.since += n; w.piece > 0 && w.since >= w.piece && err == nil {
		w.since = 0
		w.Flush()
		w.x.wait(w.pause)
	}
	return n, err
}

// reader counts the bytes of a request's body and acts at the chosen one.
type reader struct {
	io.ReadCloser
	x     *Exchange
	at    int64
	act   func()
	piece int // with pause: bytes between two pauses
	since int // the last pause
	pause time.Duration
}

func (r *reader) Read(p []byte) (int, error) {
	got := atomic.LoadInt64(&r.x.rec.Received)
	if r.act != nil {
		if got >= r.at {
			r.act()
			return 0, errors.New("the request was cut")
		}
		p = p[:min(int64(len(p)), r.at-got)]
	}
	if r.piece > 0 {
		p = p[:min(len(p), r.piece-r.since)]
	}
	n, err := r.ReadCloser.Read(p)
	if r.since += n; r.piece > 0 && r.since >= r.piece && err == nil {
		r.since = 0
		r.x.wait(r.pause)
	}
	atomic.AddInt64(&r.x.rec.Received, int64(n))
	return n, err
}
