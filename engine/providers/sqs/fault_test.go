package sqs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/engine/providers/internal/awsmessage/awsfake"
	"github.com/dsrun/dsrun/engine/secret"
)

func over(t testing.TB, f *awsfake.Fake, group string) *Topic {
	t.Helper()
	return openTopic(t, newEnv(t, awsfake.ID, awsfake.Secret, awsfake.Token), Options{QueueURL: f.Place(), GroupID: group, Region: awsfake.Region})
}

// TestSuiteOverFake holds the suite against the protocol as it is documented, with a standard queue and a FIFO queue.
func TestSuiteOverFake(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprintf("fifo %v", fifo), func(t *testing.T) {
			var fakes sync.Map
			eventtest.Run(t, eventtest.Harness{
				Open: func(t testing.TB) event.Driver {
					f := awsfake.New(t, "sqs", fifo)
					d := over(t, f, "")
					fakes.Store(d, f)
					return d
				},
				Received: func(t testing.TB, d event.Driver) []event.Message {
					f, _ := fakes.Load(d)
					return f.(*awsfake.Fake).Events(t)
				},
				Missing: func(t testing.TB) event.Driver {
					f := awsfake.New(t, "sqs", fifo)
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

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func topicOver(t testing.TB, d event.Driver) (*event.Topic, *clock.Fake) {
	c := clock.NewFake(begin)
	tp := event.New("orders", "sqs", d, event.Options{RunID: "run", Clock: c})
	t.Cleanup(func() { tp.Close() })
	return tp, c
}

func stream(n int, subject func(i int) string) func(context.Context) (event.Event, error) {
	i := -1
	return func(context.Context) (event.Event, error) {
		if i++; i == n {
			return event.Event{}, io.EOF
		}
		return event.Event{ID: fmt.Sprintf("e%05d", i), Type: "x", Subject: subject(i)}, nil
	}
}

func ids(list []awsfake.Entry) (out []string) {
	for _, e := range list {
		m, _ := event.Decode([]byte(e.Body))
		out = append(out, m.ID)
	}
	return out
}

// Of 10 entries 3 fail, twice, and once the whole request is throttled: only what failed is sent again, nothing is lost and
// nothing is taken twice.
func TestPartialFailure(t *testing.T) {
	f := awsfake.New(t, "sqs", false)
	f.On = func(n int, list []awsfake.Entry) *awsfake.Answer {
		switch n {
		case 0:
			return &awsfake.Answer{Fail: map[int]string{1: "InternalError", 4: "RequestThrottled", 9: "InternalError"}}
		case 1:
			return &awsfake.Answer{Fail: map[int]string{0: "InternalError", 1: "SomethingNew", 2: "InternalError"}}
		case 2:
			return &awsfake.Answer{Status: 400, Code: "RequestThrottled", Header: http.Header{"Retry-After": {"2"}}}
		}
		return nil
	}
	tp, c := topicOver(t, over(t, f, ""))
	n, err := tp.PublishAll(t.Context(), stream(10, func(int) string { return "" }), nil)
	var sizes []int
	for _, r := range f.Tried() {
		sizes = append(sizes, len(r))
	}
	if n != 10 || err != nil || !slices.Equal(sizes, []int{10, 3, 3, 3}) {
		t.Fatalf("%d accepted, %v, requests of %v", n, err, sizes)
	}
	got := ids(f.Got())
	slices.Sort(got)
	if len(slices.Compact(got)) != 10 {
		t.Errorf("%v arrived", got)
	}
	if w := c.Waits(); len(w) != 3 || w[2] < 2*time.Second {
		t.Errorf("waits %v, the last of which was asked to be 2 s", w)
	}
}

// A FIFO queue: entries fail here and there, answers are lost, requests are throttled. Each group keeps its order, nothing is
// lost, and a repeat of what was taken is dropped by the queue.
func TestGroups(t *testing.T) {
	f := awsfake.New(t, "sqs", true)
	f.On = func(n int, list []awsfake.Entry) *awsfake.Answer {
		groups := map[string]bool{}
		for _, e := range list {
			if groups[e.Group] {
				t.Errorf("a request holds two messages of the group %s", e.Group)
			}
			groups[e.Group] = true
		}
		switch n % 11 {
		case 3:
			return &awsfake.Answer{Fail: map[int]string{0: "InternalError", len(list) - 1: "RequestThrottled"}}
		case 7:
			return &awsfake.Answer{Cut: true}
		case 9:
			return &awsfake.Answer{Status: 503}
		}
		return nil
	}
	tp, _ := topicOver(t, over(t, f, "{subject}"))
	const n = 600
	groups := []string{"a", "b", "ü and a space", strings.Repeat("long", 50)}
	if got, err := tp.PublishAll(t.Context(), stream(n, func(i int) string { return groups[i*7%13%4] }), nil); got != n || err != nil {
		t.Fatal(got, err)
	}
	last := map[string]string{}
	for _, e := range f.Got() {
		m, _ := event.Decode([]byte(e.Body))
		if m.ID <= last[m.Subject] {
			t.Errorf("in the group of %.10q %s comes after %s", m.Subject, m.ID, last[m.Subject])
		}
		last[m.Subject] = m.ID
		if e.Dedup != m.ID || len(m.Subject) < 3 && e.Group != m.Subject || len(m.Subject) > 3 && !strings.HasPrefix(e.Group, "sha256-") {
			t.Errorf("group %q, dedup %q of %s", e.Group, e.Dedup, m.ID)
		}
	}
	if len(f.Got()) != n || len(last) != 4 {
		t.Errorf("%d of %d arrived, in %d groups", len(f.Got()), n, len(last))
	}
}

// A message that a FIFO queue refuses for good stops nobody, not even those of its group.
func TestRefusedInGroup(t *testing.T) {
	f := awsfake.New(t, "sqs", true)
	f.On = func(_ int, list []awsfake.Entry) *awsfake.Answer {
		for i, e := range list {
			if e.Dedup == "e00003" {
				return &awsfake.Answer{Fail: map[int]string{i: "!InvalidMessageContents"}}
			}
			if e.Dedup == "e00005" && len(list) > 1 { // spoils the request for the others
				return &awsfake.Answer{Status: 400, Code: "InvalidParameterValue"}
			} else if e.Dedup == "e00005" {
				return &awsfake.Answer{Status: 400, Code: "InvalidParameterValue"}
			}
		}
		return nil
	}
	tp, _ := topicOver(t, over(t, f, "{subject}"))
	var refused []string
	n, err := tp.PublishAll(t.Context(), stream(20, func(i int) string { return fmt.Sprint(i % 2) }), func(m event.Message, _ error) error {
		refused = append(refused, m.ID)
		return nil
	})
	if n != 18 || err != nil || !slices.Equal(refused, []string{"e00003", "e00005"}) || len(f.Got()) != 18 {
		t.Errorf("%d taken, refused %v, %v", n, refused, err)
	}
}

// What each answer means.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer awsfake.Answer
		want   fault.Code
		retry  bool
		says   string
	}{
		"throttled":     {awsfake.Answer{Status: 403, Code: "RequestThrottled"}, fault.ResourceExhausted, true, "RequestThrottled"},
		"over limit":    {awsfake.Answer{Status: 403, Code: "OverLimit"}, fault.ResourceExhausted, true, "OverLimit"},
		"denied":        {awsfake.Answer{Status: 403, Code: "AccessDeniedException", Message: "no"}, fault.PermissionDenied, false, "AccessDeniedException: no"},
		"missing":       {awsfake.Answer{Status: 400, Code: "QueueDoesNotExist"}, fault.NotFound, false, ""},
		"too long":      {awsfake.Answer{Status: 400, Code: "BatchRequestTooLong"}, fault.InvalidArgument, false, ""},
		"key is off":    {awsfake.Answer{Status: 400, Code: "KmsDisabled"}, fault.FailedPrecondition, false, ""},
		"a proxy's 503": {awsfake.Answer{Status: 503}, fault.Unavailable, true, "503 Service Unavailable"},
		"a proxy's 404": {awsfake.Answer{Status: 404}, fault.NotFound, false, "404"},
		"a redirect":    {awsfake.Answer{Status: 307, Header: http.Header{"Location": {"/x"}}}, fault.Internal, false, "307"},
		"not JSON":      {awsfake.Answer{Raw: "<html>"}, fault.Unavailable, true, "not JSON"},
		"nothing said":  {awsfake.Answer{Raw: "{}"}, fault.Internal, false, "says nothing"},
		"one not named": {awsfake.Answer{Silent: map[int]bool{0: true}}, fault.Internal, false, "says nothing"},
		"other bytes":   {awsfake.Answer{Altered: true}, fault.DataLoss, false, "other bytes"},
		"cut":           {awsfake.Answer{Cut: true}, fault.Unavailable, true, "EOF"},
		"the sender's":  {awsfake.Answer{Fail: map[int]string{0: "!New"}}, fault.InvalidArgument, false, "New: no"},
		"the service's": {awsfake.Answer{Fail: map[int]string{0: "New"}}, fault.Unavailable, true, "New: no"},
	} {
		f := awsfake.New(t, "sqs", false)
		f.On = func(int, []awsfake.Entry) *awsfake.Answer { a := c.answer; return &a }
		d := over(t, f, "")
		err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("1")}})
		class := d.Classify(err)
		if err == nil || class.Code != c.want || class.Retryable() != c.retry || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q (try again: %v): %v", name, class.Code, class.Retryable(), err)
		}
	}
}

// The queue tells how large a message may be; who may not ask is told by the first event.
func TestCheck(t *testing.T) {
	f := awsfake.New(t, "sqs", false)
	f.Most = 2048
	tp, _ := topicOver(t, over(t, f, ""))
	big := event.Event{Type: "x", Data: []byte(`"` + strings.Repeat("x", 3000) + `"`)}
	if _, err := tp.Publish(t.Context(), big); !fault.Is(err, fault.InvalidArgument) || f.Sends() != 0 || !strings.Contains(err.Error(), "2048") {
		t.Errorf("%v after %d requests", err, f.Sends())
	}
	f.OnCheck = func() *awsfake.Answer { return &awsfake.Answer{Status: 403, Code: "AccessDenied"} }
	tp, _ = topicOver(t, over(t, f, ""))
	if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); err != nil {
		t.Error(err)
	}
	if _, err := tp.Publish(t.Context(), big); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
	f.Missing, f.OnCheck = true, nil
	_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
	if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.ClassOf(err).Hint, f.Place()) {
		t.Errorf("%v, hint %q", err, fault.ClassOf(err).Hint)
	}
}

// A machine whose clock is off gets through with the service's time; a wrong key does not, and shows no secret.
func TestSignature(t *testing.T) {
	f := awsfake.New(t, "sqs", false)
	f.Skew = 3 * time.Hour
	d := over(t, f, "")
	for range 2 {
		if err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("1")}}); err != nil {
			t.Fatal(err)
		}
	}
	f.Skew = 0
	const canary = "C4n4ry/secret+key=="
	env := newEnv(t, awsfake.ID, canary, awsfake.Token)
	env.Redactor.Add(awsfake.Token, canary)
	d = openTopic(t, env, Options{QueueURL: f.Place(), Region: awsfake.Region})
	tp := event.New("orders", "sqs", d, event.Options{Redactor: env.Redactor})
	_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "does not match: you sent") || !strings.Contains(err.Error(), secret.Mask) {
		t.Errorf("the echo is missing: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %q %s", err, err, err, fault.ClassOf(err).Hint); strings.Contains(text, canary) || strings.Contains(text, awsfake.Token) {
		t.Errorf("a secret is shown: %s", text)
	}
	var own *fault.Error
	if !errors.As(err, &own) || own.Class.RequestID != "req-1" {
		t.Errorf("request id %+v", own)
	}
}

func TestOptions(t *testing.T) {
	env := newEnv(t, "x", "y", "")
	for name, c := range map[string]struct {
		o                Options
		region, endpoint string
		want             fault.Code
	}{
		"of the URL":        {Options{QueueURL: "https://sqs.ap-south-1.amazonaws.com/111122223333/q"}, "ap-south-1", "https://sqs.ap-south-1.amazonaws.com", ""},
		"of China":          {Options{QueueURL: "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q"}, "cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn", ""},
		"of the old URL":    {Options{QueueURL: "https://eu-west-1.queue.amazonaws.com/111122223333/q"}, "eu-west-1", "https://sqs.eu-west-1.amazonaws.com", ""},
		"declared":          {Options{QueueURL: "https://vpce.example.com/111122223333/q.fifo", Region: "us-west-2", GroupID: "{type}", Endpoint: "https://e.example.com/"}, "us-west-2", "https://e.example.com", ""},
		"no region":         {Options{QueueURL: "https://vpce.example.com/111122223333/q"}, "", "", fault.InvalidArgument},
		"group of standard": {Options{QueueURL: "https://sqs.ap-south-1.amazonaws.com/111122223333/q", GroupID: "g"}, "", "", fault.InvalidArgument},
	} {
		d, err := Provider().OpenTopic(t.Context(), env, &c.o)
		if fault.CodeOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		} else if err == nil {
			if got := d.(*Topic); got.client.Region() != c.region || got.client.Endpoint() != c.endpoint {
				t.Errorf("%s: %s %s", name, got.client.Region(), got.client.Endpoint())
			}
		}
	}
	anonymous := env
	var err error
	if anonymous.Credential, err = awsauth.Provider().OpenCredential(t.Context(), env, &awsauth.Options{Method: "anonymous"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Provider().OpenTopic(t.Context(), anonymous, &Options{QueueURL: "https://sqs.ap-south-1.amazonaws.com/111122223333/q"}); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
	for s, ok := range map[string]bool{"https://sqs.eu-central-1.amazonaws.com/111122223333/q": true, "http://127.0.0.1:1/1/q.fifo": true, "": false, "q": false, "https://h/q": false, "https://h/1/": false, "https://u:p@h/1/q": false} {
		if (checkQueue(s) == nil) != ok {
			t.Errorf("queue %q", s)
		}
	}
}
