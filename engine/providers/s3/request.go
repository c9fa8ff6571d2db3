package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
)

const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedStream    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	// emptyHash is the SHA-256 of nothing.
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// request is one call of the service.
type request struct {
	action string // as policies name it, without "s3:", for messages
	method string
	key    string   // "" for the bucket itself
	query  []string // names and values in turn
	header http.Header
	body   payload // nil: none
}

// payload is the body of a request.
type payload interface {
	// open returns the body and its length for one sending. It is called again only when again allows it.
	open(ctx context.Context, s signing) (io.ReadCloser, int64, error)
	hash() string // what stands in x-amz-content-sha256
	again() bool  // another sending is possible
	// cause returns why the body itself failed, else err.
	cause(err error) error
}

// signing is what a payload that is signed in pieces needs.
type signing struct {
	creds  aws.Credentials
	region string
	seed   []byte // signature of the head
	at     time.Time
}

// octets is a small body that is all there.
type octets []byte

func (b octets) open(context.Context, signing) (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

func (b octets) hash() string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
func (b octets) again() bool           { return true }
func (b octets) cause(err error) error { return err }

func (r *request) set(name, value string) {
	if r.header == nil {
		r.header = http.Header{}
	}
	if value != "" {
		r.header[http.CanonicalHeaderKey(name)] = []string{value}
	}
}

// do sends a request and returns a reply below 300, whose body the caller closes. Every other reply is a *ReplyError. A
// request is sent again, once for each cause, when the credential has expired, the clock is off, or the bucket is found
// to be in another region; all other trying again is the portable layer's.
func (d *Driver) do(ctx context.Context, r *request) (*http.Response, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	var refreshed, moved, skewed bool
	refresh := false
	for {
		region := d.regionNow()
		resp, err := d.send(ctx, r, region, refresh)
		refresh = false
		if err != nil {
			var broken *NetError
			if r.body != nil && errors.As(err, &broken) && ctx.Err() == nil {
				if gone := d.noBucket(ctx, r.action); gone != nil {
					return nil, gone
				}
			}
			return nil, err
		}
		if resp.StatusCode < 300 {
			return resp, nil
		}
		reply := d.failed(resp, r, region)
		if r.body != nil && !r.body.again() {
			return nil, reply
		}
		switch {
		case reply.expired() && !refreshed && d.cred != nil:
			refreshed, refresh = true, true
		case reply.Region != "" && reply.Region != region && reply.elsewhere() && !moved && !d.fixed:
			moved = true
			d.setRegion(reply.Region)
		case reply.Code == "RequestTimeTooSkewed" && !skewed && !reply.date.IsZero():
			skewed = true
			d.skew.Store(int64(reply.date.Sub(d.clock.Now())))
			d.log.Warn("the clock of this machine differs from the service's: requests are dated by the service's", "ahead", (-time.Duration(d.skew.Load())).Round(time.Second))
		default:
			return nil, reply
		}
	}
}

// noBucket asks whether the bucket exists, once a connection has broken under a body: some servers refuse a body so, and
// their answer is lost with the connection.
func (d *Driver) noBucket(ctx context.Context, action string) error {
	resp, err := d.do(ctx, &request{action: action, method: "GET", query: []string{"list-type", "2", "max-keys", "0"}})
	if err == nil {
		_ = resp.Body.Close() // it is there
		return nil
	}
	var reply *ReplyError
	if errors.As(err, &reply) && reply.Code == "NoSuchBucket" {
		return reply
	}
	return nil // the broken connection is what is known
}

// send sends a request once.
func (d *Driver) send(ctx context.Context, r *request, region string, refresh bool) (*http.Response, error) {
	at, err := d.address(region)
	if err != nil {
		return nil, err
	}
	creds, err := d.credentials(ctx, refresh)
	if err != nil {
		return nil, err
	}
	req := &http.Request{Method: r.method, Host: at.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: at.scheme, Host: at.host, RawQuery: queryOf(r.query)}, Header: make(http.Header, len(r.header)+8)}
	path := at.path
	if r.key != "" {
		path += escape(r.key, true)
	} else if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	req.URL.RawPath = path
	if req.URL.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	for name, v := range r.header {
		req.Header[name] = v
	}
	if d.o.RequesterPays {
		req.Header["X-Amz-Request-Payer"] = []string{"requester"}
	}
	hash := emptyHash
	if r.body != nil {
		hash = r.body.hash()
	}
	now := d.now()
	s := signing{creds: creds, region: region, at: now}
	if creds.AccessKeyID != "" {
		req.Header["X-Amz-Content-Sha256"] = []string{hash}
		if err := d.signer.SignHTTP(ctx, creds, req, hash, "s3", region, now); err != nil {
			return nil, err
		}
		if _, sig, ok := strings.Cut(req.Header.Get("Authorization"), "Signature="); ok {
			s.seed, _ = hex.DecodeString(sig)
		}
	} else if hash == unsignedTrailer {
		req.Header["X-Amz-Content-Sha256"] = []string{hash}
	}
	// What proxies change on the way stays out of the signature.
	req.Header["Accept-Encoding"] = []string{"identity"}
	req.Header["User-Agent"] = []string{"dsrun"}
	req = req.WithContext(ctx)
	if r.body != nil {
		body, n, err := r.body.open(ctx, s)
		if err != nil {
			return nil, r.body.cause(err)
		}
		defer body.Close() // the transport may still hold it when the call has ended
		if req.ContentLength = n; n > 0 {
			req.Body = body
		} else {
			req.Body = http.NoBody
		}
	}
	asks := req.ContentLength > 0 && d.wary.Load()
	if asks {
		req.Header["Expect"] = []string{"100-continue"}
	}
	resp, err := d.http.Do(req)
	if err == nil && asks && resp.StatusCode/100 == 2 {
		d.wary.Store(false)
	}
	if err != nil {
		if req.ContentLength > 0 && ctx.Err() == nil {
			d.wary.Store(true)
		}
		if r.body != nil {
			if own := r.body.cause(nil); own != nil && ctx.Err() == nil {
				return nil, own
			}
		}
		return nil, transportError(ctx, err)
	}
	return resp, nil
}

// transportError strips what net/http puts around an error: the address is said by others, and better.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &NetError{err}
}

// NetError is a failure between us and the service.
type NetError struct{ Err error }

func (e *NetError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

// queryOf encodes names and values in turn.
func queryOf(q []string) string {
	var b strings.Builder
	for i := 0; i+1 < len(q); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(q[i], false))
		b.WriteByte('=')
		b.WriteString(escape(q[i+1], false))
	}
	return b.String()
}

// credentials returns what to sign with; an empty key means unsigned. Where the environment holds no credential at all,
// requests are unsigned, as public buckets need no set-up.
func (d *Driver) credentials(ctx context.Context, refresh bool) (aws.Credentials, error) {
	if d.cred == nil || d.unsigned.Load() {
		return aws.Credentials{}, nil
	}
	v, err := d.cred.Resolve(ctx, credential.Want{Refresh: refresh})
	switch {
	case errors.Is(err, credential.ErrAbsent):
		if !d.unsigned.Swap(true) {
			d.log.Info("no AWS credential was found: requests are not signed", "bucket", d.o.Bucket)
		}
		return aws.Credentials{}, nil
	case err != nil:
		return aws.Credentials{}, err
	}
	return aws.Credentials{AccessKeyID: v.Fields[awsauth.FieldAccessKeyID].Reveal(), SecretAccessKey: v.Fields[awsauth.FieldSecretAccessKey].Reveal(),
		SessionToken: v.Fields[awsauth.FieldSessionToken].Reveal()}, nil
}

func (d *Driver) now() time.Time { return d.clock.Now().Add(time.Duration(d.skew.Load())) }

func (d *Driver) regionNow() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.region
}

func (d *Driver) setRegion(r string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log.Debug("the bucket is in another region", "bucket", d.o.Bucket, "region", r)
	d.region = r
}

// retryAfter reads a Retry-After header: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 && n < 1e6 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// drain reads the little that is left of a reply, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
