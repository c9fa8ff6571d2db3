// Package sns is the topic that publishes events to a topic of Amazon SNS. Package awsmessage says how events become
// messages and how FIFO topics are kept in order.
package sns

import (
	"context"
	"encoding/xml"
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

// Options are the attributes of `topic "sns"`.
type Options struct {
	TopicARN string
	GroupID  string
	Region   string
	Endpoint string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.TopicARN, "topic_arn", "ARN of the topic. One that ends in .fifo keeps the order of each message group and drops repeats of an event for five minutes.").Required().
		Eg(`"arn:aws:sns:eu-central-1:111122223333:training"`).Validate(func() error { return checkARN(o.TopicARN) })
	f.String(&o.GroupID, "message_group_id", "Message group of the events, of a FIFO topic; when absent, all are of one. "+
		"`{subject}`, `{type}`, `{source}` and `{NAME}` of an attribute stand for those of the event. Groups are sent side by side, the events of one group one after another.").
		Eg(`"{subject}"`).Validate(func() error { return event.CheckKey("message_group_id", o.GroupID) })
	f.String(&o.Region, "region", "Region that requests are signed for; when absent, that of the topic's ARN.").Eg(`"eu-central-1"`)
	f.String(&o.Endpoint, "endpoint", "URL of the service; when absent, that of AWS in the region.").Eg(`"https://sns.eu-central-1.amazonaws.com"`).
		Validate(func() error { return awsauth.CheckURL("endpoint", o.Endpoint) })
}

// Provider is the kind `topic "sns"`.
func Provider() provider.Provider {
	return provider.Topic("sns", "Publishes events to a topic of Amazon SNS, as CloudEvents.", open).With(awsauth.Family)
}

// Topic is a topic of SNS. Nothing is sent before the first Check or Publish.
type Topic struct {
	arn    string
	shape  awsmessage.Shape
	client *awsmessage.Client
	most   atomic.Int64 // bytes of a request's messages, as the topic says
}

func open(_ context.Context, env provider.Env, o *Options) (event.Driver, error) {
	t := &Topic{arn: o.TopicARN, shape: awsmessage.Shape{FIFO: strings.HasSuffix(o.TopicARN, ".fifo"), Group: o.GroupID}}
	if o.GroupID != "" && !t.shape.FIFO {
		return nil, fault.Hinted(fault.InvalidArgument, "Take a topic whose name ends in .fifo, or leave message_group_id out.", "message_group_id is for FIFO topics")
	}
	m := topicARN().FindStringSubmatch(o.TopicARN)
	if m == nil {
		return nil, fault.New(fault.InvalidArgument, "topic_arn is not the ARN of a topic")
	}
	region := o.Region
	if region == "" {
		region = m[1]
	}
	var err error
	if t.client, err = awsmessage.NewClient(env, "sns", region, strings.TrimSuffix(o.Endpoint, "/")); err != nil {
		return nil, err
	}
	t.client.Refusal = refusal
	t.most.Store(awsmessage.MaxBytes)
	return t, nil
}

// call calls an action of the service's query protocol.
func (t *Topic) call(ctx context.Context, action string, in url.Values, out any) error {
	in.Set("Action", action)
	in.Set("Version", "2010-03-31")
	in.Set("TopicArn", t.arn)
	reply, err := t.client.Do(ctx, map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, []byte(in.Encode()))
	if err != nil {
		return fmt.Errorf("%s: %w", action, awsmessage.Trim(err))
	}
	if err := xml.Unmarshal(reply, out); err != nil {
		return &fault.Error{Class: fault.Class{Code: fault.Unavailable, MaybeApplied: true}, Err: fmt.Errorf("%s: the reply is not XML: %w", action, err)}
	}
	return nil
}

// refusal reads an ErrorResponse.
func refusal(_ http.Header, body []byte) (code, message string) {
	var e struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		Code    string   `xml:"Error>Code"`
		Message string   `xml:"Error>Message"`
	}
	if xml.Unmarshal(body, &e) != nil {
		return "", ""
	}
	return e.Code, e.Message
}

// Publish implements event.Driver.
func (t *Topic) Publish(ctx context.Context, batch []event.Message) error {
	return t.shape.Publish(ctx, batch, t.send)
}

func (t *Topic) send(ctx context.Context, list []awsmessage.Entry) ([]error, error) {
	in := url.Values{}
	for i, e := range list {
		member := "PublishBatchRequestEntries.member." + strconv.Itoa(i+1) + "."
		in.Set(member+"Id", strconv.Itoa(i))
		in.Set(member+"Message", e.Body)
		if e.Group != "" {
			in.Set(member+"MessageGroupId", e.Group)
			in.Set(member+"MessageDeduplicationId", e.Dedup)
		}
		for n, a := range e.Attributes {
			attribute := member + "MessageAttributes.entry." + strconv.Itoa(n+1) + "."
			in.Set(attribute+"Name", a[0])
			in.Set(attribute+"Value.DataType", "String")
			in.Set(attribute+"Value.StringValue", a[1])
		}
	}
	var out struct {
		XMLName    xml.Name `xml:"PublishBatchResponse"`
		Successful []struct {
			ID        string `xml:"Id"`
			MessageID string `xml:"MessageId"`
		} `xml:"PublishBatchResult>Successful>member"`
		Failed []struct {
			ID          string `xml:"Id"`
			Code        string
			Message     string
			SenderFault bool
		} `xml:"PublishBatchResult>Failed>member"`
	}
	if err := t.call(ctx, "PublishBatch", in, &out); err != nil {
		return nil, err
	}
	errs := make([]error, len(list))
	for i := range errs {
		errs[i] = awsmessage.Unanswered("PublishBatch")
	}
	for _, s := range out.Successful {
		if i, err := strconv.Atoi(s.ID); err == nil && i >= 0 && i < len(list) && s.MessageID != "" {
			errs[i] = nil
		}
	}
	for _, f := range out.Failed {
		if i, err := strconv.Atoi(f.ID); err == nil && i >= 0 && i < len(list) {
			errs[i] = &awsmessage.EntryError{Op: "PublishBatch", Code: f.Code, Message: f.Message, Sender: f.SenderFault}
		}
	}
	return errs, nil
}

// Limits implements event.Driver. The messages of a request together are held to what the topic takes of one.
func (t *Topic) Limits() event.Limits {
	most := t.most.Load()
	return event.Limits{Batch: awsmessage.MaxBatch, BatchBytes: most, MessageBytes: most, Size: t.shape.Size, Ordered: t.shape.FIFO}
}

// Check asks for the topic and for the largest message that it takes. Who may publish need not be allowed to ask; then the
// first event tells, since the service refuses messages for a topic that does not exist.
func (t *Topic) Check(ctx context.Context) error {
	var out struct {
		XMLName xml.Name `xml:"GetTopicAttributesResponse"`
		Entries []struct {
			Key   string `xml:"key"`
			Value string `xml:"value"`
		} `xml:"GetTopicAttributesResult>Attributes>entry"`
	}
	err := t.call(ctx, "GetTopicAttributes", url.Values{}, &out)
	if awsmessage.Classify(err).Code == fault.PermissionDenied {
		return nil
	}
	if err != nil {
		return err
	}
	most := int64(defaultBytes)
	for _, e := range out.Entries {
		if n, err := strconv.ParseInt(e.Value, 10, 64); e.Key == "MaximumMessageSize" && err == nil && n > 0 {
			most = min(n, awsmessage.MaxBytes)
		}
	}
	t.most.Store(most)
	return nil
}

// defaultBytes is what a topic takes that says nothing else.
const defaultBytes = 256 << 10

// Classify implements event.Driver.
func (t *Topic) Classify(err error) fault.Class {
	c := awsmessage.Classify(err)
	switch c.Code {
	case fault.NotFound:
		c.Hint = fmt.Sprintf("There is no topic %s: check the account, the name and the region.", t.arn)
	case fault.PermissionDenied:
		c.Hint = fmt.Sprintf("Allow the action sns:Publish on %s to the user or role that the credential logs in as.", t.arn)
	}
	return c
}

// Close implements event.Driver.
func (t *Topic) Close() error {
	t.client.Close()
	return nil
}

var topicARN = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^arn:aws[a-z-]*:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,251}(\.fifo)?$`)
})

func checkARN(s string) error {
	if !topicARN().MatchString(s) {
		return fmt.Errorf("%q is not the ARN of a topic: it has the form \"arn:aws:sns:REGION:ACCOUNT:NAME\".", s)
	}
	return nil
}
