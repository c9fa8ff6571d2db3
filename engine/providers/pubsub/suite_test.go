package pubsub

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/internal/testbed"
)

func TestDeclaration(t *testing.T) {
	providertest.Check(t, Provider(), providertest.NotSecret("ordering_key"))
}

// TestSuiteOverFake holds the suite against the protocol as it is documented, without an ordering key and with one.
func TestSuiteOverFake(t *testing.T) {
	for _, key := range []string{"", "one"} {
		t.Run("key "+key, func(t *testing.T) {
			var fakes sync.Map
			eventtest.Run(t, eventtest.Harness{
				Open: func(t testing.TB) event.Driver {
					f := newFake(t)
					d := over(t, f, "", key)
					fakes.Store(d, f)
					return d
				},
				Received: func(t testing.TB, d event.Driver) []event.Message {
					f, _ := fakes.Load(d)
					return f.(*fake).events(t)
				},
				Missing: func(t testing.TB) event.Driver {
					f := newFake(t)
					clear(f.topics)
					return over(t, f, "", key)
				},
				Secrets: []string{token},
				Idle:    func() { fakes.Range(func(_, f any) bool { f.(*fake).Server.Close(); return true }) },
			})
		})
	}
}

// TestSuite holds the suite against Google's own server for tests.
func TestSuite(t *testing.T) {
	s := testbed.PubSubServer(t, token)
	var n atomic.Int32
	env, _ := newEnv(t, token)
	for _, key := range []string{"", "one"} {
		t.Run("key "+key, func(t *testing.T) {
			eventtest.Run(t, eventtest.Harness{
				Open: func(t testing.TB) event.Driver {
					name := fmt.Sprintf("topic-%d", n.Add(1))
					s.Topic(t, "projects/example/topics/"+name)
					return openTopic(t, env, Options{Project: "example", Topic: name, OrderingKey: key, Endpoint: s.URL})
				},
				Received: func(t testing.TB, d event.Driver) []event.Message {
					var out []event.Message
					for _, m := range s.Messages(t, d.(*Topic).path) {
						if m.OrderingKey != key {
							t.Errorf("ordering key %q", m.OrderingKey)
						}
						out = append(out, decode(t, m.Data, m.Attributes))
					}
					return out
				},
				Missing: func(t testing.TB) event.Driver {
					return openTopic(t, env, Options{Project: "example", Topic: "no-such-topic", OrderingKey: key, Endpoint: s.URL})
				},
				Secrets: []string{token},
				Idle:    http.DefaultClient.CloseIdleConnections,
			})
		})
	}
}
