package pubsub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/internal/testbed"
)

// judge runs testdata/judge.py, which speaks through Google's Python client, and returns what it printed.
func judge(t *testing.T, s *testbed.PubSub, args ...string) []byte {
	t.Helper()
	python := testbed.Program(t, "judge-pubsub")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append([]string{"testdata/judge.py"}, args...)...)
	cmd.Env = append(os.Environ(), "PUBSUB_EMULATOR_HOST="+s.Addr)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("judge %q: %v\n%s", args, err, &errs)
	}
	return out
}

// TestJudge: Google's Python client receives what was published through the environment's emulator, in the order of its
// key, and the CloudEvents SDK reads it; and what that client publishes is the same on the wire.
func TestJudge(t *testing.T) {
	s := testbed.PubSubServer(t, "")
	judge(t, s, "make", "example", "training", "received")
	env, _ := newEnv(t, token)
	env.Getenv = func(name string) string { return map[string]string{"PUBSUB_EMULATOR_HOST": s.Addr}[name] }
	send := func(format, key string, list ...event.Message) {
		t.Helper()
		env.Format = format
		if err := openTopic(t, env, Options{Project: "example", Topic: "training", OrderingKey: key, Attributes: map[string]string{"team": "ml"}}).Publish(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	var sent []event.Message
	for i := range 50 {
		sent = append(sent, event.Message{ID: fmt.Sprintf("id-%d", i), Type: "dataset.validated", Source: "/pipelines/é", Subject: "träin/1", Time: begin.Add(time.Duration(i)),
			DataContentType: "application/json", Data: fmt.Appendf(nil, `{"i":%d,"text":"<é\u2028 \"x\"😀>"}`, i), Attributes: map[string]string{"run": "r1"}})
	}
	send("", "{subject}", sent[:30]...)
	send("", "{subject}", sent[30:]...)
	send(schema.FormatNative, "", event.Message{ID: "n", Type: "retrain_trigger", Source: "ml3_platform", Data: []byte(`{"model_id":"m1"}`), Attributes: map[string]string{"a": "b"}})
	var got []struct {
		Data, Key  string
		Attributes map[string]string
		Event      map[string]any // as the CloudEvents SDK reads it
	}
	if err := json.Unmarshal(judge(t, s, "pull", "example", "received", "51"), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 51 {
		t.Fatalf("%d messages arrived", len(got))
	}
	next, native := 0, 0
	for _, m := range got {
		if m.Key == "" {
			native++
			if m.Data != `{"project_id":"example","topic_name":"training","source":"ml3_platform","event_type":"retrain_trigger","payload":{"model_id":"m1"}}` ||
				m.Attributes["a"] != "b" || m.Attributes["team"] != "ml" || m.Attributes["ce-id"] != "n" {
				t.Errorf("%+v", m)
			}
			continue
		}
		want := sent[next]
		next++
		data, _ := json.Marshal(m.Event["data"])
		if m.Key != "träin/1" || m.Event["id"] != want.ID || m.Event["source"] != want.Source || m.Event["subject"] != want.Subject || m.Event["run"] != "r1" ||
			m.Attributes["ce-type"] != "dataset.validated" || m.Attributes["team"] != "ml" || !sameJSON(data, want.Data) {
			t.Errorf("message %d: %+v", next-1, m)
		}
	}
	if native != 1 {
		t.Errorf("%d messages in the native form", native)
	}
	// The same message from both sides.
	judge(t, s, "publish", "example", "training", "ordered", `{"a":1}`, "k", "v")
	list := s.Messages(t, "projects/example/topics/training")
	theirs := list[len(list)-1]
	want := publishRequest("t", []message{{data: []byte(`{"a":1}`), attributes: map[string]string{"k": "v"}, key: "ordered"}})
	if ours := publishRequest("t", []message{{theirs.Data, theirs.Attributes, theirs.OrderingKey}}); !bytes.Equal(ours, want) {
		t.Errorf("%q and %q", ours, want)
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	s, _ := json.Marshal(x)
	u, _ := json.Marshal(y)
	return bytes.Equal(s, u)
}

// TestMany: a hundred thousand events go out in bounded memory and in order, and none is missing when PublishAll returns.
func TestMany(t *testing.T) {
	s := testbed.PubSubServer(t, token)
	s.Topic(t, "projects/example/topics/training")
	env, _ := newEnv(t, token)
	tp, _ := topicOver(t, openTopic(t, env, Options{Project: "example", Topic: "training", OrderingKey: "all", Endpoint: s.URL}))
	const n = 100_000
	next := stream(n, one)
	i, peak := 0, uint64(0)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	got, err := tp.PublishAll(t.Context(), func(ctx context.Context) (event.Event, error) {
		if i++; i%2000 == 0 {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		return next(ctx)
	}, nil)
	if got != n || err != nil {
		t.Fatal(got, err)
	}
	if grown := int64(peak) - int64(before); grown > 48<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	list := s.Messages(t, "projects/example/topics/training")
	if len(list) != n {
		t.Fatalf("%d messages arrived", len(list))
	}
	for i, m := range list {
		if id := fmt.Sprintf("e%05d", i); m.Attributes["ce-id"] != id || !strings.Contains(string(m.Data), `"id":"`+id+`"`) {
			t.Fatalf("message %d is %s", i, m.Data)
		}
	}
}
