package sns

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
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
	"github.com/dsrun/dsrun/engine/providers/internal/awsmessage/awsfake"
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

func over(t testing.TB, f *awsfake.Fake, group string) *Topic {
	t.Helper()
	return openTopic(t, newEnv(t, awsfake.ID, awsfake.Secret, awsfake.Token), Options{TopicARN: f.Place(), GroupID: group, Endpoint: f.URL})
}

// TestSuiteOverFake holds the suite against the protocol as it is documented, with a standard topic and a FIFO topic.
func TestSuiteOverFake(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprintf("fifo %v", fifo), func(t *testing.T) {
			var fakes sync.Map
			eventtest.Run(t, eventtest.Harness{
				Open: func(t testing.TB) event.Driver {
					f := awsfake.New(t, "sns", fifo)
					f.Most = 1 << 20
					d := over(t, f, "")
					fakes.Store(d, f)
					return d
				},
				Received: func(t testing.TB, d event.Driver) []event.Message {
					f, _ := fakes.Load(d)
					return f.(*awsfake.Fake).Events(t)
				},
				Missing: func(t testing.TB) event.Driver {
					f := awsfake.New(t, "sns", fifo)
					f.Missing = true
					return over(t, f, "")
				},
				DropsRepeats: fifo,
				Secrets:      []string{awsfake.Secret, awsfake.Token},
				Idle:         func() { fakes.Range(func(_, f any) bool { f.(*awsfake.Fake).Server.Close(); return true }) },
			})
		})
	}
}

// TestSuite holds the suite against moto: a queue that is subscribed to the topic receives what was published.
func TestSuite(t *testing.T) {
	m := testbed.Moto(t)
	var n atomic.Int32
	skips := map[string]string{"largest message": "moto's HTTP server takes minutes for as many bytes; the fake shows it"}
	for _, name := range []string{"stream", "stream of large events", "too large", "refused for good", "one spoils the batch", "stream that fails", "bounded ahead", "slow stream",
		"panic of the stream", "concurrent publishers", "order under retries", "gives up", "full bytes", "lost answer", "storm", "order under lost answers", "order after an outage"} {
		skips[name] = "moto takes minutes for as many events; the fake shows it"
	}
	for _, suffix := range []string{"", ".fifo"} {
		t.Run("topic"+suffix, func(t *testing.T) {
			var queues sync.Map // of *Topic: *queue
			eventtest.Run(t, eventtest.Harness{
				Open: func(t testing.TB) event.Driver {
					env := newEnv(t, m.AccessKeyID, m.SecretAccessKey, "")
					name := fmt.Sprintf("t%d%s", n.Add(1), suffix)
					d := openTopic(t, env, Options{TopicARN: makeTopic(t, m, name), Region: m.Region, Endpoint: m.Endpoint})
					q := &queue{m: m}
					q.subscribe(t, d.arn, name)
					queues.Store(d, q)
					return d
				},
				Received: func(t testing.TB, d event.Driver) []event.Message {
					q, _ := queues.Load(d)
					return q.(*queue).drain(t)
				},
				Missing: func(t testing.TB) event.Driver {
					return openTopic(t, newEnv(t, m.AccessKeyID, m.SecretAccessKey, ""), Options{TopicARN: "arn:aws:sns:us-east-1:123456789012:no-such-topic" + suffix, Endpoint: m.Endpoint})
				},
				Secrets: []string{m.SecretAccessKey},
				Idle:    http.DefaultClient.CloseIdleConnections,
				Skip:    skips,
			})
		})
	}
}

// makeTopic makes a topic of moto.
func makeTopic(t testing.TB, m *testbed.AWS, name string) string {
	t.Helper()
	in := url.Values{"Name": {name}}
	if strings.HasSuffix(name, ".fifo") {
		in.Set("Attributes.entry.1.key", "FifoTopic")
		in.Set("Attributes.entry.1.value", "true")
	}
	var out struct {
		ARN string `xml:"CreateTopicResult>TopicArn"`
	}
	ask(t, m, "CreateTopic", in, &out)
	return out.ARN
}

// ask calls an action of moto's SNS, which checks no signature.
func ask(t testing.TB, m *testbed.AWS, action string, in url.Values, out any) {
	t.Helper()
	in.Set("Action", action)
	in.Set("Version", "2010-03-31")
	post(t, m, "sns", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, []byte(in.Encode()), func(b []byte) error { return xml.Unmarshal(b, out) })
}

func post(t testing.TB, m *testbed.AWS, service string, head map[string]string, body []byte, read func([]byte) error) {
	t.Helper()
	req, err := http.NewRequest("POST", m.Endpoint, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range head {
		req.Header.Set(k, v)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=free/20261121/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %s %s", service, resp.Status, b)
	}
	if err := read(b); err != nil {
		t.Fatal(err)
	}
}

// queue is a queue of moto that a topic delivers to.
type queue struct {
	m   *testbed.AWS
	url string
	got []event.Message
}

func (q *queue) call(t testing.TB, action string, in map[string]any, out any) {
	t.Helper()
	body, _ := json.Marshal(in)
	post(t, q.m, "sqs", map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + action}, body, func(b []byte) error {
		if len(b) == 0 {
			return nil
		}
		return json.Unmarshal(b, out)
	})
}

func (q *queue) subscribe(t testing.TB, arn, name string) {
	t.Helper()
	in := map[string]any{"QueueName": name}
	if strings.HasSuffix(name, ".fifo") {
		in["Attributes"] = map[string]string{"FifoQueue": "true"}
	}
	var made struct{ QueueURL string }
	q.call(t, "CreateQueue", in, &made)
	q.url = made.QueueURL
	ask(t, q.m, "Subscribe", url.Values{"TopicArn": {arn}, "Protocol": {"sqs"}, "Endpoint": {"arn:aws:sqs:us-east-1:123456789012:" + name},
		"Attributes.entry.1.key": {"RawMessageDelivery"}, "Attributes.entry.1.value": {"true"}}, &struct{}{})
}

// drain returns all that was delivered so far.
func (q *queue) drain(t testing.TB) []event.Message {
	t.Helper()
	for {
		var out struct {
			Messages []struct {
				Body, ReceiptHandle string
				MessageAttributes   map[string]struct{ StringValue string }
			}
		}
		q.call(t, "ReceiveMessage", map[string]any{"QueueUrl": q.url, "MaxNumberOfMessages": 10, "MessageAttributeNames": []string{"All"}}, &out)
		if len(out.Messages) == 0 {
			return q.got
		}
		for _, r := range out.Messages {
			e, err := event.Decode([]byte(r.Body))
			if err != nil {
				t.Fatalf("delivered %.200s: %v", r.Body, err)
			}
			for name, want := range map[string]string{"ce-id": e.ID, "ce-type": e.Type, "ce-source": e.Source, "ce-subject": e.Subject} {
				if got := r.MessageAttributes[name].StringValue; got != want {
					t.Errorf("attribute %s is %q beside %q", name, got, want)
				}
			}
			q.got = append(q.got, e)
			q.call(t, "DeleteMessage", map[string]any{"QueueUrl": q.url, "ReceiptHandle": r.ReceiptHandle}, &struct{}{})
		}
	}
}

// TestJudge: boto3 subscribes a queue with a filter on the event's type, and receives just those.
func TestJudge(t *testing.T) {
	m := testbed.Moto(t)
	python := testbed.Program(t, "moto")
	d := openTopic(t, newEnv(t, m.AccessKeyID, m.SecretAccessKey, ""), Options{TopicARN: makeTopic(t, m, "judged"), Endpoint: m.Endpoint})
	judge := func(step string) []byte {
		out, err := exec.CommandContext(t.Context(), python, "-c", `
import boto3, json, sys
step, arn, endpoint, region, id, secret = sys.argv[1:]
of = lambda kind: boto3.client(kind, endpoint_url=endpoint, region_name=region, aws_access_key_id=id, aws_secret_access_key=secret)
sns, sqs = of("sns"), of("sqs")
url = sqs.create_queue(QueueName="judge")["QueueUrl"]
if step == "subscribe":
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue, Attributes={"FilterPolicy": json.dumps({"ce-type": ["wanted"]})})
else:
    out = []
    while True:
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        if not got:
            break
        for r in got:
            n = json.loads(r["Body"])  # the notification of SNS
            assert n["TopicArn"] == arn and n["MessageAttributes"]["Content-Type"]["Value"].startswith("application/cloudevents+json"), n
            out.append(json.loads(n["Message"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=r["ReceiptHandle"])
    print(json.dumps(out))
`, step, d.arn, m.Endpoint, m.Region, m.AccessKeyID, m.SecretAccessKey).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", step, err, out)
		}
		return out
	}
	judge("subscribe")
	var batch []event.Message
	for i := range 8 {
		batch = append(batch, event.Message{ID: fmt.Sprint(i), Type: []string{"wanted", "other"}[i%2], Source: "/é", Data: fmt.Appendf(nil, `{"i":%d,"text":"<é&+%%>"}`, i)})
	}
	if err := d.Publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	var got []struct {
		ID, Type, Source string
		Data             struct {
			I    int
			Text string
		}
	}
	if err := json.Unmarshal(judge("receive"), &got); err != nil || len(got) != 4 {
		t.Fatalf("%v: %+v", err, got)
	}
	for _, e := range got {
		if e.Type != "wanted" || e.Source != "/é" || fmt.Sprint(e.Data.I) != e.ID || e.Data.Text != "<é&+%>" {
			t.Errorf("%+v", e)
		}
	}
}

// TestSignatureOverMoto: moto, which checks signatures with Amazon's own library for Python, takes what the right key has signed
// and nothing else.
func TestSignatureOverMoto(t *testing.T) {
	m := testbed.MotoAuth(t, 4)
	id, sec := m.User(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sns:*","Resource":"*"}]}`)
	arn := makeTopic(t, m, "signed")
	open := func(secret string) *Topic {
		return openTopic(t, newEnv(t, id, secret, ""), Options{TopicARN: arn, Endpoint: m.Endpoint})
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
