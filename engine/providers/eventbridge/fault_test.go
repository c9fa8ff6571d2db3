package eventbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/engine/secret"
)

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func topicOver(t testing.TB, d event.Driver) (*event.Topic, *clock.Fake) {
	c := clock.NewFake(begin)
	tp := event.New("orders", "eventbridge", d, event.Options{RunID: "run", Clock: c})
	t.Cleanup(func() { tp.Close() })
	return tp, c
}

func stream(n int) func(context.Context) (event.Event, error) {
	i := -1
	return func(context.Context) (event.Event, error) {
		if i++; i == n {
			return event.Event{}, io.EOF
		}
		return event.Event{ID: fmt.Sprintf("e%d", i), Type: "x"}, nil
	}
}

// Of 10 entries 3 fail, twice, and once the whole request is throttled: only what failed is sent again, nothing is lost and
// nothing is acknowledged twice.
func TestPartialFailure(t *testing.T) {
	f := newFake(t)
	var sizes []int
	f.on = func(action string, n int, list []entry, w http.ResponseWriter) bool {
		if action != "PutEvents" {
			return false
		}
		sizes = append(sizes, len(list))
		var fail map[int]string
		switch n {
		case 0:
			fail = map[int]string{1: "ThrottlingException", 4: "InternalFailure", 9: "ThrottlingException"}
		case 1:
			fail = map[int]string{0: "ThrottlingException", 1: "ThrottlingException", 2: "InternalFailure"}
		case 2:
			w.Header().Set("Retry-After", "2")
			refuse(w, 400, "ThrottlingException", "Rate exceeded")
			return true
		default:
			return false
		}
		for i, e := range list {
			if fail[i] == "" {
				f.accept([]entry{e})
			}
		}
		answer(w, list, fail)
		return true
	}
	d, _ := over(t, f, "")
	tp, c := topicOver(t, d)
	n, err := tp.PublishAll(t.Context(), stream(10), nil)
	if n != 10 || err != nil || !slices.Equal(sizes, []int{10, 3, 3, 3}) {
		t.Fatalf("%d accepted, %v, requests of %v", n, err, sizes)
	}
	seen := map[string]int{}
	for _, m := range f.events(t) {
		seen[m.ID]++
	}
	for i := range 10 {
		if seen[fmt.Sprintf("e%d", i)] != 1 {
			t.Errorf("event %d arrived %d times", i, seen[fmt.Sprintf("e%d", i)])
		}
	}
	if w := c.Waits(); len(w) != 3 || w[2] < 2*time.Second {
		t.Errorf("waits %v, the last of which was asked to be 2 s", w)
	}
}

// TestReplies: what is not a proof that every event was taken is an error.
func TestReplies(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		body, text string
		want       fault.Code
	}{
		"too few":        {200, `{"FailedEntryCount":0,"Entries":[]}`, "speaks of 0 events, of 1", fault.Internal},
		"empty":          {200, ``, "", fault.Internal},
		"nothing":        {200, `{}`, "speaks of 0", fault.Internal},
		"html":           {200, `<html>Portal</html>`, "", fault.Internal},
		"neither":        {200, `{"FailedEntryCount":0,"Entries":[{}]}`, "neither an id nor an error", fault.Internal},
		"miscounted":     {200, `{"FailedEntryCount":1,"Entries":[{"EventId":"x"}]}`, "counts 1 failed", fault.Internal},
		"denied source":  {200, `{"FailedEntryCount":1,"Entries":[{"ErrorCode":"NotAuthorizedForSourceException","ErrorMessage":"no"}]}`, "NotAuthorizedForSourceException: no", fault.PermissionDenied},
		"malformed":      {200, `{"FailedEntryCount":1,"Entries":[{"ErrorCode":"MalformedDetail","ErrorMessage":"Detail is malformed."}]}`, "MalformedDetail", fault.InvalidArgument},
		"denied":         {400, `{"__type":"AccessDeniedException","Message":"User: x is not authorized to perform: events:PutEvents"}`, "PutEvents: AccessDeniedException: User: x", fault.PermissionDenied},
		"validation":     {400, `{"__type":"com.amazon.coral.validate#ValidationException","message":"1 validation error"}`, "ValidationException", fault.InvalidArgument},
		"wrong key":      {400, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`, "UnrecognizedClientException", fault.Unauthenticated},
		"wrong secret":   {403, `{"__type":"InvalidSignatureException","message":"The request signature we calculated does not match"}`, "InvalidSignatureException", fault.Unauthenticated},
		"too large":      {413, ``, "", fault.InvalidArgument},
		"internal":       {500, `{"__type":"InternalException"}`, "InternalException", fault.Unavailable},
		"gateway's page": {503, `<html>Service Unavailable</html>`, "", fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on = func(action string, _ int, _ []entry, w http.ResponseWriter) bool {
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
				return true
			}
			d, _ := over(t, f, "")
			err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("{}")}})
			if err == nil {
				t.Fatal("taken for a success")
			}
			cause := err
			var partial *event.BatchError
			if errors.As(err, &partial) {
				cause = partial.Failed[0].Err
			}
			class := d.Classify(cause)
			if class.Code != c.want || !strings.Contains(err.Error(), c.text) || class.RequestID != "req-PutEvents-0" && name != "neither" && c.text != "" {
				t.Errorf("%v\n%+v", err, class)
			}
			if n := f.calls("PutEvents"); n != 1 {
				t.Errorf("%d requests: the SDK retries", n)
			}
		})
	}
}

// TestCheck: a bus that is not there is an error before the first event; one that may not be asked for gives a warning.
func TestCheck(t *testing.T) {
	f := newFake(t)
	delete(f.buses, "training")
	d, _ := over(t, f, "")
	tp, _ := topicOver(t, d)
	_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
	if c := fault.ClassOf(err); c.Code != fault.NotFound || !strings.Contains(c.Hint, `"training" in the region eu-west-1`) || c.RequestID != "req-DescribeEventBus-0" || f.calls("PutEvents") != 0 {
		t.Errorf("%v, %+v, %d requests", err, c, f.calls("PutEvents"))
	}

	f = newFake(t)
	f.on = func(action string, _ int, _ []entry, w http.ResponseWriter) bool {
		if action == "DescribeEventBus" {
			refuse(w, 400, "AccessDeniedException", "not authorized to perform: events:DescribeEventBus")
		}
		return action == "DescribeEventBus"
	}
	d, log := over(t, f, "")
	tp, _ = topicOver(t, d)
	for range 3 {
		if err := tp.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); err != nil || len(f.events(t)) != 1 {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "cannot verify that the event bus exists"); n != 1 {
		t.Errorf("warned %d times: %s", n, log)
	}
}

// TestExpiredToken: a credential that the service calls expired is renewed once and the request goes out again.
func TestExpiredToken(t *testing.T) {
	f := newFake(t)
	env, _ := newEnv(t, "x", "y", "z")
	given := 0
	env.Credential = credential.Cached(credential.From("test", func(context.Context, credential.Want) (credential.Value, error) {
		given++
		return credential.Value{Expires: time.Now().Add(time.Hour), Fields: map[string]secret.String{awsauth.FieldAccessKeyID: secret.New(fmt.Sprint("ASIA", given)),
			awsauth.FieldSecretAccessKey: secret.New("s"), awsauth.FieldSessionToken: secret.New("t")}}, nil
	}), nil, env.Redactor)
	f.on = func(action string, n int, _ []entry, w http.ResponseWriter) bool {
		if action == "PutEvents" && n == 0 {
			refuse(w, 400, "ExpiredTokenException", "The security token included in the request is expired")
			return true
		}
		return false
	}
	d := openTopic(t, env, Options{Bus: "training", Region: "eu-west-1", Endpoint: f.URL})
	if err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	if given != 2 || !strings.Contains(f.auths[0], "ASIA1/") || !strings.Contains(f.auths[1], "ASIA2/") {
		t.Errorf("%d credentials, %v", given, f.auths)
	}
	f.on = func(_ string, _ int, _ []entry, w http.ResponseWriter) bool {
		refuse(w, 400, "ExpiredTokenException", "expired")
		return true
	}
	err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("{}")}})
	if c := d.Classify(err); c.Code != fault.Unauthenticated || c.Hint == "" || given != 3 {
		t.Errorf("%v, %+v, %d", err, c, given)
	}
}

// TestCanary publishes with secrets to a service that repeats what it was told.
func TestCanary(t *testing.T) {
	const canary = `C4n4ry/+"&=%tail`
	f := newFake(t)
	env, log := newEnv(t, "AKIAFAKE", canary, canary)
	f.on = func(_ string, n int, _ []entry, w http.ResponseWriter) bool {
		refuse(w, 403, "UnrecognizedClientException", "I was told: "+f.tokens[n]+" "+f.auths[n])
		return true
	}
	d := openTopic(t, env, Options{Bus: "training", Region: "eu-west-1", Endpoint: f.URL})
	tp := event.New("orders", "eventbridge", d, event.Options{Redactor: env.Redactor})
	_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "I was told: "+secret.Mask) {
		t.Errorf("the echo is missing: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %q %s %+v", err, err, err, log, d); strings.Contains(text, "C4n4ry") {
		t.Errorf("a secret is shown: %s", text)
	}
}
