package eventgrid

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
)

// refusal is a reply that is not a success: {"error": {"code", "message", "details": [{"code", "message"}]}}.
type refusal struct {
	where         string
	status        int
	code, message string
	requestID     string
	after         time.Duration
}

func newRefusal(where string, resp *http.Response, text []byte) *refusal {
	r := &refusal{where: where, status: resp.StatusCode, requestID: resp.Header.Get("X-Ms-Request-Id"), after: retryAfter(resp.Header)}
	var in struct {
		Error struct {
			Code, Message string
			Details       []struct{ Message string }
		}
	}
	if json.Unmarshal(text, &in) != nil {
		r.message = said(text)
		return r
	}
	r.code, r.message = said([]byte(in.Error.Code)), said([]byte(in.Error.Message))
	for _, d := range in.Error.Details {
		if d := said([]byte(d.Message)); d != "" && d != r.message && len(r.message) < 400 {
			r.message += " (" + d + ")"
		}
	}
	return r
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("POST %s: %d %s", r.where, r.status, http.StatusText(r.status))
	if r.code != "" && !strings.EqualFold(r.code, strings.ReplaceAll(http.StatusText(r.status), " ", "")) {
		s += ": " + r.code
	}
	if r.message != "" {
		s += ": " + r.message
	}
	return s
}

// wrongSchema reports whether the topic was made for another form of events.
func (r *refusal) wrongSchema() bool {
	return r.status == http.StatusUnsupportedMediaType || r.status == http.StatusBadRequest && strings.Contains(r.message, "is configured ") && strings.Contains(r.message, "schema")
}

func (r *refusal) class(native bool) fault.Class {
	c := fault.Class{Code: httpclient.Code(r.status), RetryAfter: r.after, RequestID: r.requestID}
	if r.status/100 == 3 {
		c.Code, c.Hint = fault.FailedPrecondition, "Events are not sent on to another address: put the new one into endpoint."
		return c
	}
	if r.wrongSchema() { // no event will get through
		c.Code, c.Hint = fault.FailedPrecondition, `The topic was made for CloudEvents: leave out format = "native", or make the topic with --input-schema eventgridschema.`
		if !native {
			c.Hint = `The topic was made for another schema: set format = "native", or make the topic with --input-schema cloudeventschemav1_0.`
		}
		return c
	}
	switch c.Code {
	case fault.Unauthenticated:
		c.Hint = "The key, signature or token does not open this topic: check that it belongs to the endpoint, that it has not ended, and the clock of this machine."
	case fault.PermissionDenied:
		c.Hint = `Give the identity the role "EventGrid Data Sender" on the topic with "az role assignment create", which takes some minutes to work; or the topic's firewall does not let this machine in.`
	case fault.NotFound:
		c.Hint = "There is no topic at the endpoint: check its name, its region and, in a namespace, the topic's name."
	}
	return c
}

// said is the start of a reply's text, on one line, as far as it is text.
func said(b []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(b), "")), " ")
	if strings.HasPrefix(s, "<") {
		return "a page"
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "..."
	}
	return s
}
