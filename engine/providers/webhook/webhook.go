// Package webhook is the topic that posts events to an address, one request an event, in the structured mode of the
// CloudEvents HTTP binding (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md).
// With a signing key the requests are signed as Standard Webhooks 1.0.0 says, so that a receiver can tell who sent them
// and drop repeats (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Options are the attributes of `topic "webhook"`.
type Options struct {
	URL        secret.String
	SigningKey secret.String
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.Secret(&o.URL, "url", "Address that events are posted to. It is treated as a secret, because many services put their key into it.").Required().
		Eg(`"https://ci.example.com/hooks/retrain"`)
	f.Secret(&o.SigningKey, "signing_key", "Key that requests are signed with (HMAC-SHA256 of Standard Webhooks): a text of at least 24 bytes, or `whsec_` and its base64.").
		Eg(`env("HOOK_KEY")`)
}

// Provider is the kind `topic "webhook"`.
func Provider() provider.Provider {
	return provider.Topic("webhook", "Posts events to an address as CloudEvents, signed if wanted.", open)
}

// Topic is an address.
type Topic struct {
	url   string
	host  string // for messages: scheme and host, nothing that could be a key
	key   []byte
	http  *http.Client
	clock clock.Clock
}

func open(_ context.Context, env provider.Env, o *Options) (event.Driver, error) {
	u, err := url.Parse(o.URL.Reveal())
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fault.Hinted(fault.InvalidArgument, `Write it as "https://HOST/PATH".`, "url is not the address of a web server")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, fault.Hinted(fault.InvalidArgument, "Use https: on the way, anyone could read and change what http carries.", "url is not encrypted (http)")
	}
	// No redirect is followed: a 302 would turn the event into a request without a body, whose answer proves nothing.
	client := *env.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t := &Topic{url: u.String(), host: u.Scheme + "://" + u.Host, http: &client, clock: env.Clock}
	if t.clock == nil {
		t.clock = clock.Real
	}
	if t.key, err = signingKey(o.SigningKey); err != nil {
		return nil, err
	}
	if path := u.RequestURI(); len(path) > len("/hooks") { // the part that is a key where there is one
		env.Redactor.Add(path)
	}
	return t, nil
}

// loopback reports whether a host is this machine by its name.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Publish implements event.Driver.
func (t *Topic) Publish(ctx context.Context, batch []event.Message) error {
	for i, m := range batch {
		if err := t.post(ctx, m); err != nil {
			if i == 0 && len(batch) == 1 {
				return err
			}
			failed := &event.BatchError{Failed: []event.Failure{{Index: i, Err: err}}}
			for rest := i + 1; rest < len(batch); rest++ {
				failed.Failed = append(failed.Failed, event.Failure{Index: rest, Err: err})
			}
			return failed
		}
	}
	return ctx.Err()
}

func (t *Topic) post(ctx context.Context, m event.Message) error {
	body, err := event.Encode(m)
	if err != nil {
		return fault.New(fault.InvalidArgument, "%w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the request cannot be made") // the error would show the address
	}
	req.Header.Set("Content-Type", "application/cloudevents+json; charset=UTF-8")
	t.sign(req.Header, m.ID, body)
	resp, err := t.http.Do(req)
	if err != nil {
		return fmt.Errorf("POST %s: %w", t.host, withoutURL(err))
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxReply)) // a reply is there to be looked at when it says no
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return &refusal{host: t.host, status: resp.StatusCode, text: said(text), after: httpclient.RetryAfter(resp.Header)}
}

// maxReply is how much of a reply is read, in bytes.
const maxReply = 64 << 10

// withoutURL takes the address out of an error of net/http: it may hold a key.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Limits implements event.Driver. The binding has none; most receivers take a megabyte.
func (t *Topic) Limits() event.Limits {
	return event.Limits{Batch: 1, MessageBytes: 1 << 20}
}

// Check implements event.Driver. The protocol has no question that changes nothing, so that only the address's name is
// looked up: a wrong path is noticed with the first event.
func (t *Topic) Check(ctx context.Context) error {
	u, err := url.Parse(t.host)
	if err != nil {
		return err
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ctx.Err()
	}
	if _, err := net.DefaultResolver.LookupHost(ctx, u.Hostname()); err != nil {
		return fmt.Errorf("%s: %w", t.host, err)
	}
	return nil
}

// Classify implements event.Driver.
func (t *Topic) Classify(err error) fault.Class {
	var r *refusal
	var f *fault.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &r):
		return r.class()
	case errors.As(err, &f):
		return f.Class
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Class{Code: fault.NotFound, Hint: "The host of url is not known: check its name."}
	case errors.As(err, &dns):
		return fault.Class{Code: fault.Unavailable}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Class{Code: fault.Unavailable, MaybeApplied: true}
	}
	return fault.Plain(err)
}

// Close implements event.Driver.
func (t *Topic) Close() error {
	t.http.CloseIdleConnections()
	return nil
}

// refusal is a reply that is not a success.
type refusal struct {
	host   string
	status int
	text   string
	after  time.Duration
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("POST %s: %d %s", r.host, r.status, http.StatusText(r.status))
	if r.text != "" {
		s += ": " + r.text
	}
	return s
}

func (r *refusal) class() fault.Class {
	c := fault.Class{Code: httpclient.Code(r.status), RetryAfter: r.after}
	switch c.Code {
	case fault.Unauthenticated, fault.PermissionDenied:
		c.Hint = "The receiver does not accept who we are: check the key in url, and that signing_key is the one that it knows."
	case fault.NotFound:
		c.Hint = "The receiver has nothing at that path: check url."
	}
	if r.status/100 == 3 {
		c = fault.Class{Code: fault.FailedPrecondition, Hint: "Events are not sent on to another address: put the new one into url."}
	}
	return c
}
