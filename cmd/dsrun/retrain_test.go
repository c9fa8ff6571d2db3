package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
)

// retrain runs retrain.star with a configuration of examples/ in an environment.
func retrain(t *testing.T, dir, config string, env map[string]string, args ...string) (string, int) {
	t.Helper()
	w := testWorld(dir, append([]string{"run", "retrain.star", "-c", config}, args...))
	w.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	var out bytes.Buffer
	w.Stdout, w.Stderr = &out, &out
	code := Main(w)
	return out.String(), code
}

// asked holds what the script does alike on every bus: count says how many triggers have arrived.
func asked(t *testing.T, config string, env map[string]string, count func() int, args ...string) {
	t.Helper()
	dir := copyExamples(t)
	for _, c := range []struct {
		args  []string
		fires int
		says  string
	}{
		{[]string{"--model-id", "m1"}, 1, "asked for the training of m1: event "},
		{[]string{"--model-id", "m2", "--source", "birdstrikes.csv", "--max-unknown", "0.9"}, 0, "m2 stays as it is"},
		{[]string{"--model-id", "m3", "--source", "birdstrikes.csv", "--max-unknown", "0"}, 1, "of the records are unknown to m3"},
		{[]string{"--model-id", "m4", "--dry-run"}, 0, "retrain_trigger"},
	} {
		before := count()
		out, code := retrain(t, dir, config, env, append(c.args, args...)...)
		if code != 0 || !strings.Contains(out, c.says) || count()-before != c.fires {
			t.Errorf("%v: exit code %d, %d triggers\n%s", c.args, code, count()-before, out)
		}
	}
}

// TestRetrainOnEventBridge: a rule as users have it for such triggers sees them, and what it delivers has their shape.
func TestRetrainOnEventBridge(t *testing.T) {
	m := testbed.Moto(t)
	call := func(service, target string, in, out any) {
		t.Helper()
		body, _ := json.Marshal(in)
		req, err := http.NewRequest("POST", m.Endpoint, bytes.NewReader(body))
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
	type object = map[string]any
	var queue struct{ QueueURL string }
	call("events", "AWSEvents.CreateEventBus", object{"Name": "training"}, nil)
	call("sqs", "AmazonSQS.CreateQueue", object{"QueueName": "triggers"}, &queue)
	call("events", "AWSEvents.PutRule", object{"Name": "retrain", "EventBusName": "training",
		"EventPattern": `{"source": [{"prefix": "ml3_platform"}], "detail-type": [{"prefix": "retrain_trigger"}]}`}, nil)
	call("events", "AWSEvents.PutTargets", object{"Rule": "retrain", "EventBusName": "training", "Targets": []object{{"Id": "q", "Arn": "arn:aws:sqs:us-east-1:123456789012:triggers"}}}, nil)
	type delivered struct {
		Source     string
		DetailType string `json:"detail-type"`
		Detail     object
		Resources  []string
	}
	var got []delivered
	receive := func() int {
		for {
			var out struct {
				Messages []struct{ Body, ReceiptHandle string }
			}
			call("sqs", "AmazonSQS.ReceiveMessage", object{"QueueUrl": queue.QueueURL, "MaxNumberOfMessages": 10}, &out)
			if len(out.Messages) == 0 {
				return len(got)
			}
			for _, r := range out.Messages {
				var e delivered
				if err := json.Unmarshal([]byte(r.Body), &e); err != nil {
					t.Fatal(err)
				}
				got = append(got, e)
				call("sqs", "AmazonSQS.DeleteMessage", object{"QueueUrl": queue.QueueURL, "ReceiptHandle": r.ReceiptHandle}, nil)
			}
		}
	}
	env := map[string]string{"AWS_ACCESS_KEY_ID": m.AccessKeyID, "AWS_SECRET_ACCESS_KEY": m.SecretAccessKey}
	args := []string{"--var", "endpoint=" + m.Endpoint, "--var", "bus=training"}
	asked(t, "retrain_eventbridge.hcl", env, receive, args...)
	for i, model := range []string{"m1", "m3"} {
		want := delivered{"ml3_platform", "retrain_trigger", object{"model_id": model}, []string{}}
		if i >= len(got) || !reflect.DeepEqual(got[i], want) {
			t.Errorf("arrived: %+v", got)
			break
		}
	}
	out, code := retrain(t, copyExamples(t), "retrain_eventbridge.hcl", env, "--var", "endpoint="+m.Endpoint, "--var", "bus=no-such-bus")
	if code != 1 || !strings.Contains(out, "not_found") || receive() != 2 {
		t.Errorf("a missing bus: exit code %d\n%s", code, out)
	}
}

// TestRetrainOnPubSub: what arrives at Google's server for tests has the shape of a retrain trigger and no other field.
func TestRetrainOnPubSub(t *testing.T) {
	s := testbed.PubSubServer(t, "")
	const topic = "projects/example/topics/triggers"
	s.Topic(t, topic)
	count := func() int { return len(s.Messages(t, topic)) }
	env := map[string]string{"PUBSUB_EMULATOR_HOST": s.Addr}
	asked(t, "retrain_pubsub.hcl", env, count, "--var", "project=example", "--var", "topic=triggers")
	for i, m := range s.Messages(t, topic) {
		var got any
		want := map[string]any{"project_id": "example", "topic_name": "triggers", "source": "ml3_platform", "event_type": "retrain_trigger",
			"payload": map[string]any{"model_id": []string{"m1", "m3"}[i]}}
		if err := json.Unmarshal(m.Data, &got); err != nil || !reflect.DeepEqual(got, want) || m.Attributes["ce-id"] == "" {
			t.Errorf("arrived: %s %v", m.Data, m.Attributes)
		}
	}
	out, code := retrain(t, copyExamples(t), "retrain_pubsub.hcl", env, "--var", "project=example", "--var", "topic=no-such-topic")
	if code != 1 || !strings.Contains(out, "not_found") || count() != 2 {
		t.Errorf("a missing topic: exit code %d\n%s", code, out)
	}
}

// TestRetrainIntoFile: the script's own configuration needs no bus.
func TestRetrainIntoFile(t *testing.T) {
	dir := copyExamples(t)
	for i := range 2 {
		if out, code := retrain(t, dir, "retrain.hcl", nil, "--model-id", fmt.Sprintf("m%d", i)); code != 0 {
			t.Fatalf("exit code %d\n%s", code, out)
		}
	}
	if got := strings.Count(mustRun(t, dir, "cat", "./out/retrain.jsonl"), `"type":"retrain_trigger"`); got != 2 {
		t.Errorf("%d triggers in the file", got)
	}
}
