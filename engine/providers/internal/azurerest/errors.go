package azurerest

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
)

// ReplyError is a refusal or a failure that the service reported.
type ReplyError struct {
	Status        int
	Code, Message string
	RequestID     string
	RetryAfter    time.Duration
	Hint          string
	Action        string

	header http.Header
}

// Error returns the code, the message and the status.
func (e *ReplyError) Error() string {
	s := e.Code
	if e.Message != "" {
		s += ": " + e.Message
	}
	return fmt.Sprintf("%s (%s, status %d)", s, e.Action, e.Status)
}

// NetError is a failure between us and the service.
type NetError struct{ Err error }

func (e *NetError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

// transportError strips what net/http puts around an error: its URL can hold a signature.
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

// failed makes an error of a reply and closes it. Of the body only the code and the first line of the message are kept:
// the details repeat the string that was signed.
func (c *Client) failed(resp *http.Response, r *Request) *ReplyError {
	defer Drain(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &ReplyError{Status: resp.StatusCode, Action: r.Action, Code: resp.Header.Get("X-Ms-Error-Code"), RequestID: resp.Header.Get("X-Ms-Request-Id"),
		RetryAfter: azureauth.RetryAfter(resp.Header), header: resp.Header}
	code, message := described(body)
	if e.Code == "" {
		e.Code = code
	}
	if e.Code == "" {
		e.Code, message = fmt.Sprint(resp.StatusCode), http.StatusText(resp.StatusCode)
	}
	message, _, _ = strings.Cut(message, "\n")
	e.Message = strings.TrimSuffix(strings.TrimSpace(message), ".")
	e.Hint = azureauth.Hint(e.Code, e.Status, c.Account, c.Role, r.Write)
	switch {
	case c.Hints[e.Code] != "":
		e.Hint = c.Hints[e.Code]
	case e.Status/100 == 3 && e.Status != http.StatusNotModified:
		e.Hint = "The endpoint redirects elsewhere, which is not followed, since requests are signed for one host: set `endpoint`."
	case e.Hint == "" && c.cred == nil && (e.Status == 403 || e.Status == 401 || e.Status == 409 && strings.Contains(e.Message, "Public access")):
		e.Hint = "The data is not public: declare a `credential \"azure\"`."
	}
	return e
}

// described reads the code and the message of an error in the form of either service: XML, or JSON for "dfs".
func described(body []byte) (code, message string) {
	var x struct {
		XMLName       xml.Name
		Code, Message string
	}
	if xml.Unmarshal(body, &x) == nil && x.XMLName.Local == "Error" {
		return x.Code, x.Message
	}
	var j struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &j) == nil {
		return j.Error.Code, j.Error.Message
	}
	return "", ""
}

// Classify says what an error of this package means.
func (c *Client) Classify(err error) fault.Class {
	var own *fault.Error
	var reply *ReplyError
	var network *NetError
	switch {
	case err == nil:
		return fault.Class{}
	case errors.As(err, &own):
		return own.Class
	case errors.As(err, &reply):
		code, ok := c.Codes[reply.Code]
		if !ok {
			code = azureauth.CodeOf(reply.Code, reply.Status)
		}
		return fault.Class{Code: code, RetryAfter: reply.RetryAfter, Hint: reply.Hint, RequestID: reply.RequestID, MaybeApplied: reply.Status >= 500}
	case errors.As(err, &network):
		return azureauth.NetClass(network.Err)
	}
	return fault.Plain(err)
}

// Is reports whether an error is a reply with one of the codes.
func Is(err error, codes ...string) bool {
	var e *ReplyError
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// StatusOf returns the status of the reply that an error is, or 0.
func StatusOf(err error) int {
	var e *ReplyError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// Unsure reports whether a request that failed with err may have been carried out.
func Unsure(err error) bool {
	var network *NetError
	return errors.As(err, &network) || StatusOf(err) >= 500
}

// NotAzure is the error of a reply of success that does not come from the service.
func NotAzure(resp *http.Response, what string) error {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the service answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from the service: %s", what)
}
