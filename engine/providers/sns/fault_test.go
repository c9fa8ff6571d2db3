package sns

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/awsmessage/awsfake"
	"github.com/dsrun/dsrun/engine/secret"
)

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func topicOver(t testing.TB, d event.Driver) (*event.Topic, *clock.Fake) {
	c := clock.NewFake(begin)
	tp := event.New("orders", "sns", d, event.Options{RunID: "run", Clock: c})
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

// Of 10 entries 3 fail, twice, and once the whole request is throttled: only what failed is sent again.
func TestPartialFailure(t *testing.T) {
	f := awsfake.New(t, "sns", false)
	f.On = func(n int, list []awsfake.Entry) *awsfake.Answer {
		switch n {
		case 0:
			return &awsfake.Answer{Fail: map[int]string{1: "InternalError", 4: "Throttled", 9: "InternalError"}}
		case 1:
			return &awsfake.Answer{Fail: map[int]string{0: "InternalError", 1: "SomethingNew", 2: "KMSThrottling"}}
		case 2:
			return &awsfake.Answer{Status: 400, Code: "Throttled", Header: http.Header{"Retry-After": {"2"}}}
		}
		return nil
	}
	tp, c := topicOver(t, over(t, f, ""))
	n, err := tp.PublishAll(t.Context(), stream(10, func(int) string { return "" }), nil)
	var sizes []int
	for _, r := range f.Tried() {
		sizes = append(sizes, len(r))
	}
	if n != 10 || err != nil || !slices.Equal(sizes, []int{10, 3, 3, 3}) || len(f.Got()) != 10 {
		t.Fatalf("%d accepted, %v, requests of %v, %d arrived", n, err, sizes, len(f.Got()))
	}
	if w := c.Waits(); len(w) != 3 || w[2] < 2*time.Second {
		t.Errorf("waits %v, the last of which was asked to be 2 s", w)
	}
}

// A FIFO topic keeps the order of each group through failures, and drops repeats of what it took.
func TestGroups(t *testing.T) {
	f := awsfake.New(t, "sns", true)
	f.On = func(n int, list []awsfake.Entry) *awsfake.Answer {
		switch n % 7 {
		case 2:
			return &awsfake.Answer{Fail: map[int]string{0: "InternalError"}}
		case 4:
			return &awsfake.Answer{Cut: true}
		case 6:
			return &awsfake.Answer{Status: 500, Code: "InternalError"}
		}
		return nil
	}
	tp, _ := topicOver(t, over(t, f, "{subject}"))
	const n = 400
	if got, err := tp.PublishAll(t.Context(), stream(n, func(i int) string { return fmt.Sprint(i * 7 % 13 % 4) }), nil); got != n || err != nil {
		t.Fatal(got, err)
	}
	last := map[string]string{}
	for _, e := range f.Got() {
		if e.Dedup <= last[e.Group] {
			t.Errorf("in the group %q %s comes after %s", e.Group, e.Dedup, last[e.Group])
		}
		last[e.Group] = e.Dedup
	}
	if len(f.Got()) != n || len(last) != 4 {
		t.Errorf("%d of %d arrived, in %d groups", len(f.Got()), n, len(last))
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
		"throttled":     {awsfake.Answer{Status: 400, Code: "Throttled"}, fault.ResourceExhausted, true, "Throttled"},
		"denied":        {awsfake.Answer{Status: 403, Code: "AuthorizationError", Message: "no"}, fault.PermissionDenied, false, "AuthorizationError: no"},
		"missing":       {awsfake.Answer{Status: 404, Code: "NotFound"}, fault.NotFound, false, ""},
		"too long":      {awsfake.Answer{Status: 400, Code: "BatchRequestTooLong"}, fault.InvalidArgument, false, ""},
		"invalid":       {awsfake.Answer{Status: 400, Code: "InvalidParameter"}, fault.InvalidArgument, false, ""},
		"a proxy's 503": {awsfake.Answer{Status: 503}, fault.Unavailable, true, "503 Service Unavailable"},
		"not XML":       {awsfake.Answer{Raw: "{}"}, fault.Unavailable, true, "not XML"},
		"another's XML": {awsfake.Answer{Raw: "<html></html>"}, fault.Unavailable, true, "not XML"},
		"nothing said":  {awsfake.Answer{Raw: "<PublishBatchResponse/>"}, fault.Internal, false, "says nothing"},
		"one not named": {awsfake.Answer{Silent: map[int]bool{0: true}}, fault.Internal, false, "says nothing"},
		"cut":           {awsfake.Answer{Cut: true}, fault.Unavailable, true, "EOF"},
		"the sender's":  {awsfake.Answer{Fail: map[int]string{0: "!New"}}, fault.InvalidArgument, false, "New: no"},
		"the service's": {awsfake.Answer{Fail: map[int]string{0: "New"}}, fault.Unavailable, true, "New: no"},
	} {
		f := awsfake.New(t, "sns", false)
		f.On = func(int, []awsfake.Entry) *awsfake.Answer { a := c.answer; return &a }
		d := over(t, f, "")
		err := d.Publish(t.Context(), []event.Message{{ID: "1", Type: "x", Source: "s", Data: []byte("1")}})
		class := d.Classify(err)
		if err == nil || class.Code != c.want || class.Retryable() != c.retry || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q (try again: %v): %v", name, class.Code, class.Retryable(), err)
		}
	}
}

// A topic takes 256 KiB unless it says more; batches are packed to what it says. Who may not ask is told by the first event.
func TestCheck(t *testing.T) {
	f := awsfake.New(t, "sns", false)
	tp, _ := topicOver(t, over(t, f, ""))
	data := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n) + `"`) }
	if _, err := tp.Publish(t.Context(), event.Event{Type: "x", Data: data(256 << 10)}); !fault.Is(err, fault.InvalidArgument) || f.Sends() != 0 || !strings.Contains(err.Error(), "at most 262144") {
		t.Errorf("%v after %d requests", err, f.Sends())
	}
	i := 0
	n, err := tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
		if i++; i > 10 {
			return event.Event{}, io.EOF
		}
		return event.Event{Type: "x", Data: data(100_000)}, nil
	}, nil)
	if n != 10 || err != nil || f.Sends() < 5 || len(f.Got()) != 10 { // two fit a request; of which the fake refuses what is too long
		t.Errorf("%d, %v, in %d requests", n, err, f.Sends())
	}
	f.Most = 1 << 20
	tp, _ = topicOver(t, over(t, f, ""))
	if _, err := tp.Publish(t.Context(), event.Event{Type: "x", Data: data(1_000_000)}); err != nil {
		t.Error(err)
	}
	f.OnCheck = func() *awsfake.Answer { return &awsfake.Answer{Status: 403, Code: "AuthorizationError"} }
	tp, _ = topicOver(t, over(t, f, ""))
	if _, err := tp.Publish(t.Context(), event.Event{Type: "x"}); err != nil {
		t.Error(err)
	}
	f.Missing = true
	_, err = tp.Publish(t.Context(), event.Event{Type: "x"})
	if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.ClassOf(err).Hint, f.Place()) {
		t.Errorf("%v, hint %q", err, fault.ClassOf(err).Hint)
	}
}

// A wrong key is refused, and the service's echo shows no secret.
func TestSecrets(t *testing.T) {
	f := awsfake.New(t, "sns", false)
	const canary = "C4n4ry/secret+key=="
	env := newEnv(t, awsfake.ID, canary, awsfake.Token)
	tp := event.New("orders", "sns", openTopic(t, env, Options{TopicARN: f.Place(), Endpoint: f.URL}), event.Options{Redactor: env.Redactor})
	_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "does not match: you sent") || !strings.Contains(err.Error(), secret.Mask) {
		t.Errorf("the echo is missing: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %q %s", err, err, err, fault.ClassOf(err).Hint); strings.Contains(text, canary) || strings.Contains(text, awsfake.Token) {
		t.Errorf("a secret is shown: %s", text)
	}
}

func TestOptions(t *testing.T) {
	env := newEnv(t, "x", "y", "")
	const arn = "arn:aws:sns:ap-south-1:111122223333:training"
	for name, c := range map[string]struct {
		o                Options
		region, endpoint string
		want             fault.Code
	}{
		"of the ARN":        {Options{TopicARN: arn}, "ap-south-1", "https://sns.ap-south-1.amazonaws.com", ""},
		"of China":          {Options{TopicARN: "arn:aws-cn:sns:cn-north-1:111122223333:t"}, "cn-north-1", "https://sns.cn-north-1.amazonaws.com.cn", ""},
		"declared":          {Options{TopicARN: arn + ".fifo", Region: "us-west-2", GroupID: "{type}", Endpoint: "https://e.example.com/"}, "us-west-2", "https://e.example.com", ""},
		"group of standard": {Options{TopicARN: arn, GroupID: "g"}, "", "", fault.InvalidArgument},
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
	for s, ok := range map[string]bool{arn: true, arn + ".fifo": true, "": false, "training": false, "arn:aws:sqs:eu-west-1:111122223333:q": false, arn + ":sub": false} {
		if (checkARN(s) == nil) != ok {
			t.Errorf("topic %q", s)
		}
	}
}
