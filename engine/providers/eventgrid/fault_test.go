package eventgrid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/internal/testbed/eventgrid"
)

var begin = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

func one(id string) []event.Message {
	return []event.Message{{ID: id, Type: "t", Source: "s", Time: begin, Data: []byte("{}")}}
}

func topicOver(t testing.TB, d event.Driver) (*event.Topic, *clock.Fake) {
	c := clock.NewFake(begin)
	tp := event.New("orders", "eventgrid", d, event.Options{RunID: "run", Clock: c})
	t.Cleanup(func() { tp.Close() })
	return tp, c
}

func stream(n int, data string) func(context.Context) (event.Event, error) {
	i := -1
	return func(context.Context) (event.Event, error) {
		if i++; i == n {
			return event.Event{}, io.EOF
		}
		return event.Event{ID: fmt.Sprintf("e%d", i), Type: "x", Data: []byte(data)}, nil
	}
}

// TestThrottled: answers of 429, 500 and 503 and lost answers are tried again as late as the service asks; nothing is lost,
// and a repeat has the same id.
func TestThrottled(t *testing.T) {
	s, srv := newServer(t, &eventgrid.Server{Schema: eventgrid.CloudEvents})
	s.On = func(w http.ResponseWriter, n int, events []eventgrid.Event, keep func()) bool {
		switch n {
		case 1:
			eventgrid.Throttle(w, "7")
		case 2:
			eventgrid.Refuse(w, 500, "InternalServerError", "Try again.", "")
		case 3:
			keep()
			panic(http.ErrAbortHandler)
		case 4:
			eventgrid.Refuse(w, 503, "ServiceUnavailable", "Try again.", "")
		default:
			return false
		}
		return true
	}
	tp, c := topicOver(t, over(t, srv.URL, ""))
	if err := tp.Check(t.Context()); err != nil { // request 0
		t.Fatal(err)
	}
	if n, err := tp.PublishAll(t.Context(), stream(20, "1"), nil); n != 20 || err != nil {
		t.Fatal(n, err)
	}
	seen := map[string]int{}
	for _, e := range s.Events() {
		seen[e.Text("id")]++
	}
	for i := range 20 {
		if n := seen[fmt.Sprintf("e%d", i)]; n != 2 {
			t.Errorf("event %d arrived %d times, and one answer was lost", i, n)
		}
	}
	if w := c.Waits(); len(seen) != 20 || len(w) != 4 || w[0] < 7*time.Second {
		t.Errorf("%d ids, waits of %v", len(seen), w)
	}
}

// TestTooLarge: batches are packed to the limits; what the service finds too large all the same is sent in halves.
func TestTooLarge(t *testing.T) {
	s, srv := newServer(t, &eventgrid.Server{Schema: eventgrid.CloudEvents})
	var mu sync.Mutex
	var sizes []int
	s.On = func(w http.ResponseWriter, n int, events []eventgrid.Event, keep func()) bool {
		mu.Lock()
		defer mu.Unlock()
		if len(events) > 3 {
			sizes = append(sizes, len(events))
			eventgrid.Refuse(w, 413, "RequestEntityTooLarge", "The maximum size (1536000) has been exceeded.", "")
			return true
		}
		return false
	}
	tp, _ := topicOver(t, over(t, srv.URL, ""))
	if n, err := tp.PublishAll(t.Context(), stream(10, "1"), nil); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	if got := s.Events(); len(got) != 10 || !slices.Equal(sizes, []int{10, 5, 5}) {
		t.Errorf("%d arrived after refusals of %v", len(got), sizes)
	}

	s, srv = newServer(t, &eventgrid.Server{Schema: eventgrid.CloudEvents})
	var batches []int
	s.On = func(_ http.ResponseWriter, _ int, events []eventgrid.Event, _ func()) bool {
		mu.Lock()
		defer mu.Unlock()
		batches = append(batches, len(events))
		return false
	}
	tp, _ = topicOver(t, over(t, srv.URL, ""))
	if n, err := tp.PublishAll(t.Context(), stream(5, `"`+strings.Repeat("x", 500<<10)+`"`), nil); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	sum := 0
	for _, n := range batches {
		sum += n
	}
	if sum != 5 || slices.Max(batches) > 2 { // on a slow machine none is full: an event waits for half a second only
		t.Errorf("batches of %v events of 500 KiB", batches)
	}
}

// TestReplies: what is not a proof that the events were taken is an error, of the right kind.
func TestReplies(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		body, text string
		want       fault.Code
	}{
		"portal":       {200, `<html>Log in</html>`, "not Event Grid's", fault.Unavailable},
		"accepted":     {202, ``, "", ""},
		"object":       {200, `{}`, "", ""},
		"malformed":    {400, `{"error":{"code":"BadRequest","message":"The property 'eventTime' is wrong.","details":[{"code":"InputJsonInvalid","message":"Path '[0]'"}]}}`, "400 Bad Request: The property 'eventTime' is wrong. (Path '[0]')", fault.InvalidArgument},
		"native topic": {400, `{"error":{"code":"BadRequest","message":"This resource is configured for 'EventGridEvent' schema. Received unexpected property 'source'"}}`, "configured for", fault.FailedPrecondition},
		"type":         {415, ``, "415", fault.FailedPrecondition},
		"key":          {401, `{"error":{"code":"Unauthorized","message":"The request key is invalid."}}`, "401 Unauthorized: The request key is invalid.", fault.Unauthenticated},
		"role":         {403, `{"error":{"code":"Forbidden","message":"no"}}`, "403", fault.PermissionDenied},
		"gone":         {404, ``, "404", fault.NotFound},
		"topic":        {410, ``, "410", fault.NotFound},
		"size":         {413, ``, "413", fault.InvalidArgument},
		"throttled":    {429, ``, "429", fault.ResourceExhausted},
		"internal":     {500, `{"error":{"code":"InternalServerError"}}`, "500", fault.Unavailable},
		"gateway":      {503, `<html>Down</html>`, "503", fault.Unavailable},
		"elsewhere":    {307, ``, "307", fault.FailedPrecondition},
	} {
		t.Run(name, func(t *testing.T) {
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the key went elsewhere") }))
			defer elsewhere.Close()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				w.Header().Set("x-ms-request-id", "req-1")
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			defer srv.Close()
			d := over(t, srv.URL, "")
			err := d.Publish(t.Context(), one("1"))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			class := d.Classify(err)
			if err == nil || class.Code != c.want || !strings.Contains(err.Error(), c.text) || c.status >= 300 && (class.RequestID != "req-1" || class.RetryAfter != 3*time.Second) {
				t.Errorf("%v\n%+v", err, class)
			}
		})
	}
}

// TestCheck: a topic that is missing, that another key opens or that was made for another form is an error before the
// first event.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		schema, format, path string
		want                 fault.Code
		hint                 string
	}{
		"right":          {eventgrid.CloudEvents, "", "", "", ""},
		"native":         {eventgrid.Native, schema.FormatNative, "/api/events", "", ""},
		"native topic":   {eventgrid.Native, "", "", fault.FailedPrecondition, `set format = "native"`},
		"not native":     {eventgrid.CloudEvents, schema.FormatNative, "", fault.FailedPrecondition, `leave out format = "native"`},
		"not in a space": {eventgrid.CloudEvents, "", "/topics/orders", fault.NotFound, "no topic at the endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			s, srv := newServer(t, &eventgrid.Server{Schema: c.schema})
			tp, _ := topicOver(t, over(t, srv.URL+c.path, c.format))
			_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
			if got := fault.ClassOf(err); err == nil && c.want != "" || err != nil && got.Code != c.want || !strings.Contains(got.Hint, c.hint) {
				t.Errorf("%v, %+v", err, got)
			}
			if n := len(s.Events()); (n == 1) != (c.want == "") || c.want != "" && len(s.Requests()) != 1 {
				t.Errorf("%d events after %d requests", n, len(s.Requests()))
			}
		})
	}
	// A service that finds an empty list too short has read it.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		eventgrid.Refuse(w, 400, "BadRequest", "The array of events is empty.", "")
	}))
	defer srv.Close()
	if err := over(t, srv.URL, "").Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := over(t, srv.URL, "").Publish(t.Context(), one("1")); err == nil {
		t.Error("the same answer to an event is taken for a success")
	}
}

// TestLogins: the three ways to log in, to a topic and to a topic of a namespace.
func TestLogins(t *testing.T) {
	for _, space := range []bool{false, true} {
		s := &eventgrid.Server{Schema: eventgrid.CloudEvents, Token: "token-canary-1"}
		path, resource := "/api/events", "/api/events"
		if space {
			s.Topics, path, resource = []string{"orders"}, "/topics/orders:publish", "/topics/orders"
		}
		s, srv := newServer(t, s)
		try := func(env provider.Env) error {
			d, err := Provider().OpenTopic(t.Context(), env, &Options{Endpoint: srv.URL + path})
			if err != nil {
				return err
			}
			defer d.Close()
			err = d.Publish(t.Context(), one("1"))
			if err != nil {
				err = &fault.Error{Class: d.Classify(err), Err: err}
			}
			return err
		}
		hour := time.Now().Add(time.Hour)
		for name, c := range map[string]struct {
			o    azureauth.Options
			want fault.Code
		}{
			"key":         {azureauth.Options{Method: "access_key", AccessKey: secret.New(accessKey)}, ""},
			"wrong key":   {azureauth.Options{Method: "access_key", AccessKey: secret.New("d3Jvbmc=")}, fault.Unauthenticated},
			"signature":   {azureauth.Options{Method: "sas", SASToken: secret.New(sas(srv.URL+resource, hour))}, ""},
			"with scheme": {azureauth.Options{Method: "sas", SASToken: secret.New("SharedAccessSignature " + sas(srv.URL, hour))}, ""},
			"ended":       {azureauth.Options{Method: "sas", SASToken: secret.New(sas(srv.URL+resource, time.Now().Add(-time.Hour)))}, fault.Unauthenticated},
			"of another":  {azureauth.Options{Method: "sas", SASToken: secret.New(sas("https://other.eventgrid.azure.net", hour))}, fault.Unauthenticated},
			"altered":     {azureauth.Options{Method: "sas", SASToken: secret.New(strings.Replace(sas(srv.URL, hour), "&e=", "0&e=", 1))}, fault.Unauthenticated},
			"storage SAS": {azureauth.Options{Method: "sas", SASToken: secret.New("sv=2024-11-04&sig=abc%3D")}, fault.InvalidArgument},
			"storage key": {azureauth.Options{Method: "account_key", AccountKey: secret.New(accessKey)}, fault.InvalidArgument},
			"nobody":      {azureauth.Options{Method: "anonymous"}, fault.InvalidArgument},
		} {
			before := len(s.Requests())
			if err := try(newEnv(t, c.o)); fault.CodeOf(err) != c.want {
				t.Errorf("namespace %v, %s: %v", space, name, err)
			}
			if n := len(s.Requests()) - before; n > 1 || n == 0 && c.want != fault.InvalidArgument {
				t.Errorf("%s: %d requests", name, n)
			}
		}
		// A token that the service calls ended is renewed once.
		env := newEnv(t, azureauth.Options{Method: "access_key", AccessKey: secret.New(accessKey)})
		given := 0
		env.Credential = credential.Cached(credential.From("test", func(_ context.Context, w credential.Want) (credential.Value, error) {
			if given++; w.Audience != azureauth.EventGridScope {
				t.Errorf("a token for %q is asked for", w.Audience)
			}
			return credential.Value{Expires: time.Now().Add(time.Hour), Fields: map[string]secret.String{azureauth.FieldToken: secret.New(fmt.Sprint("token-canary-", 2-given))}}, nil
		}), nil, env.Redactor)
		s.Token = "token-canary-0"
		if err := try(env); err != nil || given != 2 {
			t.Errorf("%v, %d tokens", err, given)
		}
		s.Token = "another"
		if err := try(env); !fault.Is(err, fault.Unauthenticated) || given != 3 {
			t.Errorf("%v, %d tokens", err, given)
		}
	}
}

// TestCanary publishes with secrets to a service that repeats what it was told.
func TestCanary(t *testing.T) {
	hour := time.Now().Add(time.Hour)
	for _, o := range []azureauth.Options{
		{Method: "access_key", AccessKey: secret.New(accessKey)},
		{Method: "sas", SASToken: secret.New(sas("https://x", hour))},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			eventgrid.Refuse(w, 401, "Unauthorized", "I was told: "+r.Header.Get("aeg-sas-key")+r.Header.Get("aeg-sas-token"), "")
		}))
		defer srv.Close()
		env := newEnv(t, o)
		d, err := Provider().OpenTopic(t.Context(), env, &Options{Endpoint: srv.URL})
		if err != nil {
			t.Fatal(err)
		}
		tp := event.New("orders", "eventgrid", d, event.Options{Redactor: env.Redactor})
		defer tp.Close()
		_, err = tp.Publish(t.Context(), event.Event{Type: "x"})
		if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "I was told: ") {
			t.Errorf("the echo is missing: %v", err)
		}
		_, sig, _ := strings.Cut(o.SASToken.Reveal(), "&s=")
		text := fmt.Sprintf("%v %+v %q %+v", err, err, err, d)
		if strings.Contains(text, accessKey) || sig != "" && strings.Contains(text, sig) {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

func TestOptions(t *testing.T) {
	for s, want := range map[string]string{
		"https://t.westeurope-1.eventgrid.azure.net/api/events":     "https://t.westeurope-1.eventgrid.azure.net/api/events?api-version=2018-01-01",
		"https://t.westeurope-1.eventgrid.azure.net":                "https://t.westeurope-1.eventgrid.azure.net/api/events?api-version=2018-01-01",
		"https://t.westeurope-1.eventgrid.azure.net/api/events/":    "https://t.westeurope-1.eventgrid.azure.net/api/events?api-version=2018-01-01",
		"https://n.westeurope-1.eventgrid.azure.net/topics/orders":  "https://n.westeurope-1.eventgrid.azure.net/topics/orders:publish?api-version=2024-06-01",
		"https://n.x.eventgrid.azure.net/topics/orders:publish":     "https://n.x.eventgrid.azure.net/topics/orders:publish?api-version=2024-06-01",
		"http://t.westeurope-1.eventgrid.azure.net/api/events":      "",
		"t.westeurope-1.eventgrid.azure.net":                        "",
		"https://t.eventgrid.azure.net/api/events?aeg-sas-key=abcd": "",
		"https://t.eventgrid.azure.net/other":                       "",
		"https://t.eventgrid.azure.net/topics/a/b":                  "",
	} {
		e, err := parseEndpoint(s)
		if e.url != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", s, e.url, err)
		}
		if err != nil && strings.Contains(err.Error(), "abcd") {
			t.Errorf("a key shows: %v", err)
		}
	}
	env := newEnv(t, azureauth.Options{Method: "access_key", AccessKey: secret.New(accessKey)})
	for name, c := range map[string]struct {
		o      Options
		format string
	}{
		"native namespace": {Options{Endpoint: "https://n.azure.net/topics/a"}, schema.FormatNative},
		"domain topic":     {Options{Endpoint: "https://n.azure.net/api/events", DomainTopic: "a"}, ""},
		"no endpoint":      {Options{Endpoint: "none"}, ""},
	} {
		env.Format = c.format
		if _, err := Provider().OpenTopic(t.Context(), env, &c.o); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	env.Credential = nil
	if _, err := Provider().OpenTopic(t.Context(), env, &Options{Endpoint: "https://n.azure.net"}); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
	d := over(t, "http://127.0.0.1:1", "")
	if err := d.Publish(t.Context(), one("1")); err == nil || d.Classify(err).Code != fault.Unavailable {
		t.Errorf("%v", err)
	}
	if c := d.Classify(errors.New("x")); c.Code != fault.Internal {
		t.Error(c)
	}
}
