package pubsub

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
	"github.com/dsrun/dsrun/engine/secret"
)

// fake is Pub/Sub's protocol in process, for what pstest cannot show: it keeps what it is sent, holds the service's
// limits, and misbehaves as told. What it takes for the protocol is checked by the suite over pstest, which speaks
// through Google's own code.
type fake struct {
	*httptest.Server
	t      testing.TB
	topics map[string]bool
	token  string
	// on may answer request n (counted from 0 by method) in place of the fake.
	on func(method string, n int, list []message, w http.ResponseWriter) (answered bool)

	mu    sync.Mutex
	count map[string]int
	got   []message
	head  []http.Header
}

const token = "ya29.fake-token-1234"

func newFake(t testing.TB) *fake {
	f := &fake{t: t, topics: map[string]bool{"projects/example/topics/training": true}, token: token, count: map[string]int{}}
	f.Server = httptest.NewUnstartedServer(f)
	f.Server.Config.Protocols = new(http.Protocols)
	f.Server.Config.Protocols.SetUnencryptedHTTP2(true)
	f.Server.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller went away
	}
	method := strings.TrimPrefix(r.URL.Path, "/google.pubsub.v1.Publisher/")
	w.Header().Set("Content-Type", "application/grpc")
	if r.ProtoMajor != 2 || r.Method != "POST" || r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" || !strings.HasSuffix(r.Header.Get("Grpc-Timeout"), "m") ||
		len(body) < 5 || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 {
		f.t.Errorf("%s %s %s is no call of gRPC: %v", r.Proto, r.Method, r.URL, r.Header)
		status(w, 13, "")
		return
	}
	var topic string
	var list []message
	if err := fields(body[5:], func(number int, v []byte, _ uint64) {
		switch number {
		case 1:
			topic = string(v)
		case 2:
			list = append(list, parse(f.t, v))
		}
	}); err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	n := f.count[method]
	f.count[method]++
	f.head = append(f.head, r.Header)
	f.mu.Unlock()
	if got := r.Header.Get("X-Goog-Request-Params"); got != "topic="+url.QueryEscape(topic) {
		f.t.Errorf("%s is routed by %q", method, got)
	}
	if f.on != nil && f.on(method, n, list, w) {
		return
	}
	switch bad := limits(len(body)-5, list); {
	case r.Header.Get("Authorization") != "Bearer "+f.token:
		status(w, 16, "Request had invalid authentication credentials.")
	case !f.topics[topic]:
		status(w, 5, "Resource not found (resource=training).")
	case method == "GetTopic":
		reply(w, appendBytes(nil, 1, []byte(topic)))
	case method != "Publish":
		status(w, 12, "")
	case bad != "":
		f.t.Errorf("sent against the limits: %s", bad)
		status(w, 3, bad)
	default:
		f.accept(list)
		reply(w, published(len(list)))
	}
}

// limits says what is wrong with a request.
func limits(size int, list []message) string {
	if len(list) == 0 || len(list) > 1000 || size > 10_000_000 {
		return fmt.Sprintf("%d messages, %d bytes", len(list), size)
	}
	for _, m := range list {
		if m.key != list[0].key || len(m.key) > 1024 || len(m.data) == 0 || len(m.attributes) > 100 {
			return fmt.Sprintf("key %q, %d bytes, %d attributes", m.key, len(m.data), len(m.attributes))
		}
		for k, v := range m.attributes {
			if k == "" || len(k) > 256 || len(v) > 1024 {
				return fmt.Sprintf("attribute %q of %d bytes", k, len(v))
			}
		}
	}
	return ""
}

// parse reads a PubsubMessage.
func parse(t testing.TB, b []byte) message {
	m := message{attributes: map[string]string{}}
	if err := fields(b, func(number int, v []byte, _ uint64) {
		switch number {
		case 1:
			m.data = v
		case 2:
			var pair [3]string
			if err := fields(v, func(number int, v []byte, _ uint64) { pair[number] = string(v) }); err != nil {
				t.Error(err)
			}
			m.attributes[pair[1]] = pair[2]
		case 5:
			m.key = string(v)
		default:
			t.Errorf("field %d of a message", number)
		}
	}); err != nil {
		t.Error(err)
	}
	return m
}

func published(n int) (b []byte) {
	for i := range n {
		b = appendBytes(b, 1, fmt.Appendf(nil, "%d", 8000+i))
	}
	return b
}

// reply answers a call with a message and the status OK.
func reply(w http.ResponseWriter, b []byte) {
	w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...))
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

// status answers a call with a status alone, as gRPC does before there is a message.
func status(w http.ResponseWriter, code int, text string, details ...[]byte) {
	w.Header().Set("Grpc-Status", fmt.Sprint(code))
	w.Header().Set("Grpc-Message", strings.ReplaceAll(url.PathEscape(text), "%20", " "))
	if len(details) > 0 {
		b := appendBytes([]byte{1 << 3, byte(code)}, 2, []byte(text))
		for _, d := range details {
			b = appendBytes(b, 3, d)
		}
		w.Header().Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(b))
	}
}

// detail is an Any.
func detail(kind string, value []byte) []byte {
	return appendBytes(appendBytes(nil, 1, []byte("type.googleapis.com/google.rpc."+kind)), 2, value)
}

func (f *fake) accept(list []message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, list...)
}

func (f *fake) calls(method string) int { f.mu.Lock(); defer f.mu.Unlock(); return f.count[method] }

// events are the CloudEvents that were accepted.
func (f *fake) events(t testing.TB) []event.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]event.Message, len(f.got))
	for i, m := range f.got {
		out[i] = decode(t, m.data, m.attributes)
	}
	return out
}

// decode reads a message in structured mode and compares the attributes beside it.
func decode(t testing.TB, data []byte, attributes map[string]string) event.Message {
	e, err := event.Decode(data)
	if err != nil {
		t.Errorf("a message is no CloudEvent: %v", err)
	}
	want := map[string]string{"ce-specversion": "1.0", "ce-id": e.ID, "ce-type": e.Type, "ce-source": e.Source, "ce-subject": e.Subject, "ce-time": e.Time.Format(time.RFC3339Nano)}
	for k, v := range e.Attributes {
		want["ce-"+k] = v
	}
	for k, v := range want {
		if got := attributes[k]; got != v && len(v) <= 1024 {
			t.Errorf("the attribute %s is %.80q beside an event with %.80q", k, got, v)
		}
	}
	if attributes["Content-Type"] != "application/cloudevents+json; charset=UTF-8" {
		t.Errorf("content type %q", attributes["Content-Type"])
	}
	return e
}

// logged collects what a driver logs.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *logged) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// newEnv is what the engine gives to a topic with a token for a credential.
func newEnv(t testing.TB, token string) (provider.Env, *logged) {
	t.Helper()
	client, err := httpclient.New(httpclient.Options{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	env := provider.Env{Name: "orders", HTTP: client, Redactor: secret.NewRedactor(), Log: slog.New(slog.NewTextHandler(log, nil)), Getenv: func(string) string { return "" }}
	env.Credential = login(t, env, gcpauth.Options{Method: "access_token", AccessToken: secret.New(token)})
	return env, log
}

func login(t testing.TB, env provider.Env, o gcpauth.Options) credential.Source {
	t.Helper()
	c, err := gcpauth.Provider().OpenCredential(t.Context(), env, &o)
	if err != nil {
		t.Fatal(err)
	}
	return c
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
func over(t testing.TB, f *fake, format, key string) *Topic {
	t.Helper()
	env, _ := newEnv(t, token)
	env.Format = format
	return openTopic(t, env, Options{Project: "example", Topic: "training", OrderingKey: key, Endpoint: f.URL})
}

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func topicOver(t testing.TB, d event.Driver) (*event.Topic, *clock.Fake) {
	c := clock.NewFake(begin)
	tp := event.New("orders", "pubsub", d, event.Options{RunID: "run", Clock: c})
	t.Cleanup(func() { tp.Close() })
	return tp, c
}
