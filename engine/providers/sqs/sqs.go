// Package sqs is the topic that sends events to a queue of Amazon SQS. Package awsmessage says how events become messages
// and how FIFO queues are kept in order.
package sqs

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/engine/providers/internal/awsmessage"
)

// Options are the attributes of `topic "sqs"`.
type Options struct {
	QueueURL string
	GroupID  string
	Region   string
	Endpoint string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.QueueURL, "queue_url", "URL of the queue. One that ends in .fifo keeps the order of each message group and drops repeats of an event for five minutes.").Required().
		Eg(`"https://sqs.eu-central-1.amazonaws.com/111122223333/training"`).Validate(func() error { return checkQueue(o.QueueURL) })
	f.String(&o.GroupID, "message_group_id", "Message group of the events, of a FIFO queue; when absent, all are of one. "+
		"`{subject}`, `{type}`, `{source}` and `{NAME}` of an attribute stand for those of the event. Groups are sent side by side, the events of one group one after another.").
		Eg(`"{subject}"`).Validate(func() error { return event.CheckKey("message_group_id", o.GroupID) })
	f.String(&o.Region, "region", "Region of the queue; when absent, that of the queue's URL or of the credential.").Eg(`"eu-central-1"`).FromEnv("AWS_REGION", "AWS_DEFAULT_REGION")
	f.String(&o.Endpoint, "endpoint", "URL of the service; when absent, that of the queue's URL.").Eg(`"https://sqs.eu-central-1.amazonaws.com"`).
		Validate(func() error { return awsauth.CheckURL("endpoint", o.Endpoint) })
}

// Provider is the kind `topic "sqs"`.
func Provider() provider.Provider {
	return provider.Topic("sqs", "Sends events to a queue of Amazon SQS, as CloudEvents.", open).With(awsauth.Family)
}

// Topic is a queue. Nothing is sent before the first Check or Publish.
type Topic struct {
	queue  string // URL
	shape  awsmessage.Shape
	client *awsmessage.Client
	most   atomic.Int64 // bytes of a message, as the queue says
}

func open(ctx context.Context, env provider.Env, o *Options) (event.Driver, error) {
	u, err := url.Parse(o.QueueURL)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "queue_url is not a URL")
	}
	t := &Topic{queue: o.QueueURL, shape: awsmessage.Shape{FIFO: strings.HasSuffix(u.Path, ".fifo"), Group: o.GroupID}}
	if o.GroupID != "" && !t.shape.FIFO {
		return nil, fault.Hinted(fault.InvalidArgument, "Take a queue whose name ends in .fifo, or leave message_group_id out.", "message_group_id is for FIFO queues")
	}
	region := o.Region
	if m := regional().FindStringSubmatch(u.Hostname()); region == "" && m != nil {
		region = m[1] + m[2]
	}
	if region == "" && env.Credential != nil {
		region = awsauth.Region(ctx, env.Credential)
	}
	if region == "" {
		return nil, fault.Hinted(fault.InvalidArgument, "Set region in the topic or in its credential.", "the region of the queue is not known")
	}
	endpoint := strings.TrimSuffix(o.Endpoint, "/")
	if endpoint == "" && !strings.HasSuffix(u.Hostname(), "queue.amazonaws.com") { // which is an old name
		endpoint = u.Scheme + "://" + u.Host
	}
	if t.client, err = awsmessage.NewClient(env, "sqs", region, endpoint); err != nil {
		return nil, err
	}
	t.client.Refusal = refusal
	t.most.Store(awsmessage.MaxBytes)
	return t, nil
}

// call calls an action of the service's JSON protocol.
func (t *Topic) call(ctx context.Context, action string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	reply, err := t.client.Do(ctx, map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + action}, body)
	if err != nil {
		return fmt.Errorf("%s: %w", action, awsmessage.Trim(err))
	}
	if err := json.Unmarshal(reply, out); err != nil {
		return &fault.Error{Class: fault.Class{Code: fault.Unavailable, MaybeApplied: true}, Err: fmt.Errorf("%s: the reply is not JSON: %w", action, err)}
	}
	return nil
}

// refusal reads a reply that is no success: {"__type": "com.amazonaws.sqs#CODE", "message": ...}.
func refusal(_ http.Header, body []byte) (code, message string) {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil {
		return "", ""
	}
	if _, after, ok := strings.Cut(e.Type, "#"); ok {
		return after, e.Message
	}
	return e.Type, e.Message
}

type attribute struct {
	DataType, StringValue string
}

type entry struct {
	ID                     string `json:"Id"`
	MessageBody            string
	MessageAttributes      map[string]attribute
	MessageGroupID         string `json:"MessageGroupId,omitempty"`
	MessageDeduplicationID string `json:"MessageDeduplicationId,omitempty"`
}

// Publish implements event.Driver.
func (t *Topic) Publish(ctx context.Context, batch []event.Message) error {
	return t.shape.Publish(ctx, batch, t.send)
}

func (t *Topic) send(ctx context.Context, list []awsmessage.Entry) ([]error, error) {
	in := struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []entry
	}{QueueURL: t.queue}
	for i, e := range list {
		out := entry{strconv.Itoa(i), e.Body, map[string]attribute{}, e.Group, e.Dedup}
		for _, a := range e.Attributes {
			out.MessageAttributes[a[0]] = attribute{"String", a[1]}
		}
		in.Entries = append(in.Entries, out)
	}
	var out struct {
		Successful []struct {
			ID  string `json:"Id"`
			MD5 string `json:"MD5OfMessageBody"`
		}
		Failed []struct {
			ID            string `json:"Id"`
			Code, Message string
			SenderFault   bool
		}
	}
	if err := t.call(ctx, "SendMessageBatch", in, &out); err != nil {
		return nil, err
	}
	errs := make([]error, len(list))
	for i := range errs {
		errs[i] = awsmessage.Unanswered("SendMessageBatch")
	}
	for _, s := range out.Successful {
		i, err := strconv.Atoi(s.ID)
		if err != nil || i < 0 || i >= len(list) {
			continue
		}
		if sum := md5.Sum([]byte(list[i].Body)); s.MD5 != hex.EncodeToString(sum[:]) {
			errs[i] = &fault.Error{Class: fault.Class{Code: fault.DataLoss, MaybeApplied: true}, Err: fmt.Errorf("SendMessageBatch: the queue took other bytes than were sent (MD5 %s)", s.MD5)}
			continue
		}
		errs[i] = nil
	}
	for _, f := range out.Failed {
		if i, err := strconv.Atoi(f.ID); err == nil && i >= 0 && i < len(list) {
			errs[i] = &awsmessage.EntryError{Op: "SendMessageBatch", Code: f.Code, Message: f.Message, Sender: f.SenderFault}
		}
	}
	return errs, nil
}

// Limits implements event.Driver.
func (t *Topic) Limits() event.Limits {
	return event.Limits{Batch: awsmessage.MaxBatch, BatchBytes: awsmessage.MaxBytes, MessageBytes: t.most.Load(), Size: t.shape.Size, Ordered: t.shape.FIFO}
}

// Check asks for the queue and for the largest message that it takes. Who may send need not be allowed to ask; then the
// first event tells, since the service refuses messages for a queue that does not exist.
func (t *Topic) Check(ctx context.Context) error {
	in := struct {
		QueueURL       string `json:"QueueUrl"`
		AttributeNames []string
	}{t.queue, []string{"MaximumMessageSize"}}
	var out struct{ Attributes map[string]string }
	err := t.call(ctx, "GetQueueAttributes", in, &out)
	if awsmessage.Classify(err).Code == fault.PermissionDenied {
		return nil
	}
	if n, nerr := strconv.ParseInt(out.Attributes["MaximumMessageSize"], 10, 64); err == nil && nerr == nil && n > 0 {
		t.most.Store(min(n, awsmessage.MaxBytes))
	}
	return err
}

// Classify implements event.Driver.
func (t *Topic) Classify(err error) fault.Class {
	c := awsmessage.Classify(err)
	switch c.Code {
	case fault.NotFound:
		c.Hint = fmt.Sprintf("There is no queue %s: check the account, the name and the region.", t.queue)
	case fault.PermissionDenied:
		c.Hint = "Allow the action sqs:SendMessage on the queue to the user or role that the credential logs in as."
	}
	return c
}

// Close implements event.Driver.
func (t *Topic) Close() error {
	t.client.Close()
	return nil
}

// regional finds the region in the host of a queue's URL, of today's form and of the old one.
var regional = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:sqs(?:-fips)?\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com(?:\.cn)?$`)
})

func checkQueue(s string) error {
	u, err := url.Parse(s)
	if err != nil || awsauth.CheckURL("queue_url", s) != nil || strings.Count(u.Path, "/") < 2 || strings.HasSuffix(u.Path, "/") {
		return fmt.Errorf("%q is not the URL of a queue: it has the form \"https://sqs.REGION.amazonaws.com/ACCOUNT/NAME\".", s)
	}
	return nil
}
