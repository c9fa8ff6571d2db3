package eventbridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/internal/testbed"
)

func TestDeclaration(t *testing.T) { providertest.Check(t, Provider()) }

// TestSuiteOverFake holds the suite against the protocol as it is documented.
func TestSuiteOverFake(t *testing.T) {
	var fakes sync.Map
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB) event.Driver {
			f := newFake(t)
			d, _ := over(t, f, "")
			fakes.Store(d, f)
			return d
		},
		Received: func(t testing.TB, d event.Driver) []event.Message {
			f, _ := fakes.Load(d)
			return f.(*fake).events(t)
		},
		Missing: func(t testing.TB) event.Driver {
			f := newFake(t)
			delete(f.buses, "training")
			d, _ := over(t, f, "")
			return d
		},
		Secrets: []string{"fake-secret-1234", "fake-token-5678"},
		Idle:    func() { fakes.Range(func(_, f any) bool { f.(*fake).Server.Close(); return true }) },
	})
}

// TestSuiteOverMoto holds the suite against a server that somebody else wrote: events go through a rule to a queue.
func TestSuiteOverMoto(t *testing.T) {
	m := testbed.Moto(t)
	var n atomic.Int32
	var queues sync.Map // of *Topic
	env, _ := newEnv(t, m.AccessKeyID, m.SecretAccessKey, "")
	skips := map[string]string{
		"content":         "moto reads numbers as floats and writes Infinity; the fake shows it",
		"largest message": "moto's queues take less than its bus; the fake shows it",
		"full bytes":      "moto's queues take less than its bus; the fake shows it",
	}
	for _, name := range []string{"stream", "stream of large events", "too large", "refused for good", "one spoils the batch", "stream that fails", "bounded ahead",
		"slow stream", "panic of the stream", "concurrent publishers", "storm"} {
		skips[name] = "moto takes minutes for as many events; the fake shows it"
	}
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB) event.Driver {
			name := fmt.Sprintf("bus-%d", n.Add(1))
			q := &queue{m: m, name: name}
			q.set(t)
			env, _ := newEnv(t, m.AccessKeyID, m.SecretAccessKey, "")
			d := openTopic(t, env, Options{Bus: name, Region: m.Region, Endpoint: m.Endpoint})
			queues.Store(d, q)
			return d
		},
		Received: func(t testing.TB, d event.Driver) []event.Message {
			q, _ := queues.Load(d)
			return q.(*queue).drain(t)
		},
		Missing: func(t testing.TB) event.Driver {
			return openTopic(t, env, Options{Bus: "no-such-bus", Region: m.Region, Endpoint: m.Endpoint})
		},
		Secrets: []string{m.SecretAccessKey},
		Idle:    http.DefaultClient.CloseIdleConnections,
		Skip:    skips,
	})
}

// queue is an SQS queue of moto that a rule of a bus sends everything to.
type queue struct {
	m    *testbed.AWS
	name string
	url  string
	got  []event.Message
}

// set makes the bus, the queue and the rule.
func (q *queue) set(t testing.TB) {
	t.Helper()
	events := func(action, body string) { call(t, q.m, "events", "AWSEvents."+action, body, nil) }
	events("CreateEventBus", fmt.Sprintf(`{"Name":%q}`, q.name))
	var out struct{ QueueURL string }
	call(t, q.m, "sqs", "AmazonSQS.CreateQueue", fmt.Sprintf(`{"QueueName":%q,"Attributes":{"MaximumMessageSize":"1048576"}}`, q.name), &out)
	q.url = out.QueueURL
	events("PutRule", fmt.Sprintf(`{"Name":"all","EventBusName":%q,"EventPattern":"{\"source\":[{\"prefix\":\"\"}]}"}`, q.name))
	events("PutTargets", fmt.Sprintf(`{"Rule":"all","EventBusName":%q,"Targets":[{"Id":"q","Arn":"arn:aws:sqs:us-east-1:123456789012:%s"}]}`, q.name, q.name))
}

// drain returns all that was delivered so far.
func (q *queue) drain(t testing.TB) []event.Message {
	t.Helper()
	for {
		var out struct {
			Messages []struct{ Body, ReceiptHandle string }
		}
		call(t, q.m, "sqs", "AmazonSQS.ReceiveMessage", fmt.Sprintf(`{"QueueUrl":%q,"MaxNumberOfMessages":10}`, q.url), &out)
		if len(out.Messages) == 0 {
			return q.got
		}
		for _, m := range out.Messages {
			var e struct {
				Source     string
				DetailType string `json:"detail-type"`
				Detail     json.RawMessage
			}
			if err := json.Unmarshal([]byte(m.Body), &e); err != nil {
				t.Fatalf("delivered %.200s: %v", m.Body, err)
			}
			got, err := event.Decode(e.Detail)
			if err != nil || got.Type != e.DetailType || got.Source != e.Source {
				t.Errorf("delivered %q %q with %.200s: %v", e.DetailType, e.Source, e.Detail, err)
			}
			q.got = append(q.got, got)
			call(t, q.m, "sqs", "AmazonSQS.DeleteMessage", fmt.Sprintf(`{"QueueUrl":%q,"ReceiptHandle":%q}`, q.url, m.ReceiptHandle), nil)
		}
	}
}

// call calls an action of moto that checks no signature.
func call(t testing.TB, m *testbed.AWS, service, target, body string, out any) {
	t.Helper()
	req, err := http.NewRequest("POST", m.Endpoint, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=free/20261121/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %s %s", target, resp.Status, b)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			t.Fatal(err)
		}
	}
}
