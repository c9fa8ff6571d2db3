package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/internal/testbed"
)

const (
	path = "/hooks/path-canary-81f2"
	key  = "signing-canary-key-0123456789"
)

var now = time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC)

// receiver takes what the binding and the signature allow and nothing else.
type receiver struct {
	*httptest.Server
	answer func(w http.ResponseWriter, n int) bool // true: it has answered
	mu     sync.Mutex
	calls  int
	got    []event.Message
	heads  []http.Header
	bodies [][]byte
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.answer != nil && r.answer(w, r.calls) {
		return
	}
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.%s.%s", q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	switch {
	case err != nil:
		return
	case q.Method != "POST" || q.URL.Path != path:
		http.Error(w, "no such hook", http.StatusNotFound)
	case !strings.HasPrefix(q.Header.Get("Content-Type"), "application/cloudevents+json"):
		http.Error(w, "not a CloudEvent", http.StatusUnsupportedMediaType)
	case !hmac.Equal([]byte(q.Header.Get("webhook-signature")), []byte(want)):
		http.Error(w, "wrong signature", http.StatusUnauthorized)
	default:
		m, err := event.Decode(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.got, r.heads, r.bodies = append(r.got, m), append(r.heads, q.Header), append(r.bodies, body)
		w.WriteHeader(http.StatusAccepted)
	}
}

func (r *receiver) events() []event.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]event.Message(nil), r.got...)
}

// over returns a driver that posts to url.
func over(t testing.TB, url, signing string) event.Driver {
	t.Helper()
	client, err := httpclient.New(httpclient.Options{Name: "hook"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := open(t.Context(), provider.Env{Name: "hook", HTTP: client, Clock: clock.NewFake(now), Redactor: secret.NewRedactor()},
		&Options{URL: secret.New(url), SigningKey: secret.New(signing)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDeclaration(t *testing.T) { providertest.Check(t, Provider()) }

func TestSuite(t *testing.T) {
	var receivers sync.Map
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB) event.Driver {
			r := newReceiver(t)
			d := over(t, r.URL+path, key)
			receivers.Store(d, r)
			return d
		},
		Received: func(_ testing.TB, d event.Driver) []event.Message {
			r, _ := receivers.Load(d)
			return r.(*receiver).events()
		},
		Missing: func(t testing.TB) event.Driver { return over(t, "https://no-such-host.invalid"+path, key) },
		Secrets: []string{path, key},
		Idle:    func() { receivers.Range(func(_, r any) bool { r.(*receiver).Server.Close(); return true }) },
	})
}

// What the suite's receiver checks is what other people's libraries check.
func TestIndependentReaders(t *testing.T) {
	python := testbed.Program(t, "judge-events")
	r := newReceiver(t)
	d := over(t, r.URL+path, "whsec_"+base64.StdEncoding.EncodeToString([]byte(key)))
	defer d.Close()
	m := event.Message{ID: "id-1", Type: "dataset.validated", Source: "/pipelines/nightly", Subject: "train/ä b.csv", Time: now,
		DataContentType: "application/json", Data: []byte(`{"rows": 3, "name": "ü"}`), Attributes: map[string]string{"runid": "r1"}}
	if err := d.Publish(t.Context(), []event.Message{m}); err != nil {
		t.Fatal(err)
	}
	in, _ := json.Marshal(map[string]any{"headers": r.heads[0], "body": string(r.bodies[0]), "key": base64.StdEncoding.EncodeToString([]byte(key)), "now": now.Unix()})
	cmd := exec.CommandContext(t.Context(), python, "-c", `
import json, sys, datetime
from standardwebhooks import webhooks
from cloudevents.http import from_http
q = json.load(sys.stdin)
headers = {k.lower(): v[0] for k, v in q["headers"].items()}
class Then(datetime.datetime):
    @classmethod
    def now(cls, tz=None): return datetime.datetime.fromtimestamp(q["now"] + 5, tz)
webhooks.datetime = Then  # the signature is of a fixed time
webhooks.Webhook(q["key"]).verify(q["body"], headers)
try:
    webhooks.Webhook(q["key"]).verify(q["body"] + " ", headers)
    sys.exit("an altered body was taken")
except webhooks.WebhookVerificationError:
    pass
e = from_http(headers, q["body"])
print(json.dumps([e["id"], e["type"], e["source"], e["subject"], e["runid"], e["time"], e.data], ensure_ascii=False))
`)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.CombinedOutput()
	want := `["id-1", "dataset.validated", "/pipelines/nightly", "train/ä b.csv", "r1", "2026-11-29T06:00:00Z", {"rows": 3, "name": "ü"}]`
	if err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		code   fault.Code
	}{{400, fault.InvalidArgument}, {401, fault.Unauthenticated}, {403, fault.PermissionDenied}, {404, fault.NotFound}, {410, fault.NotFound}, {413, fault.InvalidArgument},
		{429, fault.ResourceExhausted}, {500, fault.Unavailable}, {503, fault.Unavailable}, {307, fault.FailedPrecondition}, {302, fault.FailedPrecondition}, {304, fault.FailedPrecondition}} {
		r := newReceiver(t)
		elsewhere := newReceiver(t)
		r.answer = func(w http.ResponseWriter, _ int) bool {
			w.Header().Set("Location", elsewhere.URL+path)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(c.status)
			fmt.Fprint(w, "because\x1b[31m of\nthis")
			return true
		}
		d := over(t, r.URL+path, key)
		err := d.Publish(t.Context(), []event.Message{{ID: "a", Type: "t", Source: "s", Time: now}})
		class := d.Classify(err)
		if err == nil || class.Code != c.code || elsewhere.calls > 0 {
			t.Errorf("%d: %v, %+v, %d calls elsewhere", c.status, err, class, elsewhere.calls)
			continue
		}
		if c.status == 429 && class.RetryAfter != 7*time.Second {
			t.Errorf("%+v", class)
		}
		if c.status >= 400 && !strings.HasSuffix(err.Error(), ": because[31m of this") {
			t.Errorf("%q", err)
		}
		if strings.Contains(err.Error(), path) {
			t.Errorf("the address shows: %v", err)
		}
		d.Close()
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct{ url, key, want string }{
		{"ci.example.com/hook", "", "not the address of a web server"},
		{"ftp://ci.example.com/hook", "", "not the address of a web server"},
		{"http://ci.example.com/hook-canary", "", "not encrypted"},
		{"https://ci.example.com/hook", "short", "has 5 bytes"},
		{"https://ci.example.com/hook", "whsec_%%%", "not base64"},
	} {
		_, err := open(context.Background(), provider.Env{HTTP: http.DefaultClient, Redactor: secret.NewRedactor()}, &Options{URL: secret.New(c.url), SigningKey: secret.New(c.key)})
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// An id that may not stand in a header is signed by its hash.
func TestOddIDs(t *testing.T) {
	r := newReceiver(t)
	d := over(t, r.URL+path, key)
	defer d.Close()
	for _, id := range []string{"a.b", "ä", "a b", "plain"} {
		if err := d.Publish(t.Context(), []event.Message{{ID: id, Type: "t", Source: "s", Time: now}}); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	if len(r.got) != 4 || r.heads[3].Get("Webhook-Id") != "plain" || strings.ContainsAny(r.heads[0].Get("Webhook-Id"), ".") {
		t.Errorf("%+v", r.heads)
	}
}
