package testbed

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"
)

// PubSub is a running server of Pub/Sub: Google's pstest as a program, with the service's limits (see pubsub/main.go).
type PubSub struct {
	*Instance
	Token string // what publishers log in with
	admin string
}

// PubSubMessage is a message that was published.
type PubSubMessage struct {
	Topic, OrderingKey string
	Data               []byte
	Attributes         map[string]string
}

// PubSubServer starts the server. With a token it asks every publisher for it; "" takes everybody, as an emulator does.
func PubSubServer(t testing.TB, token string) *PubSub {
	t.Helper()
	s := &PubSub{Token: token}
	s.Instance = Server{
		Name:    "pubsub",
		Program: "pubsub-server",
		Args:    func(i *Instance) []string { return []string{"-listen", i.Addr, "-token", token} },
	}.Start(t)
	b, err := os.ReadFile(s.Path("admin.addr"))
	if err != nil {
		t.Fatal(err)
	}
	s.admin = "http://" + string(b)
	return s
}

// Topic makes a topic ("projects/P/topics/T").
func (s *PubSub) Topic(t testing.TB, name string) {
	t.Helper()
	s.ask(t, http.MethodPost, "/topics?name="+url.QueryEscape(name), nil)
}

// Messages returns what was published to a topic, in the order of acceptance.
func (s *PubSub) Messages(t testing.TB, name string) (list []PubSubMessage) {
	t.Helper()
	s.ask(t, http.MethodGet, "/messages?topic="+url.QueryEscape(name), &list)
	return list
}

func (s *PubSub) ask(t testing.TB, method, path string, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // also in cleanups
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}
