package pubsub

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
)

const (
	// maxReply bounds a reply, in bytes: a thousand ids have some twenty thousand.
	maxReply = 1 << 20
	// callTime is how long the service may work on a call.
	callTime = 60 * time.Second
)

// call calls a method of google.pubsub.v1.Publisher with a request in its encoded form, with the topic's credential, and
// returns the encoded reply. Errors are *fault.Error.
func (t *Topic) call(ctx context.Context, method string, request []byte) (reply []byte, err error) {
	if t.anonymous {
		return t.unary(ctx, method, "", request)
	}
	err = gcpauth.WithToken(ctx, t.credential, gcpauth.ScopePubsub, func(token string) (err error) {
		reply, err = t.unary(ctx, method, token, request)
		return err
	})
	return reply, err
}

// unary is one call of gRPC over HTTP/2
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): a POST of one frame, answered by one frame and a
// status in the trailers, or by a status alone in the headers.
func (t *Topic) unary(ctx context.Context, method, token string, request []byte) ([]byte, error) {
	frame := append(binary.BigEndian.AppendUint32(make([]byte, 1, 5+len(request)), uint32(len(request))), request...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint+"/google.pubsub.v1.Publisher/"+method, bytes.NewReader(frame))
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "endpoint is not a URL")
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	req.Header.Set("Grpc-Timeout", timeout(ctx))
	req.Header.Set("User-Agent", "dsrun")
	req.Header.Set("X-Goog-Request-Params", "topic="+url.QueryEscape(t.path))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return nil, sending(method, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch kind := resp.Header.Get("Content-Type"); {
	case resp.StatusCode != http.StatusOK:
		return nil, &fault.Error{Class: classOfStatus(resp), Err: fmt.Errorf("%s: %d %s", method, resp.StatusCode, http.StatusText(resp.StatusCode))}
	case err != nil:
		return nil, sending(method, err)
	case !strings.HasPrefix(kind, "application/grpc"):
		return nil, fault.Hinted(fault.Internal, "Check endpoint: what answers there is not Pub/Sub.", "%s: the reply is of the type %q", method, kind)
	}
	trailer := resp.Trailer
	if trailer.Get("Grpc-Status") == "" {
		trailer = resp.Header
	}
	if err := t.status(method, trailer); err != nil {
		return nil, err
	}
	if len(body) < 5 || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:5])) != len(body)-5 {
		return nil, &fault.Error{Class: fault.Class{Code: fault.Unavailable, MaybeApplied: true}, Err: fmt.Errorf("%s: the reply has a status and no whole message", method)}
	}
	return body[5:], nil
}

// timeout is the time that a call has, as gRPC writes it.
func timeout(ctx context.Context) string {
	left := callTime
	if at, ok := ctx.Deadline(); ok {
		left = min(left, max(time.Until(at), time.Millisecond))
	}
	return strconv.FormatInt(left.Milliseconds(), 10) + "m"
}

// sending is the error of a request that got no reply, or not all of it.
func sending(method string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &fault.Error{Class: classOfSending(err), Err: fmt.Errorf("%s: %w", method, err)}
}

// status is what the service says of a call; nil means success.
func (t *Topic) status(method string, h http.Header) error {
	code, err := strconv.Atoi(h.Get("Grpc-Status"))
	if err != nil || code < 0 {
		return &fault.Error{Class: fault.Class{Code: fault.Unavailable, MaybeApplied: true}, Err: fmt.Errorf("%s: the reply ends without a status", method)}
	}
	if code == 0 {
		return nil
	}
	s := &serviceError{method: method, code: code, message: unescape(h.Get("Grpc-Message"))}
	s.details(h.Get("Grpc-Status-Details-Bin"))
	return &fault.Error{Class: t.class(s), Err: s}
}

// serviceError is a status of the service other than OK.
type serviceError struct {
	method  string
	code    int
	message string
	reason  string // of a google.rpc.ErrorInfo, such as SERVICE_DISABLED
	after   time.Duration
}

func (e *serviceError) Error() string {
	s := e.method + ": " + codeName(e.code)
	if e.reason != "" {
		s += " (" + e.reason + ")"
	}
	if e.message != "" {
		s += ": " + e.message
	}
	return s
}

// details reads google.rpc.Status: 3 details, each an Any of 1 type_url and 2 value. Of RetryInfo the time to wait is
// taken (1 retry_delay: 1 seconds, 2 nanos), of ErrorInfo the reason (1). What cannot be read is passed over.
func (e *serviceError) details(text string) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return
	}
	_ = fields(b, func(number int, detail []byte, _ uint64) {
		if number != 3 {
			return
		}
		var kind string
		var value []byte
		_ = fields(detail, func(number int, v []byte, _ uint64) {
			switch number {
			case 1:
				kind = string(v)
			case 2:
				value = v
			}
		})
		_ = fields(value, func(number int, v []byte, _ uint64) {
			switch {
			case number == 1 && strings.HasSuffix(kind, "/google.rpc.ErrorInfo"):
				e.reason = string(v)
			case number == 1 && strings.HasSuffix(kind, "/google.rpc.RetryInfo"):
				_ = fields(v, func(number int, _ []byte, n uint64) {
					switch {
					case number == 1 && n < 3600:
						e.after += time.Duration(n) * time.Second
					case number == 2 && n < 1e9:
						e.after += time.Duration(n)
					}
				})
			}
		})
	})
}

// unescape undoes the percent-encoding of a grpc-message; what is not encoded stays as it is.
func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// classOfStatus is what a status of HTTP means that something on the way gave.
func classOfStatus(resp *http.Response) fault.Class {
	c := fault.Class{Code: httpclient.Code(resp.StatusCode), RetryAfter: httpclient.RetryAfter(resp.Header), MaybeApplied: resp.StatusCode >= 500}
	if resp.StatusCode/100 == 3 || resp.StatusCode == http.StatusNotFound { // the service's own 404 is a status of gRPC
		c.Code, c.Hint = fault.FailedPrecondition, "Check endpoint: what answers there is not Pub/Sub."
	}
	return c
}
