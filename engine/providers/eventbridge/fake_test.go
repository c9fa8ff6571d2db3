package eventbridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/engine/secret"
)

// fake is EventBridge's protocol in process, for what moto cannot show: it keeps what it is sent to the byte, refuses
// requests without a signature of the right form, and misbehaves as told.
type fake struct {
	*httptest.Server
	t     testing.TB
	buses map[string]bool
	// on may answer request n (counted from 0 by action) in place of the fake.
	on func(action string, n int, entries []entry, w http.ResponseWriter) (answered bool)

	mu      sync.Mutex
	count   map[string]int
	entries []entry
	auths   []string
	tokens  []string
}

// entry is an entry of PutEvents on the wire.
type entry struct {
	Detail, DetailType, Source, EventBusName string
	Resources                                []string
	Time                                     float64
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, buses: map[string]bool{"training": true}, count: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

var signature = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/ ]+/[0-9]{8}/([a-z0-9-]+)/events/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSEvents.")
	var in struct {
		Entries []entry
		Name    string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		f.t.Errorf("%s sends no JSON: %v", action, err)
	}
	f.mu.Lock()
	n := f.count[action]
	f.count[action]++
	f.auths = append(f.auths, r.Header.Get("Authorization"))
	f.tokens = append(f.tokens, r.Header.Get("X-Amz-Security-Token"))
	f.mu.Unlock()
	w.Header().Set("x-amzn-RequestId", fmt.Sprintf("req-%s-%d", action, n))
	m := signature.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || !strings.Contains(m[2], "host;") || !strings.Contains(m[2], "x-amz-date") || r.Header.Get("X-Amz-Date") == "" {
		f.t.Errorf("%s is signed as %q", action, r.Header.Get("Authorization"))
		refuse(w, 403, "MissingAuthenticationTokenException", "")
		return
	}
	if r.Header.Get("X-Amz-Security-Token") != "" && !strings.Contains(m[2], "x-amz-security-token") {
		f.t.Errorf("%s has a token that is not signed", action)
	}
	if f.on != nil && f.on(action, n, in.Entries, w) {
		return
	}
	switch action {
	case "DescribeEventBus":
		if !f.buses[in.Name] {
			refuse(w, 400, "ResourceNotFoundException", "Event bus "+in.Name+" does not exist.")
			return
		}
		fmt.Fprintf(w, `{"Name":%q}`, in.Name)
	case "PutEvents":
		f.accept(in.Entries)
		answer(w, in.Entries, nil)
	default:
		f.t.Errorf("unknown action %q", action)
		refuse(w, 400, "UnknownOperationException", "")
	}
}

// accept keeps entries.
func (f *fake) accept(list []entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, list...)
}

func (f *fake) calls(action string) int { f.mu.Lock(); defer f.mu.Unlock(); return f.count[action] }

// events are the CloudEvents that were accepted.
func (f *fake) events(t testing.TB) []event.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []event.Message
	for _, e := range f.entries {
		m, err := event.Decode([]byte(e.Detail))
		if err != nil {
			t.Errorf("a detail is no CloudEvent: %v", err)
		}
		if m.Type != e.DetailType || m.Source != e.Source || e.EventBusName != "training" {
			t.Errorf("the entry %q %q %q does not go with its event", e.DetailType, e.Source, e.EventBusName)
		}
		out = append(out, m)
	}
	return out
}

// answer accepts all entries but those that fail with a code.
func answer(w io.Writer, list []entry, fail map[int]string) {
	var b bytes.Buffer
	for i := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		if code := fail[i]; code != "" {
			fmt.Fprintf(&b, `{"ErrorCode":%q,"ErrorMessage":"no"}`, code)
		} else {
			fmt.Fprintf(&b, `{"EventId":"11710aed-b79e-4468-a20b-%012d"}`, i)
		}
	}
	fmt.Fprintf(w, `{"FailedEntryCount":%d,"Entries":[%s]}`, len(fail), &b)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":%q,"message":%q}`, code, message)
}

// logged collects what a driver logs.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *logged) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// newEnv is what the engine gives to a topic with a static credential.
func newEnv(t testing.TB, id, sec, token string) (provider.Env, *logged) {
	t.Helper()
	client, err := httpclient.New(httpclient.Options{Name: "orders", StallTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	env := provider.Env{Name: "orders", HTTP: client, Redactor: secret.NewRedactor(), Log: slog.New(slog.NewTextHandler(log, nil))}
	env.Credential, err = awsauth.Provider().OpenCredential(t.Context(), env, &awsauth.Options{Method: "static", AccessKeyID: id, SecretAccessKey: secret.New(sec), SessionToken: secret.New(token)})
	if err != nil {
		t.Fatal(err)
	}
	return env, log
}

func openTopic(t testing.TB, env provider.Env, o Options) *Topic {
	t.Helper()
	d, err := Provider().OpenTopic(t.Context(), env, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d.(*Topic)
}

// over returns a driver over the fake.
func over(t testing.TB, f *fake, format string) (*Topic, *logged) {
	t.Helper()
	env, log := newEnv(t, "AKIAFAKE", "fake-secret-1234", "fake-token-5678")
	env.Format = format
	return openTopic(t, env, Options{Bus: "training", Region: "eu-west-1", Endpoint: f.URL}), log
}
