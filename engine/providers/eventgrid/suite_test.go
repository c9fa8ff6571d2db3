package eventgrid

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/internal/testbed/eventgrid"
)

var accessKey = base64.StdEncoding.EncodeToString([]byte("access-key-canary-/+-0123456789"))

// newServer starts a stand-in.
func newServer(t testing.TB, s *eventgrid.Server) (*eventgrid.Server, *httptest.Server) {
	t.Helper()
	s.Keys = []string{accessKey}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv
}

// newEnv is what the engine gives to a topic with a credential.
func newEnv(t testing.TB, o azureauth.Options) provider.Env {
	t.Helper()
	client, err := httpclient.New(httpclient.Options{Name: "orders", StallTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	env := provider.Env{Name: "orders", HTTP: client, Redactor: secret.NewRedactor()}
	if env.Credential, err = azureauth.Provider().OpenCredential(t.Context(), env, &o); err != nil {
		t.Fatal(err)
	}
	return env
}

// over returns a driver that opens the topic with its access key.
func over(t testing.TB, endpoint, format string) *Topic {
	t.Helper()
	env := newEnv(t, azureauth.Options{Method: "access_key", AccessKey: secret.New(accessKey)})
	env.Format = format
	d, err := Provider().OpenTopic(t.Context(), env, &Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d.(*Topic)
}

func TestDeclaration(t *testing.T) { providertest.Check(t, Provider()) }

// stand is a stand-in and its server.
type stand struct {
	*eventgrid.Server
	http *httptest.Server
}

// received reads what a topic of CloudEvents holds.
func received(t testing.TB, s *eventgrid.Server) (out []event.Message) {
	for _, e := range s.Events() {
		m, err := event.Decode(e.Raw)
		if err != nil {
			t.Errorf("%.200s: %v", e.Raw, err)
		}
		out = append(out, m)
	}
	return out
}

// portable are checks of the layer above drivers that take long over a server that verifies each of 100,000 events.
var portable = map[string]string{"bounded ahead": "shown over a topic of CloudEvents", "refused for good": "shown over a topic of CloudEvents"}

// TestSuite holds the promises of topics against a custom topic and against a topic of a namespace.
func TestSuite(t *testing.T) {
	for name, path := range map[string]string{"topic": "/api/events", "namespace": "/topics/orders"} {
		t.Run(name, func(t *testing.T) {
			var stands sync.Map // of drivers
			open := func(t testing.TB, path string) *Topic {
				s := &eventgrid.Server{Schema: eventgrid.CloudEvents}
				if name == "namespace" {
					s.Topics = []string{"orders"}
				}
				s, srv := newServer(t, s)
				d := over(t, srv.URL+path, "")
				stands.Store(event.Driver(d), stand{s, srv})
				return d
			}
			eventtest.Run(t, eventtest.Harness{
				Open: func(t testing.TB) event.Driver { return open(t, path) },
				Received: func(t testing.TB, d event.Driver) []event.Message {
					s, _ := stands.Load(d)
					return received(t, s.(stand).Server)
				},
				Missing: func(t testing.TB) event.Driver {
					if name == "namespace" {
						return open(t, "/topics/none")
					}
					return over(t, "https://no-such-topic.westeurope-1.eventgrid.invalid/api/events", "")
				},
				Skip:    map[string]map[string]string{"namespace": portable}[name],
				Secrets: []string{accessKey},
				Idle:    func() { stands.Range(func(_, s any) bool { s.(stand).http.Close(); return true }) },
			})
		})
	}
}

// nativeMessage reads an event of Event Grid's schema.
func nativeMessage(t testing.TB, e eventgrid.Event) event.Message {
	at, err := time.Parse(time.RFC3339Nano, e.Text("eventTime"))
	if err != nil || e.Text("dataVersion") != "1.0" {
		t.Errorf("%s: %v", e.Raw, err)
	}
	return event.Message{ID: e.Text("id"), Type: e.Text("eventType"), Subject: e.Text("subject"), Time: at.UTC(), Data: e.Fields["data"]}
}

// nativeDriver gives the suite's messages the form that the native schema has a place for, and hands them out whole.
type nativeDriver struct {
	*Topic
	mu   sync.Mutex
	sent map[string]event.Message // by id
}

func (d *nativeDriver) strip(m event.Message) event.Message {
	m.Attributes = nil
	return m
}

func (d *nativeDriver) Publish(ctx context.Context, batch []event.Message) error {
	plain := make([]event.Message, len(batch))
	d.mu.Lock()
	for i, m := range batch {
		d.sent[m.ID] = event.Message{Source: m.Source, Subject: m.Subject, Attributes: m.Attributes, DataContentType: m.DataContentType}
		plain[i] = d.strip(m)
	}
	d.mu.Unlock()
	return d.Topic.Publish(ctx, plain)
}

func (d *nativeDriver) Limits() event.Limits {
	l := d.Topic.Limits()
	valid, size := l.Valid, l.Size
	l.Valid = func(m event.Message) error { return valid(d.strip(m)) }
	l.Size = func(m event.Message) int64 { return size(d.strip(m)) }
	return l
}

// TestNativeSuite holds the promises against a topic of Event Grid's own schema. What the schema has no place for, the
// harness fills in again.
func TestNativeSuite(t *testing.T) {
	var stands sync.Map
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB) event.Driver {
			s, srv := newServer(t, &eventgrid.Server{Schema: eventgrid.Native})
			d := &nativeDriver{Topic: over(t, srv.URL, schema.FormatNative), sent: map[string]event.Message{}}
			stands.Store(event.Driver(d), stand{s, srv})
			return d
		},
		Received: func(t testing.TB, d event.Driver) (out []event.Message) {
			s, _ := stands.Load(d)
			n := d.(*nativeDriver)
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, e := range s.(stand).Events() {
				m := nativeMessage(t, e)
				sent := n.sent[m.ID]
				if sent.Subject == "" && m.Subject != sent.Source {
					t.Errorf("an event without a subject arrived with %q", m.Subject)
				}
				if sent.Subject == "" {
					m.Subject = ""
				}
				m.Source, m.Attributes, m.DataContentType = sent.Source, sent.Attributes, sent.DataContentType
				out = append(out, m)
			}
			return out
		},
		Missing: func(t testing.TB) event.Driver {
			return over(t, "https://no-such-topic.westeurope-1.eventgrid.invalid", schema.FormatNative)
		},
		Skip:    portable,
		Secrets: []string{accessKey},
		Idle:    func() { stands.Range(func(_, s any) bool { s.(stand).http.Close(); return true }) },
	})
}

// TestNative: the event arrives in the shape that handlers of the trigger expect, and the client of the service reads it.
func TestNative(t *testing.T) {
	s, srv := newServer(t, &eventgrid.Server{Schema: eventgrid.Native})
	d := over(t, srv.URL+"/api/events", schema.FormatNative)
	at := time.Date(2026, 11, 29, 6, 0, 0, 5e8, time.UTC)
	m := event.Message{ID: "id-1", Type: "retrain_trigger", Source: "ml3_platform", Time: at, DataContentType: "application/json", Data: []byte(`{"model_id": "m1", "big": 9007199254740993}`)}
	if err := d.Publish(t.Context(), []event.Message{m}); err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"id-1","subject":"ml3_platform","eventType":"retrain_trigger","eventTime":"2026-11-29T06:00:00.5Z","dataVersion":"1.0","data":{"model_id": "m1", "big": 9007199254740993}}`
	if got := s.Events(); len(got) != 1 || string(got[0].Raw) != want {
		t.Errorf("%s", got[0].Raw)
	}
	q := s.Requests()[0]
	if q.URL.String() != "/api/events?api-version=2018-01-01" || q.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s %v", q.URL, q.Header)
	}

	s, srv = newServer(t, &eventgrid.Server{Schema: eventgrid.Native, Domain: true})
	env := newEnv(t, azureauth.Options{Method: "access_key", AccessKey: secret.New(accessKey)})
	env.Format = schema.FormatNative
	dom, err := Provider().OpenTopic(t.Context(), env, &Options{Endpoint: srv.URL, DomainTopic: "tenant-7"})
	if err != nil {
		t.Fatal(err)
	}
	defer dom.Close()
	m.Subject = `train/"ü".csv`
	if err := dom.Publish(t.Context(), []event.Message{m}); err != nil {
		t.Fatal(err)
	}
	if e := s.Events()[0]; e.Text("topic") != "tenant-7" || e.Text("subject") != m.Subject {
		t.Errorf("%s", e.Raw)
	}
	m.Attributes = map[string]string{"a": "b"}
	if err := d.Limits().Valid(m); err == nil {
		t.Error("attributes have no place and are taken")
	}
}

// sas makes a signature as the documentation's example in C# does.
func sas(resource string, end time.Time) string {
	unsigned := "r=" + url.QueryEscape(resource) + "&e=" + url.QueryEscape(end.UTC().Format("1/2/2006 3:04:05 PM"))
	sig, _ := azureauth.HMAC(accessKey, unsigned)
	return unsigned + "&s=" + url.QueryEscape(sig)
}

var _ http.Handler = (*eventgrid.Server)(nil)
