package httpclient

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// Code is what an HTTP status means that comes without a code of the service (RFC 9110, section 15).
func Code(status int) fault.Code {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.PermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return fault.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return fault.FailedPrecondition
	case http.StatusTooManyRequests:
		return fault.ResourceExhausted
	case http.StatusNotImplemented:
		return fault.Unimplemented
	case http.StatusRequestTimeout:
		return fault.Unavailable
	}
	switch {
	case status >= 500:
		return fault.Unavailable
	case status >= 400:
		return fault.InvalidArgument
	}
	return fault.Internal
}

// RetryAfter is how long a reply asks to wait (RFC 9110, section 10.2.3), or 0. A date is taken against the reply's own
// clock.
func RetryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseInt(v, 10, 32); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now))
}
