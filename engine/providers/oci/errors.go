package oci

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// ReplyError is a refusal or a failure that the service reported.
type ReplyError struct {
	Status        int
	Code, Message string // the service's own; Code is made from Status where there is none
	RequestID     string
	RetryAfter    time.Duration
	Hint          string
	Action        string // the permission that the call needs

	date time.Time // of the reply
}

// Error returns the code, the message and the status.
func (e *ReplyError) Error() string {
	s := e.Code
	if e.Message != "" {
		s += ": " + strings.TrimSuffix(e.Message, ".")
	}
	return fmt.Sprintf("%s (status %d)", s, e.Status)
}

// failed makes an error of a reply and closes it.
func (d *Driver) failed(resp *http.Response, r *request) *ReplyError {
	defer drain(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &ReplyError{Status: resp.StatusCode, Action: r.action, RequestID: resp.Header.Get("Opc-Request-Id"), RetryAfter: retryAfter(resp.Header, d.clock.Now())}
	e.date, _ = http.ParseTime(resp.Header.Get("Date"))
	var x struct{ Code, Message string }
	if json.Unmarshal(body, &x) == nil {
		e.Code, e.Message = x.Code, x.Message
	}
	if e.Code == "" {
		e.Code, e.Message = fmt.Sprint(resp.StatusCode), http.StatusText(resp.StatusCode)
	}
	e.Hint = d.hint(e)
	return e
}

// hint says what the person can do.
func (d *Driver) hint(e *ReplyError) string {
	bucket := d.o.Bucket
	switch e.Code {
	case "BucketNotFound":
		return fmt.Sprintf("Correct `bucket`, `namespace` and `region`, make the bucket with `oci os bucket create --name %s --compartment-id OCID`, or set create_if_not_exists; a bucket that the credential%s may not see is reported in the same way.", bucket, d.whose())
	case "NamespaceNotFound":
		return "Correct `namespace`: `oci os ns get` shows it."
	case "NotAuthorizedOrNotFound", "NotAuthorized", "Forbidden", "403":
		return fmt.Sprintf("Allow %s on bucket %q to the credential%s by a policy.", e.Action, bucket, d.whose())
	case "NotAuthenticated", "SignUpRequired", "401":
		return fmt.Sprintf("The service does not know the key%s: see that its public half is uploaded for this user and that tenancy, user and fingerprint belong together; a session may have ended.", d.whose())
	case "NotRestored":
		return "The object is archived: restore it first with `oci os object restore`."
	}
	if e.Status/100 == 3 {
		return "The endpoint redirects elsewhere, which is not followed, since requests are signed for one host: set `endpoint` or `region` to where the bucket is."
	}
	return ""
}

// whose says where the credential comes from.
func (d *Driver) whose() string {
	d.source.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, step := range d.cred.Explain(ctx) {
			if step.Used {
				d.sourceName = step.Source
			}
		}
	})
	if d.sourceName == "" {
		return ""
	}
	return " of " + d.sourceName
}

var codes = map[string]fault.Code{
	"ObjectNotFound": fault.NotFound, "BucketNotFound": fault.NotFound, "NamespaceNotFound": fault.NotFound, "NoSuchUpload": fault.NotFound, "NotAuthorizedOrNotFound": fault.NotFound,
	"NotAuthenticated": fault.Unauthenticated, "SignUpRequired": fault.Unauthenticated, "NotAuthorized": fault.PermissionDenied, "Forbidden": fault.PermissionDenied,
	"IfMatchFailed": fault.FailedPrecondition, "IfNoneMatchFailed": fault.FailedPrecondition, "NotRestored": fault.FailedPrecondition, "NoEtagMatch": fault.FailedPrecondition,
	"BucketAlreadyExists": fault.AlreadyExists, "ConcurrentObjectUpdate": fault.Unavailable, "ConcurrentBucketUpdate": fault.Unavailable,
	"TooManyRequests": fault.ResourceExhausted, "QuotaExceeded": fault.ResourceExhausted, "LimitExceeded": fault.ResourceExhausted, "StorageQuotaExceeded": fault.ResourceExhausted,
	"UnmatchedContentMD5": fault.Unavailable, "IncompleteBody": fault.Unavailable, "RequestTimeout": fault.Unavailable,
	"InternalServerError": fault.Unavailable, "ServiceUnavailable": fault.Unavailable, "NotImplemented": fault.Unimplemented, "MethodNotAllowed": fault.PermissionDenied,
}

// Classify implements store.Driver.
func (d *Driver) Classify(err error) fault.Class {
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
	if c.Code == "" {
		c.Code = codeOf(e.Status)
	}
	c.NoRetry = e.Code == "QuotaExceeded" || e.Code == "StorageQuotaExceeded" || e.Code == "LimitExceeded"
	return c
}

func codeOf(status int) fault.Code {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return fault.PermissionDenied
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusPreconditionFailed, http.StatusNotModified:
		return fault.FailedPrecondition
	case http.StatusConflict, http.StatusRequestTimeout:
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
		return fault.Class{Code: fault.FailedPrecondition, Hint: "The server's certificate is not trusted: give its authority as ca_file, or correct the endpoint."}
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Class{Code: fault.Unavailable, Hint: "The host name does not exist: see `region` and `endpoint`."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Class{Code: fault.Unavailable, Hint: "Nothing listens at the endpoint: see `endpoint`."}
	}
	if c := fault.Plain(err); c.Code != fault.Internal {
		return c
	}
	return fault.Class{Code: fault.Unavailable} // cut, or no HTTP
}

// notOCI is the error of a reply of success that does not come from the service.
func notOCI(resp *http.Response, what string) error {
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(t, "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the service answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from the service: %s", what)
}
