package huggingface

import (
	"crypto/tls"
	"encoding/json"
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
	"github.com/dsrun/dsrun/engine/httpclient"
)

// ReplyError is a refusal or a failure that the hub, or the host that holds its files, reported.
type ReplyError struct {
	Status        int
	Code, Message string // Code is X-Error-Code: RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo, or ""
	RequestID     string
	RetryAfter    time.Duration
	Hint          string
	Range         string // Content-Range of a reply of status 416
}

// Error returns the code, the message and the status.
func (e *ReplyError) Error() string {
	s := e.Code
	if s == "" {
		s = http.StatusText(e.Status)
	}
	if e.Message != "" && e.Message != s {
		s += ": " + e.Message
	}
	return fmt.Sprintf("%s (status %d)", s, e.Status)
}

// NetError is a failure between us and the hub.
type NetError struct{ Err error }

func (e *NetError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

// failed makes an error of a reply and closes it.
func (d *Driver) failed(resp *http.Response, u *url.URL, known bool) *ReplyError {
	defer drain(resp)
	h := resp.Header
	e := &ReplyError{Status: resp.StatusCode, RequestID: h.Get("X-Request-Id"), RetryAfter: wait(h), Range: h.Get("Content-Range")}
	if !d.own(u) { // what another host says of a signed address helps nobody
		e.Message = "from " + u.Host + ", which holds the files"
		return e
	}
	e.Code, e.Message = h.Get("X-Error-Code"), h.Get("X-Error-Message")
	if body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)); e.Message == "" {
		var x struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(body, &x) == nil {
			e.Message = x.Error
		}
	}
	e.Message, _, _ = strings.Cut(e.Message, "\n")
	e.Message = strings.TrimSuffix(strings.TrimSpace(e.Message), ".")
	page := d.page()
	switch {
	case e.Code == "GatedRepo" && known:
		e.Hint = "Ask for access at " + page + ", as the user whose token it is."
	case e.Code == "GatedRepo":
		e.Hint = "Ask for access at " + page + ", and declare a `credential \"huggingface\"` or set HF_TOKEN."
	case e.Code == "RepoNotFound" && known:
		e.Hint = "Correct `repo` and `type`, or use a token that may read the repository: the hub does not tell a private one from none."
	case e.Code == "RepoNotFound":
		e.Hint = "Correct `repo` and `type`; if the repository is private, declare a `credential \"huggingface\"` or set HF_TOKEN: the hub does not tell a private one from none."
	case e.Code == "RevisionNotFound":
		e.Hint = "Correct `revision`: a branch, a tag or a commit of " + page + "."
	case e.Status == http.StatusUnauthorized && known:
		e.Hint = "The token has ended or was withdrawn: make a new one at " + d.at("/settings/tokens").String() + ", or log in with `hf auth login`."
	case e.Status == http.StatusForbidden:
		e.Hint = "Give the token the right to read the repository."
	case e.Status == http.StatusTooManyRequests && !known:
		e.Hint = "Requests with a token have higher limits: declare a `credential \"huggingface\"` or set HF_TOKEN."
	}
	return e
}

// page is the address of the repository for people.
func (d *Driver) page() string {
	kind := ""
	if d.o.Type != "model" {
		kind = d.o.Type + "s/"
	}
	return d.at("/" + kind + escape(d.o.Repo)).String()
}

// wait is how long a reply asks to wait. The hub says so as draft-ietf-httpapi-ratelimit-headers-09 has it:
// RateLimit: "api";r=0;t=55.
func wait(h http.Header) time.Duration {
	if d := httpclient.RetryAfter(h); d > 0 {
		return d
	}
	left, seconds := -1, 0
	for _, p := range strings.Split(h.Get("Ratelimit"), ";") {
		name, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		n, err := strconv.Atoi(v)
		switch {
		case err != nil:
		case name == "r":
			left = n
		case name == "t":
			seconds = n
		}
	}
	if left != 0 || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds+1) * time.Second // the hub's own client waits for one more, too
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
	c := fault.Class{Code: httpclient.Code(e.Status), RetryAfter: e.RetryAfter, Hint: e.Hint, RequestID: e.RequestID}
	switch {
	case e.Code == "RevisionNotFound" && e.Status == http.StatusNotFound:
		c.Code = fault.FailedPrecondition // of a key it would read as "there is no such object"
	case e.Code == "" && e.Status == http.StatusNotFound:
		c.Code = fault.FailedPrecondition // the hub says of every name that it does not have why
	case e.Status == http.StatusRequestedRangeNotSatisfiable:
		c.Code = fault.InvalidArgument
	}
	return c
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
		return fault.Class{Code: fault.Unavailable, Hint: "The host name does not exist: see `endpoint`."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Class{Code: fault.Unavailable, Hint: "Nothing listens at the address: see `endpoint`."}
	}
	if c := fault.Plain(err); c.Code != fault.Internal {
		return c
	}
	return fault.Class{Code: fault.Unavailable} // cut, or no HTTP
}

// notHub is the error of a reply of success that does not come from the hub.
func notHub(resp *http.Response, what string) error {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the hub answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from the hub: %s", what)
}

// missing reports whether an error says that there is no such file or folder at the commit.
func missing(err error) bool {
	var e *ReplyError
	return errors.As(err, &e) && e.Status == http.StatusNotFound && e.Code == "EntryNotFound"
}
