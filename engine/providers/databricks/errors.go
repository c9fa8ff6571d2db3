package databricks

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
)

// ReplyError is a refusal or a failure that the workspace or the cloud's storage reported.
type ReplyError struct {
	Status        int
	Code, Message string // the service's own; Code is made from Status where there is none
	Reason        string // of the details
	RequestID     string
	RetryAfter    time.Duration
	Hint          string
	Storage       bool // it is storage that said so, not the workspace
	Expired       bool // the URL was signed for a time that has passed
}

// Error returns the code, the message and the status.
func (e *ReplyError) Error() string {
	s := e.Code
	if e.Message != "" {
		s += ": " + strings.TrimSuffix(e.Message, ".")
	}
	if e.Storage {
		s = "the cloud's storage: " + s
	}
	return fmt.Sprintf("%s (status %d)", s, e.Status)
}

// NetError is a failure between us and the service.
type NetError struct{ Err error }

func (e *NetError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the address may hold a signature
	}
	return &NetError{err}
}

// failed makes an error of a reply of the workspace and closes it.
func (c *client) failed(resp *http.Response) *ReplyError {
	defer azurerest.Drain(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &ReplyError{Status: resp.StatusCode, RequestID: requestID(resp), RetryAfter: retryAfter(resp.Header, c.clock.Now())}
	var x struct {
		Code    json.RawMessage `json:"error_code"` // a text, or the status as a number
		Message string          `json:"message"`
		Details []struct {
			Reason string `json:"reason"`
		} `json:"details"`
	}
	if json.Unmarshal(body, &x) == nil {
		e.Code, e.Message = strings.Trim(string(x.Code), `"`), x.Message
		for _, d := range x.Details {
			if d.Reason != "" {
				e.Reason = d.Reason
			}
		}
	}
	if e.Code == "" || e.Code == "null" {
		e.Code = strconv.Itoa(resp.StatusCode)
	}
	if e.Message == "" {
		e.Message = http.StatusText(resp.StatusCode)
	}
	e.Hint = c.hint(e)
	return e
}

// unknown tells that the token was not taken: a personal one that is none is answered with 403.
func (e *ReplyError) unknown() bool {
	return !e.Storage && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden && strings.Contains(strings.ToLower(e.Message), "access token"))
}

func (c *client) hint(e *ReplyError) string {
	_, volume := splitPath(c.root)
	switch {
	case e.unknown():
		return fmt.Sprintf("The workspace does not know the credential%s: see that it has not ended and is for %s.", c.whose(), c.base.Host)
	case e.Status == http.StatusForbidden && volume:
		return fmt.Sprintf("Grant READ VOLUME and, for writing, WRITE VOLUME on the volume, with USE CATALOG and USE SCHEMA above it, to the identity%s.", c.whose())
	case e.Status == http.StatusForbidden || e.Code == "FEATURE_DISABLED":
		return "DBFS may be disabled here: use a volume, `path = \"/Volumes/catalog/schema/volume\"`. A path of DBFS does not begin with /Volumes, that of a volume does."
	case e.Status == http.StatusNotFound && strings.Contains(e.Message, "olume"):
		return "Correct `path`, or make the volume with `databricks volumes create CATALOG SCHEMA VOLUME MANAGED`."
	case e.Code == "ENDPOINT_NOT_FOUND":
		return "See that `host` names a workspace."
	case e.Status == http.StatusTooManyRequests:
		return "The workspace limits requests: raise max_attempts, or lower max_concurrency."
	case e.Status/100 == 3:
		return "The workspace redirects elsewhere, which is not followed, since the token is for one host: correct `host`."
	}
	return ""
}

// whose says where the credential comes from.
func (c *client) whose() string {
	c.source.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, step := range c.cred.Explain(ctx) {
			if step.Used {
				c.sourceName = step.Source
			}
		}
	})
	if c.sourceName == "" {
		return ""
	}
	return " of " + c.sourceName
}

// refusal makes an error of a reply of storage and closes it. Of its text only the code and the message are kept: the
// rest may repeat the signature.
func (c *client) refusal(resp *http.Response) *ReplyError {
	defer azurerest.Drain(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &ReplyError{Status: resp.StatusCode, Storage: true, RetryAfter: retryAfter(resp.Header, c.clock.Now())}
	var x struct{ Code, Message, AuthenticationErrorDetail string }
	if xml.Unmarshal(body, &x) == nil {
		e.Code = x.Code
		e.Message, _, _ = strings.Cut(x.Message, "\n")
	}
	switch { // as S3, Azure and Google Cloud say it
	case x.Code == "AccessDenied" && x.Message == "Request has expired", x.Code == "ExpiredToken",
		x.Code == "AuthenticationFailed" && strings.Contains(x.AuthenticationErrorDetail, "Signature not valid in the specified time frame"):
		e.Expired = true
	}
	if e.Code == "" {
		e.Code, e.Message = strconv.Itoa(resp.StatusCode), http.StatusText(resp.StatusCode)
	}
	if e.Status == http.StatusForbidden && !e.Expired {
		e.Hint = "Storage of the cloud refuses requests from here: allow this network in its firewall, or let the files go through the workspace by running again."
	}
	return e
}

var codes = map[string]fault.Code{
	"NOT_FOUND": fault.NotFound, "RESOURCE_DOES_NOT_EXIST": fault.NotFound, "NoSuchUpload": fault.NotFound,
	"ALREADY_EXISTS": fault.AlreadyExists, "RESOURCE_ALREADY_EXISTS": fault.AlreadyExists,
	"PERMISSION_DENIED": fault.PermissionDenied, "FEATURE_DISABLED": fault.FailedPrecondition, "ENDPOINT_NOT_FOUND": fault.FailedPrecondition,
	"UNAUTHENTICATED": fault.Unauthenticated, "REQUEST_LIMIT_EXCEEDED": fault.ResourceExhausted, "RESOURCE_EXHAUSTED": fault.ResourceExhausted, "QUOTA_EXCEEDED": fault.ResourceExhausted,
	"TEMPORARILY_UNAVAILABLE": fault.Unavailable, "INTERNAL_ERROR": fault.Unavailable, "IO_ERROR": fault.FailedPrecondition, "DEADLINE_EXCEEDED": fault.Unavailable,
	"NOT_IMPLEMENTED": fault.Unimplemented, "SlowDown": fault.Unavailable, "ServerBusy": fault.Unavailable, "RequestTimeout": fault.Unavailable,
}

// Classify implements store.Driver.
func (c *client) Classify(err error) fault.Class {
	var own *fault.Error
	var reply *ReplyError
	var network *NetError
	switch {
	case err == nil:
		return fault.Class{}
	case errors.As(err, &own):
		return own.Class
	case errors.As(err, &reply):
		return reply.class()
	case errors.As(err, &network):
		return netClass(network.Err)
	}
	return fault.Plain(err)
}

func (e *ReplyError) class() fault.Class {
	c := fault.Class{Code: codes[e.Code], RetryAfter: e.RetryAfter, Hint: e.Hint, RequestID: e.RequestID}
	switch {
	case e.unknown():
		c.Code = fault.Unauthenticated
	case e.Expired:
		c.Code = fault.Unavailable // another one is got
	case c.Code == "":
		c.Code = codeOf(e.Status)
	}
	c.NoRetry = e.Code == "QUOTA_EXCEEDED"
	return c
}

func codeOf(status int) fault.Code {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.PermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return fault.NotFound
	case http.StatusConflict:
		return fault.AlreadyExists
	case http.StatusPreconditionFailed:
		return fault.FailedPrecondition
	case http.StatusRequestTimeout:
		return fault.Unavailable
	case http.StatusTooManyRequests:
		return fault.ResourceExhausted
	case http.StatusNotImplemented:
		return fault.Unimplemented
	}
	switch {
	case status >= 500:
		return fault.Unavailable
	case status >= 400:
		return fault.InvalidArgument
	}
	return fault.FailedPrecondition
}

// netClass classifies a failure of the network.
func netClass(err error) fault.Class {
	var own *fault.Error
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.As(err, &own):
		return own.Class
	case errors.As(err, &cert):
		return fault.Class{Code: fault.FailedPrecondition, Hint: "The server's certificate is not trusted: give its authority as ca_file, or correct `host`."}
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Class{Code: fault.Unavailable, Hint: "The host name does not exist: see `host`."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Class{Code: fault.Unavailable, Hint: "Nothing listens at the address: see `host`."}
	}
	if c := fault.Plain(err); c.Code != fault.Internal {
		return c
	}
	return fault.Class{Code: fault.Unavailable} // cut, or no HTTP
}

// notDatabricks is the error of a reply of success that does not come from the workspace.
func notDatabricks(resp *http.Response, what string) error {
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(t, "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the workspace answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from the workspace: %s", what)
}

// is reports whether err is a refusal with one of the codes.
func is(err error, names ...string) bool {
	var e *ReplyError
	if !errors.As(err, &e) {
		return false
	}
	for _, n := range names {
		if e.Code == n {
			return true
		}
	}
	return false
}

func requestID(resp *http.Response) string {
	if id := resp.Header.Get("X-Databricks-Request-Id"); id != "" {
		return id
	}
	return resp.Header.Get("X-Request-Id")
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
