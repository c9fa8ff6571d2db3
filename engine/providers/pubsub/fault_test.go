package pubsub

import (
	"context"
	"encoding/pem"
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

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
	"github.com/dsrun/dsrun/engine/secret"
)

func stream(n int, subject func(i int) string) func(context.Context) (event.Event, error) {
	i := -1
	return func(context.Context) (event.Event, error) {
		if i++; i == n {
			return event.Event{}, io.EOF
		}
		return event.Event{ID: fmt.Sprintf("e%05d", i), Type: "x", Subject: subject(i)}, nil
	}
}

func one(int) string { return "" }

// inOrder reports what of n events is lost, and each event whose first arrival comes after that of a later one.
func inOrder(t *testing.T, got []event.Message, n int) (repeats int) {
	t.Helper()
	seen := map[string]bool{}
	last := ""
	for _, m := range got {
		if seen[m.ID] {
			repeats++
			continue
		}
		seen[m.ID] = true
		if m.ID < last {
			t.Errorf("%s arrived after %s", m.ID, last)
		}
		last = m.ID
	}
	if len(seen) != n {
		t.Errorf("%d of %d events arrived", len(seen), n)
	}
	return repeats
}

// Throttling, outages, a deadline of the service and lost answers: nothing is lost, the order of a key is kept, repeats
// have the same id, and the time that the service asks for is waited.
func TestOrderThroughFailures(t *testing.T) {
	f := newFake(t)
	lost := 0
	f.on = func(method string, n int, list []message, w http.ResponseWriter) bool {
		if method != "Publish" {
			return false
		}
		switch n {
		case 1:
			status(w, 8, "Quota exceeded", detail("RetryInfo", appendBytes(nil, 1, []byte{1 << 3, 2, 2 << 3, 0x80, 0x80, 0x40})))
		case 2:
			status(w, 14, "The service was unable to fulfill your request.")
		case 4: // taken, and the stream ends without an answer
			f.accept(list)
			lost += len(list)
			panic(http.ErrAbortHandler)
		case 6:
			status(w, 4, "Deadline expired before operation could complete.")
		case 7: // taken, and the service says that its time was up
			f.accept(list)
			lost += len(list)
			status(w, 4, "Deadline expired before operation could complete.")
		case 9:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			return false
		}
		return true
	}
	tp, c := topicOver(t, over(t, f, "", "all"))
	const n = 8000
	if got, err := tp.PublishAll(t.Context(), stream(n, one), nil); got != n || err != nil {
		t.Fatal(got, err)
	}
	if f.calls("Publish") < 14 {
		t.Fatalf("%d requests: not all failures happened", f.calls("Publish"))
	}
	if repeats := inOrder(t, f.events(t), n); repeats != lost {
		t.Errorf("%d repeats, of %d events whose answer was lost", repeats, lost)
	}
	if w := c.Waits(); !slices.ContainsFunc(w, func(d time.Duration) bool { return d >= 2*time.Second+(1<<20) }) {
		t.Errorf("waits %v: the service asked for 2 s and a bit", w)
	}
}

// Keys of the events' own: a request has one key, a key that fails stops no other, and each keeps its order.
func TestKeys(t *testing.T) {
	f := newFake(t)
	var mu sync.Mutex
	failures := map[string]int{}
	f.on = func(method string, n int, list []message, w http.ResponseWriter) bool {
		if method != "Publish" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		key := list[0].key
		if failures[key] < 3 && (key == "k-3/x" || key == "k-7/x") {
			failures[key]++
			status(w, 10, "aborted")
			return true
		}
		return false
	}
	d := over(t, f, "", "{subject}/{type}")
	tp, _ := topicOver(t, d)
	const n = 3000
	if got, err := tp.PublishAll(t.Context(), stream(n, func(i int) string { return fmt.Sprintf("k-%d", i%10) }), nil); got != n || err != nil {
		t.Fatal(got, err)
	}
	byKey := map[string][]event.Message{}
	for i, m := range f.events(t) {
		if key := m.Subject + "/" + m.Type; f.got[i].key != key {
			t.Errorf("event %s has the key %q", m.ID, f.got[i].key)
		}
		byKey[m.Subject] = append(byKey[m.Subject], m)
	}
	for key, list := range byKey {
		if repeats := inOrder(t, list, n/10); repeats != 0 {
			t.Errorf("%s: %d events were sent again although they were taken", key, repeats)
		}
	}
	if len(byKey) != 10 || failures["k-3/x"] != 3 || failures["k-7/x"] != 3 {
		t.Errorf("%d keys, failures %v", len(byKey), failures)
	}
}

// What each answer means.
func TestAnswers(t *testing.T) {
	f := newFake(t)
	d := over(t, f, "", "")
	text := func(status int, kind, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	code := func(n int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			status(w, n, "100% said é", detail("ErrorInfo", appendBytes(nil, 1, []byte("WHY_NOT"))))
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		want   fault.Code
		retry  bool
		says   string
	}{
		"cancelled":      {code(1), fault.Unavailable, true, "CANCELLED (WHY_NOT): 100% said é"},
		"unknown":        {code(2), fault.Unavailable, true, "UNKNOWN"},
		"invalid":        {code(3), fault.InvalidArgument, false, "INVALID_ARGUMENT"},
		"deadline":       {code(4), fault.DeadlineExceeded, true, "DEADLINE_EXCEEDED"},
		"not found":      {code(5), fault.NotFound, false, "NOT_FOUND"},
		"denied":         {code(7), fault.PermissionDenied, false, "PERMISSION_DENIED"},
		"throttled":      {code(8), fault.ResourceExhausted, true, "RESOURCE_EXHAUSTED"},
		"precondition":   {code(9), fault.FailedPrecondition, false, "FAILED_PRECONDITION"},
		"internal":       {code(13), fault.Unavailable, true, "INTERNAL"},
		"unavailable":    {code(14), fault.Unavailable, true, "UNAVAILABLE"},
		"a code to come": {code(99), fault.Internal, false, "status 99"},
		"a proxy's 503":  {text(503, "text/html", "busy"), fault.Unavailable, true, "503"},
		"a proxy's 407":  {text(407, "text/html", ""), fault.InvalidArgument, false, "407"},
		"another server": {text(200, "text/html", "<html>"), fault.Internal, false, "text/html"},
		"another's 404":  {text(404, "text/html", ""), fault.FailedPrecondition, false, "404"},
		"a redirect":     {func(w http.ResponseWriter) { w.Header().Set("Location", f.URL+"/elsewhere"); w.WriteHeader(302) }, fault.FailedPrecondition, false, "302"},
		"no status":      {func(w http.ResponseWriter) { w.Write([]byte{0, 0, 0, 0, 0}) }, fault.Unavailable, true, "without a status"},
		"half a message": {func(w http.ResponseWriter) {
			w.Write([]byte{0, 0, 0, 0, 9, 1})
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		}, fault.Unavailable, true, "no whole message"},
		"a broken message": {func(w http.ResponseWriter) { reply(w, []byte{1<<3 | 2, 200}) }, fault.Internal, false, "protocol buffers"},
		"too few ids":      {func(w http.ResponseWriter) { reply(w, published(1)) }, fault.Internal, false, "1 ids, of 2"},
	} {
		f.on = func(string, int, []message, http.ResponseWriter) bool { return false }
		f.on = func(_ string, _ int, _ []message, w http.ResponseWriter) bool { c.answer(w); return true }
		err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("1")}, {ID: "2", Type: "x", Source: "s", Data: []byte("1")}})
		class := d.Classify(err)
		if err == nil || class.Code != c.want || class.Retryable() != c.retry || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q (try again: %v): %v", name, class.Code, class.Retryable(), err)
		}
		if c.retry != class.MaybeApplied && class.Code != fault.ResourceExhausted && class.Code != fault.Internal {
			t.Errorf("%s: may have been taken: %v", name, class.MaybeApplied)
		}
	}
}

// The reason that Google's services give says what to do.
func TestReasons(t *testing.T) {
	f := newFake(t)
	d := over(t, f, "", "")
	for reason, says := range map[string]string{"SERVICE_DISABLED": "gcloud services enable pubsub.googleapis.com --project=example", "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "scope",
		"BILLING_DISABLED": "billing", "OTHER": "roles/pubsub.publisher"} {
		f.on = func(_ string, _ int, _ []message, w http.ResponseWriter) bool {
			status(w, 7, "no", detail("ErrorInfo", appendBytes(appendBytes(nil, 1, []byte(reason)), 2, []byte("googleapis.com"))))
			return true
		}
		err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("1")}})
		if c := d.Classify(err); c.Code != fault.PermissionDenied || !strings.Contains(c.Hint, says) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, hint %q", reason, err, c.Hint)
		}
	}
}

// Who may publish and not look is told by the first event that the topic does not exist.
func TestPublisherOnly(t *testing.T) {
	f := newFake(t)
	f.on = func(method string, _ int, _ []message, w http.ResponseWriter) bool {
		if method == "GetTopic" {
			status(w, 7, "User not authorized to perform this action.")
		}
		return method == "GetTopic"
	}
	tp, _ := topicOver(t, over(t, f, "", ""))
	if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); err != nil || len(f.events(t)) != 1 {
		t.Fatal(err)
	}
	clear(f.topics)
	_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
	if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.ClassOf(err).Hint, `"training"`) {
		t.Errorf("%v, hint %q", err, fault.ClassOf(err).Hint)
	}
}

// renewing is a source whose token changes when a new one is asked for.
type renewing struct{ n int }

func (r *renewing) Resolve(_ context.Context, w credential.Want) (credential.Value, error) {
	if w.Audience != gcpauth.ScopePubsub {
		return credential.Value{}, fmt.Errorf("asked for the scope %q", w.Audience)
	}
	if w.Refresh {
		r.n++
	}
	return credential.Value{Fields: map[string]secret.String{gcpauth.FieldToken: secret.New(fmt.Sprintf("%s-%d", token, r.n))}}, nil
}
func (r *renewing) Explain(context.Context) []credential.Step { return nil }

// A token that the service refuses is renewed once; no message shows it.
func TestToken(t *testing.T) {
	f := newFake(t)
	env, log := newEnv(t, token)
	src := &renewing{}
	env.Credential = src
	f.token = token + "-1"
	d := openTopic(t, env, Options{Project: "example", Topic: "training", Endpoint: f.URL})
	if err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("1")}}); err != nil || src.n != 1 {
		t.Fatalf("after %d renewals: %v", src.n, err)
	}
	f.token = "another"
	f.on = func(_ string, n int, _ []message, w http.ResponseWriter) bool {
		status(w, 16, "I was told "+f.head[len(f.head)-1].Get("Authorization"))
		return true
	}
	env.Redactor.Add(token)
	tp := event.New("orders", "pubsub", d, event.Options{Redactor: env.Redactor})
	_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "I was told Bearer "+secret.Mask) {
		t.Errorf("the echo is missing: %v", err)
	}
	var own *fault.Error
	if !errors.As(err, &own) {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %q %s %s", err, err, err, own.Class.Hint, log); strings.Contains(text, token) {
		t.Errorf("a secret is shown: %s", text)
	}
}

// The environment's emulator is used as Google's tools do, and is given no token.
func TestEmulator(t *testing.T) {
	f := newFake(t)
	env, log := newEnv(t, token)
	env.Getenv = func(name string) string {
		return map[string]string{"PUBSUB_EMULATOR_HOST": strings.TrimPrefix(f.URL, "http://")}[name]
	}
	f.on = func(method string, _ int, list []message, w http.ResponseWriter) bool {
		if got := f.head[len(f.head)-1].Get("Authorization"); got != "" {
			t.Errorf("the emulator was given %q", got)
		}
		f.accept(list)
		reply(w, published(len(list)))
		return true
	}
	d := openTopic(t, env, Options{Project: "example", Topic: "training"})
	if err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Time: begin, Data: []byte("1")}}); err != nil || len(f.events(t)) != 1 {
		t.Error(err)
	}
	if !strings.Contains(log.String(), strings.TrimPrefix(f.URL, "http://")) {
		t.Errorf("nothing is said of it: %s", log)
	}
	if d := openTopic(t, env, Options{Project: "example", Topic: "training", Endpoint: "https://pubsub.example.com/"}); d.endpoint != "https://pubsub.example.com" || d.anonymous {
		t.Errorf("an endpoint of the declaration does not win: %s", d.endpoint)
	}
	env.Getenv = func(string) string { return "a/b?c" }
	if _, err := Provider().OpenTopic(t.Context(), env, &Options{Project: "example", Topic: "training"}); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
}

// Over TLS, as with the service itself: HTTP/2 is agreed upon, with a certificate that ca_file names.
func TestTLS(t *testing.T) {
	f := newFake(t)
	s := httptest.NewUnstartedServer(f)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	env, _ := newEnv(t, token)
	o := Options{Project: "example", Topic: "training", Endpoint: s.URL}
	m := []event.Message{{ID: "1", Type: "x", Source: "s", Time: begin, Data: []byte("1")}}
	d := openTopic(t, env, o)
	if err := d.Publish(t.Context(), m); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(fault.ClassOf(err).Hint, "ca_file") {
		t.Errorf("an unknown authority: %v", err)
	}
	var err error
	if env.HTTP, err = httpclient.New(httpclient.Options{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})}); err != nil {
		t.Fatal(err)
	}
	d = openTopic(t, env, o)
	if err := errors.Join(d.Check(t.Context()), d.Publish(t.Context(), m)); err != nil || len(f.events(t)) != 1 {
		t.Error(err)
	}
}
