package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/internal/testbed"
)

func TestDeclaration(t *testing.T) { providertest.Check(t, Provider()) }

// newEnv is what the engine gives to a topic with a static credential.
func newEnv(t testing.TB, id, sec, token string) provider.Env {
	t.Helper()
	client, err := httpclient.New(httpclient.Options{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	env := provider.Env{Name: "orders", HTTP: client, Redactor: secret.NewRedactor()}
	env.Credential, err = awsauth.Provider().OpenCredential(t.Context(), env, &awsauth.Options{Method: "static", AccessKeyID: id, SecretAccessKey: secret.New(sec), SessionToken: secret.New(token)})
	if err != nil {
		t.Fatal(err)
	}
	return env
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

// TestSuite holds the suite against moto, with a standard queue and a FIFO queue.
func TestSuite(t *testing.T) {
	m := testbed.Moto(t)
	var n atomic.Int32
	skips := map[string]string{"largest message": "moto's HTTP server takes minutes for as many bytes; the fake shows it"}
	for _, name := range []string{"stream", "stream of large events", "too large", "refused for good", "one spoils the batch", "stream that fails", "bounded ahead", "slow stream",
		"panic of the stream", "concurrent publishers", "order under retries", "gives up", "full bytes", "lost answer", "storm", "order under lost answers", "order after an outage"} {
		skips[name] = "moto takes minutes for as many events; the fake shows it"
	}
	for _, suffix := range []string{"", ".fifo"} {
		t.Run("queue"+suffix, func(t *testing.T) {
			var got sync.Map // what was drained of a queue
			eventtest.Run(t, eventtest.Harness{
				Open: func(t testing.TB) event.Driver {
					env := newEnv(t, m.AccessKeyID, m.SecretAccessKey, "")
					queue := makeQueue(t, openTopic(t, env, Options{QueueURL: m.Endpoint + "/1/x", Region: m.Region}), fmt.Sprintf("q%d%s", n.Add(1), suffix))
					return openTopic(t, env, Options{QueueURL: queue, Region: m.Region, Endpoint: m.Endpoint})
				},
				Received: func(t testing.TB, d event.Driver) []event.Message {
					list, _ := got.Load(d)
					all, _ := list.([]event.Message)
					all = append(all, drain(t, m, d.(*Topic).queue)...)
					got.Store(d, all)
					return all
				},
				Missing: func(t testing.TB) event.Driver {
					return openTopic(t, newEnv(t, m.AccessKeyID, m.SecretAccessKey, ""), Options{QueueURL: m.Endpoint + "/123456789012/no-such-queue" + suffix, Region: m.Region})
				},
				Secrets: []string{m.SecretAccessKey},
				Idle:    http.DefaultClient.CloseIdleConnections,
				Skip:    skips,
			})
		})
	}
}

func makeQueue(t testing.TB, at *Topic, name string) string {
	t.Helper()
	in := map[string]any{"QueueName": name}
	if len(name) > 5 && name[len(name)-5:] == ".fifo" {
		in["Attributes"] = map[string]string{"FifoQueue": "true"}
	}
	var out struct{ QueueURL string }
	if err := at.call(t.Context(), "CreateQueue", in, &out); err != nil {
		t.Fatal(err)
	}
	return out.QueueURL
}

// drain takes what a queue holds.
func drain(t testing.TB, m *testbed.AWS, queue string) (all []event.Message) {
	t.Helper()
	q := openTopic(t, newEnv(t, m.AccessKeyID, m.SecretAccessKey, ""), Options{QueueURL: queue, Region: m.Region, Endpoint: m.Endpoint})
	for {
		var out struct {
			Messages []struct {
				Body, ReceiptHandle string
				MessageAttributes   map[string]attribute
			}
		}
		if err := q.call(t.Context(), "ReceiveMessage", map[string]any{"QueueUrl": queue, "MaxNumberOfMessages": 10, "MessageAttributeNames": []string{"All"}}, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		type handle struct{ Id, ReceiptHandle string }
		var done []handle
		for i, r := range out.Messages {
			e, err := event.Decode([]byte(r.Body))
			if err != nil {
				t.Fatalf("delivered %.200s: %v", r.Body, err)
			}
			for name, want := range map[string]string{"ce-id": e.ID, "ce-type": e.Type, "ce-source": e.Source, "ce-subject": e.Subject, "Content-Type": "application/cloudevents+json; charset=UTF-8"} {
				if got := r.MessageAttributes[name].StringValue; got != want {
					t.Errorf("attribute %s is %q beside %q", name, got, want)
				}
			}
			all = append(all, e)
			done = append(done, handle{fmt.Sprint(i), r.ReceiptHandle})
		}
		var deleted struct{ Failed []json.RawMessage }
		if err := q.call(t.Context(), "DeleteMessageBatch", map[string]any{"QueueUrl": queue, "Entries": done}, &deleted); err != nil || len(deleted.Failed) > 0 {
			t.Fatal(err, deleted)
		}
	}
}

// TestJudge: boto3 receives what was sent, and reads the same bytes and attributes.
func TestJudge(t *testing.T) {
	m := testbed.Moto(t)
	python := testbed.Program(t, "moto")
	env := newEnv(t, m.AccessKeyID, m.SecretAccessKey, "")
	queue := makeQueue(t, openTopic(t, env, Options{QueueURL: m.Endpoint + "/1/x", Region: m.Region}), "judged.fifo")
	d := openTopic(t, env, Options{QueueURL: queue, GroupID: "{subject}", Region: m.Region, Endpoint: m.Endpoint})
	var sent []event.Message
	for i := range 15 {
		sent = append(sent, event.Message{ID: fmt.Sprintf("id-%02d", i), Type: "dataset.validated", Source: "/pipelines/é", Subject: "s", DataContentType: "application/json",
			Data: fmt.Appendf(nil, `{"i":%d,"text":"<é\u2028 \"x\"😀\uffff>"}`, i)})
	}
	if err := d.Publish(t.Context(), sent[:10]); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context(), sent[10:]); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", `
import boto3, hashlib, json, sys
url, endpoint, region, id, secret = sys.argv[1:]
sqs = boto3.client("sqs", endpoint_url=endpoint, region_name=region, aws_access_key_id=id, aws_secret_access_key=secret)
out = []
while True:
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]).get("Messages", [])
    if not got:
        break
    for m in got:
        assert m["MD5OfBody"] == hashlib.md5(m["Body"].encode()).hexdigest()
        e = json.loads(m["Body"])
        assert m["MessageAttributes"]["ce-type"]["StringValue"] == e["type"] == "dataset.validated"
        out.append([e["id"], m["Attributes"]["MessageGroupId"], m["Attributes"]["MessageDeduplicationId"], e["source"], e["data"]])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
print(json.dumps(out))
`, queue, m.Endpoint, m.Region, m.AccessKeyID, m.SecretAccessKey)
	out, err := cmd.CombinedOutput()
	var got [][]any
	if err != nil || json.Unmarshal(out, &got) != nil || len(got) != len(sent) {
		t.Fatalf("%v: %s", err, out)
	}
	for i, g := range got {
		data, _ := g[4].(map[string]any)
		if g[0] != sent[i].ID || g[1] != "s" || g[2] != sent[i].ID || g[3] != sent[i].Source || data["i"] != float64(i) || data["text"] != "<é\u2028 \"x\"😀\uffff>" {
			t.Errorf("message %d: %v", i, g)
		}
	}
}

// TestSignatureOverMoto: moto, which checks signatures with Amazon's own library for Python, takes what the right key has signed
// and nothing else.
func TestSignatureOverMoto(t *testing.T) {
	m := testbed.MotoAuth(t, 4)
	id, sec := m.User(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}`)
	queue := makeQueue(t, openTopic(t, newEnv(t, id, sec, ""), Options{QueueURL: m.Endpoint + "/1/x", Region: m.Region}), "signed")
	open := func(secret string) *Topic {
		return openTopic(t, newEnv(t, id, secret, ""), Options{QueueURL: queue, Region: m.Region, Endpoint: m.Endpoint})
	}
	right, wrong := open(sec), open("x"+sec[1:])
	message := []event.Message{{ID: "1", Type: "x", Source: "s", Subject: "ü +&=", Data: []byte(`{"a":"é +%&="}`)}}
	if err := errors.Join(right.Check(t.Context()), right.Publish(t.Context(), message)); err != nil {
		t.Error(err)
	}
	// moto words its refusal in a form that only EC2 uses.
	if err := wrong.Publish(t.Context(), message); wrong.Classify(err).Code != fault.PermissionDenied {
		t.Errorf("a wrong key: %v", err)
	}
}
