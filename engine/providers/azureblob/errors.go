package azureblob

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
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

	expired bool // the token's life has ended
}

// Error returns the code, the message and the status.
func (e *ReplyError) Error() string {
	s := e.Code
	if e.Message != "" {
		s += ": " + e.Message
	}
	return fmt.Sprintf("%s (%s, status %d)", s, e.Action, e.Status)
}

// failed makes an error of a reply and closes it. Of the body only the code and the first line of the message are kept:
// the details repeat the string that was signed.
func (d *Driver) failed(resp *http.Response, r *request) *ReplyError {
	defer drain(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &ReplyError{Status: resp.StatusCode, Action: r.action, Code: resp.Header.Get("X-Ms-Error-Code"), RequestID: resp.Header.Get("X-Ms-Request-Id"),
		RetryAfter: azureauth.RetryAfter(resp.Header)}
	var x struct {
		XMLName       xml.Name
		Code, Message string
		Detail        string `xml:"AuthenticationErrorDetail"`
	}
	if xml.Unmarshal(body, &x) == nil && x.XMLName.Local == "Error" {
		if e.Code == "" {
			e.Code = x.Code
		}
		e.Message, _, _ = strings.Cut(x.Message, "\n")
		e.Message = strings.TrimSuffix(strings.TrimSpace(e.Message), ".")
	}
	e.expired = azureauth.Expired(e.Code, e.Status, resp.Header) || e.Code == "AuthenticationFailed" && strings.Contains(x.Detail, "Lifetime validation failed")
	if e.Code == "" {
		e.Code, e.Message = fmt.Sprint(resp.StatusCode), http.StatusText(resp.StatusCode)
	}
	e.Hint = azureauth.Hint(e.Code, e.Status, d.o.Account, "Storage Blob Data", r.write)
	switch {
	case e.Code == "ContainerNotFound":
		e.Hint = fmt.Sprintf("Correct `container`, make it with `az storage container create --account-name %s --name %s`, or set create_if_not_exists.", d.o.Account, d.o.Container)
	case e.Status/100 == 3 && e.Status != http.StatusNotModified:
		e.Hint = "The endpoint redirects elsewhere, which is not followed, since requests are signed for one host: set `endpoint`."
	case e.Hint == "" && d.cred == nil && (e.Status == 403 || e.Status == 401 || e.Status == 409 && strings.Contains(e.Message, "Public access")):
		e.Hint = "The container is not public: declare a `credential \"azure\"`."
	}
	return e
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
		return fault.Class{Code: azureauth.CodeOf(reply.Code, reply.Status), RetryAfter: reply.RetryAfter, Hint: reply.Hint, RequestID: reply.RequestID, MaybeApplied: reply.Status >= 500}
	case errors.As(err, &network):
		return azureauth.NetClass(network.Err)
	}
	return fault.Plain(err)
}

// notAzure is the error of a reply of success that does not come from the service.
func notAzure(resp *http.Response, what string) error {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the service answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from the service: %s", what)
}

func is(err error, code string) bool {
	var e *ReplyError
	return errors.As(err, &e) && e.Code == code
}
