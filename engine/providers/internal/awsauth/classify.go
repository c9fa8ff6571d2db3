package awsauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
)

// Expired reports whether a service refused a request because the credential's life has ended.
func Expired(err error) bool {
	switch Code(err) {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return true
	}
	return false
}

// Skewed reports whether a service refused a request because the machine's clock is off. A client of the SDK has learnt
// the difference from the reply, so that its next request can succeed.
func Skewed(err error) bool {
	switch code := Code(err); code {
	case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture":
		return true
	case "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure":
		var api smithy.APIError
		return errors.As(err, &api) && (strings.Contains(api.ErrorMessage(), "Signature expired") || strings.Contains(api.ErrorMessage(), "Signature not yet current"))
	}
	return false
}

// Code returns the service's own code of an error, such as "AccessDenied", or "".
func Code(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// Classify tells what an error of a call to AWS means: by the service's code, else by the HTTP status, else by what
// failed below. Services add codes of their own before they ask it.
func Classify(err error) fault.Class {
	var own *fault.Error
	switch {
	case err == nil:
		return fault.Class{}
	case errors.As(err, &own): // such as a credential that could not be had
		return own.Class
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Plain(err)
	}
	c := fault.Class{RequestID: RequestID(err), RetryAfter: RetryAfter(err)}
	status := 0
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil && resp.Response.Response != nil {
		status = resp.HTTPStatusCode()
	}
	code := Code(err)
	if known, ok := codes()[code]; ok {
		c.Code, c.Hint, c.NoRetry = known.code, known.hint, known.noRetry
		if Skewed(err) {
			c.Hint = clockHint
		}
		c.MaybeApplied = c.Code == fault.Unavailable
		return c
	}
	if status != 0 {
		c.Code = ByStatus(status)
		c.MaybeApplied = status >= 500
		if c.Code == fault.Unauthenticated {
			c.Hint = keyHint
		}
		return c
	}
	return transport(err, c)
}

// transport classifies what failed before there was a reply.
func transport(err error, c fault.Class) fault.Class {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns):
		c.Code, c.Hint = fault.Unavailable, "Check the region and the endpoint, and that the network can resolve names."
		return c
	case errors.As(err, &cert):
		c.Code, c.Hint = fault.FailedPrecondition, "The server's certificate is not trusted: set ca_file to the certificates of its authority."
		return c
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.Code, c.MaybeApplied = fault.Unavailable, true
		return c
	}
	plain := fault.Plain(err)
	plain.RequestID = c.RequestID
	plain.MaybeApplied = plain.Retryable()
	return plain
}

// ByStatus is the code of an HTTP status that comes without a code of the service.
func ByStatus(status int) fault.Code { return httpclient.Code(status) }

// RequestID returns the service's id of the request that failed, or "".
func RequestID(err error) string {
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		return resp.ServiceRequestID()
	}
	return ""
}

// RetryAfter returns how long the reply asks to wait, or 0. A date is taken against the reply's own clock.
func RetryAfter(err error) time.Duration {
	var resp *smithyhttp.ResponseError
	if !errors.As(err, &resp) || resp.Response == nil || resp.Response.Response == nil {
		return 0
	}
	h := resp.Response.Header
	if ms, err := strconv.ParseInt(h.Get("x-amz-retry-after"), 10, 32); err == nil && ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return httpclient.RetryAfter(h)
}

// Trim returns err with the text that a person needs: the service's code and message instead of the SDK's account of
// its layers. The chain stays.
func Trim(err error) error {
	var own *fault.Error
	var api smithy.APIError
	var send *smithyhttp.RequestSendError
	var resp *smithyhttp.ResponseError
	switch {
	case errors.As(err, &own) && own.Err != nil: // its code is said by whoever wraps it
		return &trimmed{own.Err.Error(), err}
	case Code(err) == "UnknownError" && errors.As(err, &resp): // no reply of the service: a proxy's page, or nothing
		return &trimmed{fmt.Sprintf("%d %s", resp.HTTPStatusCode(), http.StatusText(resp.HTTPStatusCode())), err}
	case errors.As(err, &api):
		text := api.ErrorCode()
		if m := strings.TrimSpace(api.ErrorMessage()); m != "" {
			text += ": " + m
		}
		return &trimmed{text, err}
	case errors.As(err, &send) && send.Err != nil:
		return &trimmed{send.Err.Error(), err}
	}
	return err
}

type trimmed struct {
	text string
	err  error
}

func (e *trimmed) Error() string { return e.text }
func (e *trimmed) Unwrap() error { return e.err }
