package sftp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
)

// perFile is how many requests of 32 KiB one call of a file has under way at most.
const perFile = 64

// dialer opens connections.
type dialer struct {
	address string // host:port
	cred    credential.Source
	log     *slog.Logger
	times   times
	dial    func(ctx context.Context, address string) (net.Conn, error)
}

// conn is an SSH connection with one SFTP session, which many calls share.
type conn struct {
	sftp  *sftp.Client
	ssh   *ssh.Client
	wire  *wire
	times times
	ended chan struct{} // closed when nothing of the connection runs any more
	fails sync.Once
	cause atomic.Pointer[error] // what broke it

	mu  sync.Mutex
	top string // see Driver.top
}

// wire counts what moves over a connection.
type wire struct {
	net.Conn
	heard atomic.Int64 // when the last byte came, in nanoseconds
	moved atomic.Int64 // bytes, both ways
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.heard.Store(time.Now().UnixNano())
		w.moved.Add(int64(n))
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.moved.Add(int64(n))
	return n, err
}

// open connects, checks the server's key and logs in.
func (d *dialer) open(ctx context.Context) (*conn, error) {
	v, err := d.cred.Resolve(ctx, credential.Want{})
	if err != nil {
		return nil, err
	}
	methods, err := auth(v)
	if err != nil {
		return nil, err
	}
	file := systemKnownHosts
	if k, ok := d.cred.(interface{ KnownHosts() string }); ok {
		file = k.KnownHosts()
	}
	keys, err := newHostKeys(file, d.address)
	if err != nil {
		return nil, err
	}
	raw, err := d.dial(ctx, d.address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: raw}
	w.heard.Store(time.Now().UnixNano())
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(d.times.handshake))
	var refused error // by us: the ssh package keeps only its text
	conf := &ssh.ClientConfig{User: v.Fields[fieldUsername].Reveal(), Auth: methods, HostKeyAlgorithms: keys.algorithms(),
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			refused = keys.check(host, remote, key)
			return refused
		}}
	c, err := d.handshake(w, conf)
	if !stop() && err == nil {
		c.close()
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		switch {
		case context.Cause(ctx) != nil:
			return nil, context.Cause(ctx)
		case refused != nil:
			return nil, refused
		}
		return nil, handshakeError(err, d.address)
	}
	raw.SetDeadline(time.Time{})
	d.log.Debug("connected", "address", d.address, "server", string(c.ssh.ServerVersion()))
	return c, nil
}

func (d *dialer) handshake(w *wire, conf *ssh.ClientConfig) (*conn, error) {
	sc, chans, reqs, err := ssh.NewClientConn(w, d.address, conf)
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(sc, chans, reqs)
	session, err := sftp.NewClient(client, sftp.UseConcurrentWrites(true), sftp.UseConcurrentReads(true), sftp.MaxConcurrentRequestsPerFile(perFile))
	if err != nil {
		client.Close()
		return nil, err
	}
	c := &conn{sftp: session, ssh: client, wire: w, times: d.times, ended: make(chan struct{})}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { session.Wait(); client.Wait(); c.fail(sftp.ErrSSHFxConnectionLost); close(stop) })
	wg.Go(func() { c.watch(stop) })
	go func() { wg.Wait(); close(c.ended) }()
	return c, nil
}

// handshakeError gives an error before the login is done its meaning. The ssh package has texts only.
func handshakeError(err error, address string) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "unable to authenticate"):
		return fault.Hinted(fault.Unauthenticated, "Check username and password or key_file; the server may allow other methods only, or other keys.", "%s refuses the login: %w", address, err)
	case strings.Contains(text, "subsystem request failed"):
		return fault.Hinted(fault.FailedPrecondition, "Ask the server's owner to allow SFTP.", "%s has no SFTP: %w", address, err)
	case strings.Contains(text, "no common algorithm for host key"):
		return fault.Hinted(fault.PermissionDenied, "Ask the server's owner for its present keys and put them into known_hosts_file.", "%s has none of the kinds of keys that known_hosts_file knows it by: %w", address, err)
	case strings.Contains(text, "no common algorithm"):
		return fault.Hinted(fault.FailedPrecondition, "The server's SSH is too old: its owner must update it.", "%s: %w", address, err)
	}
	class := fault.Plain(err)
	if class.Code == fault.Internal {
		class.Code = fault.Unavailable
	}
	return &fault.Error{Class: class, Err: err}
}

// watch asks for a sign of life when nothing came for a while, and ends a connection that gives none.
func (c *conn) watch(stop <-chan struct{}) {
	t := time.NewTicker(c.times.stall / 4)
	defer t.Stop()
	var asking atomic.Bool
	var asks sync.WaitGroup
	defer asks.Wait()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		silent := time.Since(time.Unix(0, c.wire.heard.Load()))
		switch {
		case silent >= c.times.stall && asking.Load():
			c.fail(&httpclient.StallError{Phase: "reply", After: c.times.stall})
		case silent >= c.times.stall/2 && asking.CompareAndSwap(false, true):
			asks.Go(func() {
				c.ssh.SendRequest("keepalive@openssh.com", true, nil)
				asking.Store(false)
			})
		}
	}
}

// fail ends the connection because of err; the first one counts.
func (c *conn) fail(err error) {
	c.fails.Do(func() {
		c.cause.Store(&err)
		c.wire.Close()
	})
}

// dead reports whether the connection is of no use any more.
func (c *conn) dead() bool { return c.cause.Load() != nil }

func (c *conn) close() {
	c.fail(net.ErrClosed)
	<-c.ended
}

// explain returns what broke the connection in place of what that looked like to a call.
func (c *conn) explain(err error) error {
	if p := c.cause.Load(); p != nil && err != nil && (errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, net.ErrClosed) || fault.Plain(err).Code != fault.NotFound) {
		return *p
	}
	return err
}

// grace is how long a call that was cancelled waits for its reply, so that on a connection that works nothing is left.
const grace = 200 * time.Millisecond

// do runs a request. When ctx ends it returns soon: a request cannot be taken back, and a connection is not ended for it,
// since others use it. What a late reply brings is given to undo. A request of data must move bytes.
func do[T any](ctx context.Context, c *conn, data bool, fn func() (T, error), undo func(T)) (T, error) {
	var none T
	if err := context.Cause(ctx); err != nil {
		return none, err
	}
	type result struct {
		v   T
		err error
	}
	replies := make(chan result, 1)
	go func() {
		v, err := fn()
		replies <- result{v, err}
	}()
	var tick <-chan time.Time
	if data {
		t := time.NewTicker(c.times.data)
		defer t.Stop()
		tick = t.C
	}
	late := func(r result) {
		if r.err == nil && undo != nil {
			undo(r.v)
		}
	}
	for moved := c.wire.moved.Load(); ; {
		select {
		case r := <-replies:
			return r.v, c.explain(r.err)
		case <-tick:
			now := c.wire.moved.Load()
			if now-moved < 4<<10 { // answers to keep-alives alone are no progress
				c.fail(&httpclient.StallError{Phase: "body", After: c.times.data})
			}
			moved = now
		case <-ctx.Done():
			t := time.NewTimer(grace)
			defer t.Stop()
			select {
			case r := <-replies:
				go late(r)
			case <-t.C:
				go func() { late(<-replies) }()
			}
			return none, context.Cause(ctx)
		}
	}
}

// run is do for requests that give nothing.
func run(ctx context.Context, c *conn, fn func() error) error {
	_, err := do(ctx, c, false, func() (struct{}, error) { return struct{}{}, fn() }, nil)
	return err
}
