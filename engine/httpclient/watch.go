package httpclient

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// StallError says that a connection stood still. It is a timeout to package net.
type StallError struct {
	Phase string        // "request body", "reply" or "reply body"
	After time.Duration // how long nothing moved
}

func (e *StallError) Error() string {
	return fmt.Sprintf("no byte of the %s for %v", e.Phase, e.After)
}

// Timeout implements net.Error.
func (e *StallError) Timeout() bool { return true }

// Temporary implements net.Error.
func (e *StallError) Temporary() bool { return true }

// watch ends a request when what it waits for does not come in time.
type watch struct {
	cancel context.CancelCauseFunc
	mu     sync.Mutex
	timer  *time.Timer
	turn   int // counts arming, so that a timer that fires late does not end the next wait
	fired  *StallError
	// replied: the head of the reply is here. What the transport still does with the request does not matter any more.
	replied bool
}

// send starts the time that a phase before the reply may stand still.
func (w *watch) send(phase string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.replied {
		w.start(phase, d)
	}
}

// rest stops the time while the sender of the body works.
func (w *watch) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.replied {
		w.stop()
	}
}

// reply stops the time of sending for good.
func (w *watch) reply() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop()
	w.replied = true
}

// arm starts the time that the reply's body may stand still.
func (w *watch) arm(phase string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start(phase, d)
}

func (w *watch) start(phase string, d time.Duration) {
	w.stop()
	turn := w.turn
	w.timer = time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.turn == turn && w.fired == nil {
			w.fired = &StallError{phase, d}
			w.cancel(w.fired)
		}
	})
}

// disarm stops the time.
func (w *watch) disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop()
}

func (w *watch) stop() {
	w.turn++
	if w.timer != nil {
		w.timer.Stop()
	}
}

// verdict returns the stall that ended the request instead of what the transport made of it.
func (w *watch) verdict(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.fired != nil {
		return w.fired
	}
	return err
}

// watched sends a request. While it is sent and while the reply is read, idle bounds the time without a byte; between
// the two, stall bounds the wait for the head of the reply. Time that the sender of a body or the reader of a reply takes
// for itself does not count, and neither does waiting for a free connection. connect bounds the wait for a connection
// where nothing else does; 0 means that it is bounded.
func watched(rt http.RoundTripper, req *http.Request, connect, stall, idle time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{cancel: cancel}
	hasBody := req.Body != nil && req.Body != http.NoBody
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { w.send("request body", idle) },
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				w.send("reply", stall)
			}
		},
	})
	req = req.WithContext(ctx)
	if hasBody {
		req.Body = &sentBody{req.Body, w, idle}
	}
	if connect > 0 {
		w.send("connection", connect)
	}
	resp, err := rt.RoundTrip(req)
	w.reply()
	if err != nil {
		err = w.verdict(err)
		cancel(nil)
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.Body == nil {
		return resp, nil
	}
	resp.Body = &readBody{resp.Body, w, idle}
	return resp, nil
}

// sentBody notes when the transport asks for more of a request's body: what it had is on its way.
type sentBody struct {
	io.ReadCloser
	w    *watch
	idle time.Duration
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.w.rest()
	n, err := b.ReadCloser.Read(p)
	if err == nil || n > 0 {
		b.w.send("request body", b.idle)
	}
	return n, err
}

// readBody bounds the time that a reply's body may stand still.
type readBody struct {
	io.ReadCloser
	w    *watch
	idle time.Duration
}

func (b *readBody) Read(p []byte) (int, error) {
	b.w.arm("reply body", b.idle)
	n, err := b.ReadCloser.Read(p)
	b.w.disarm()
	if err == io.EOF {
		return n, err
	}
	return n, b.w.verdict(err)
}

func (b *readBody) Close() error {
	err := b.ReadCloser.Close()
	b.w.disarm()
	b.w.cancel(nil)
	return err
}
