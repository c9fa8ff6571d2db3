package eventbridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/internal/testbed"
)

// TestNative: the detail is the data alone, to the byte.
func TestNative(t *testing.T) {
	f := newFake(t)
	d, _ := over(t, f, schema.FormatNative)
	data := `{ "model": "m1", "big": 9007199254740993, "x": [1, 2] }`
	m := event.Message{ID: "1", Type: "retrain_trigger", Source: "ml_platform", Subject: "s3://bucket/key", Time: begin, Data: []byte(data)}
	if err := d.Publish(t.Context(), []event.Message{m}); err != nil {
		t.Fatal(err)
	}
	e := f.entries[0]
	if e.Detail != data || e.DetailType != "retrain_trigger" || e.Source != "ml_platform" || e.EventBusName != "training" ||
		!slices.Equal(e.Resources, []string{"s3://bucket/key"}) || int64(e.Time) != begin.Unix() {
		t.Errorf("%+v", e)
	}
	if n := d.Limits().Size(m); n != int64(len(data)+len("retrain_trigger")+len("ml_platform")+len("s3://bucket/key")+14) {
		t.Errorf("size %d", n)
	}
	m.Time, m.Subject = time.Time{}, ""
	if n := d.Limits().Size(m); n != int64(len(data)+len("retrain_trigger")+len("ml_platform")) {
		t.Errorf("size without time and resources %d", n)
	}
}

// TestNativeOverMoto: a rule as users write it for such events delivers them.
func TestNativeOverMoto(t *testing.T) {
	m := testbed.Moto(t)
	q := &queue{m: m, name: "native"}
	q.set(t)
	call(t, m, "events", "AWSEvents.PutRule", `{"Name":"all","EventBusName":"native","EventPattern":"{\"source\":[{\"prefix\":\"ml_\"}],\"detail-type\":[{\"prefix\":\"retrain\"}]}"}`, nil)
	env, _ := newEnv(t, m.AccessKeyID, m.SecretAccessKey, "")
	env.Format = schema.FormatNative
	d := openTopic(t, env, Options{Bus: "native", Region: m.Region, Endpoint: m.Endpoint})
	send := func(typ, source string) {
		t.Helper()
		if err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: typ, Source: source, Time: begin, Data: []byte(`{"model":"m1"}`)}}); err != nil {
			t.Fatal(err)
		}
	}
	send("retrain_trigger", "ml_platform")
	send("other", "ml_platform")
	send("retrain_trigger", "somebody")
	var out struct{ Messages []struct{ Body string } }
	call(t, m, "sqs", "AmazonSQS.ReceiveMessage", fmt.Sprintf(`{"QueueUrl":%q,"MaxNumberOfMessages":10}`, q.url), &out)
	if len(out.Messages) != 1 || !strings.Contains(out.Messages[0].Body, `"detail": {"model": "m1"}`) {
		t.Errorf("delivered %v", out.Messages)
	}
}

func TestValid(t *testing.T) {
	good := event.Message{ID: "1", Type: "x", Source: "s", Data: []byte(`{}`)}
	with := func(change func(*event.Message)) event.Message { m := good; change(&m); return m }
	deep := func(n int) []byte { return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`) }
	f := newFake(t)
	for name, c := range map[string]struct {
		m              event.Message
		events, native bool
	}{
		"plain":             {good, true, true},
		"128 characters":    {with(func(m *event.Message) { m.Type = strings.Repeat("é", 128) }), true, true},
		"129 characters":    {with(func(m *event.Message) { m.Type = strings.Repeat("é", 129) }), false, false},
		"long source":       {with(func(m *event.Message) { m.Source = strings.Repeat("s", 257) }), false, false},
		"source of AWS":     {with(func(m *event.Message) { m.Source = "aws.s3" }), false, false},
		"a list":            {with(func(m *event.Message) { m.Data = []byte(` [1]`) }), true, false},
		"a number":          {with(func(m *event.Message) { m.Data = []byte(`1`) }), true, false},
		"space before":      {with(func(m *event.Message) { m.Data = []byte("\n {}") }), true, true},
		"attributes":        {with(func(m *event.Message) { m.Attributes = map[string]string{"a": "b"} }), true, false},
		"long subject":      {with(func(m *event.Message) { m.Subject = strings.Repeat("s", 2049) }), true, false},
		"998 levels":        {with(func(m *event.Message) { m.Data = deep(998) }), true, true},
		"1000 levels":       {with(func(m *event.Message) { m.Data = deep(999) }), false, true},
		"1001 levels":       {with(func(m *event.Message) { m.Data = deep(1000) }), false, false},
		"brackets in texts": {with(func(m *event.Message) { m.Data = []byte(`{"a":"` + strings.Repeat(`[{\"`, 2000) + `"}`) }), true, true},
	} {
		events, _ := over(t, f, "")
		native, _ := over(t, f, schema.FormatNative)
		if err := events.Limits().Valid(c.m); (err == nil) != c.events {
			t.Errorf("%s as a CloudEvent: %v", name, err)
		}
		if err := native.Limits().Valid(c.m); (err == nil) != c.native {
			t.Errorf("%s in the native form: %v", name, err)
		}
	}
	// What is too large is refused before anything is sent, by its number.
	d, _ := over(t, f, "")
	tp, _ := topicOver(t, d)
	big := event.Event{Type: "x", Data: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}
	if _, err := tp.Publish(t.Context(), big); !fault.Is(err, fault.InvalidArgument) || f.calls("PutEvents") != 0 {
		t.Errorf("1 MB and more: %v", err)
	}
}

func TestOpen(t *testing.T) {
	const arn = "arn:aws:events:ap-south-1:111122223333:event-bus/training"
	for name, c := range map[string]struct {
		o      Options
		cred   awsauth.Options
		region string
		want   fault.Code
	}{
		"region of the topic":      {Options{Bus: arn, Region: "us-west-2"}, awsauth.Options{Method: "static", Region: "eu-west-1"}, "us-west-2", ""},
		"region of the bus":        {Options{Bus: arn}, awsauth.Options{Method: "static", Region: "eu-west-1"}, "ap-south-1", ""},
		"region of the credential": {Options{Bus: "b"}, awsauth.Options{Method: "static", Region: "eu-west-1"}, "eu-west-1", ""},
		"no region":                {Options{Bus: "b"}, awsauth.Options{Method: "static"}, "", fault.InvalidArgument},
		"anonymous":                {Options{Bus: "b", Region: "x"}, awsauth.Options{Method: "anonymous"}, "", fault.InvalidArgument},
	} {
		t.Setenv("AWS_REGION", "canary-1") // an explicit credential does not ask it
		env, _ := newEnv(t, "x", "y", "")
		var err error
		if env.Credential, err = awsauth.Provider().OpenCredential(t.Context(), env, &c.cred); err != nil {
			t.Fatal(err)
		}
		d, err := Provider().OpenTopic(t.Context(), env, &c.o)
		if fault.CodeOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		} else if err == nil && d.(*Topic).region != c.region {
			t.Errorf("%s: %s", name, d.(*Topic).region)
		}
	}
	for s, ok := range map[string]bool{"default": true, "a/b.c-d_e": true, arn: true, "": false, "a b": false, "arn:aws:s3:::x": false, strings.Repeat("b", 257): false} {
		if (checkBus(s) == nil) != ok {
			t.Errorf("bus %q", s)
		}
	}
}
