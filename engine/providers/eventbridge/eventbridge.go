// Package eventbridge is the topic that sends events to a bus of Amazon EventBridge.
//
// In the form "cloudevents" an entry's detail is the whole CloudEvent in structured JSON; in the form "native" it is the
// event's data alone. In both, the entry's source, detail-type and time are the event's source, type and time, so that
// the same patterns of rules match. The native form keeps the subject as the entry's resource; it has no place for the
// event's id, because the service makes one of its own, nor for further attributes, which it refuses.
package eventbridge

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
)

// Options are the attributes of `topic "eventbridge"`.
type Options struct {
	Bus      string
	Region   string
	Endpoint string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Bus, "bus", "Name or ARN of the event bus; every account has one named `default`.").Required().Eg(`"training"`).
		Validate(func() error { return checkBus(o.Bus) })
	f.String(&o.Region, "region", "Region of the bus; when absent, that of the bus's ARN or of the credential.").Eg(`"eu-central-1"`).FromEnv("AWS_REGION", "AWS_DEFAULT_REGION")
	f.String(&o.Endpoint, "endpoint", "URL of the service; when absent, that of AWS in the region.").Eg(`"https://events.eu-central-1.amazonaws.com"`).
		Validate(func() error { return awsauth.CheckURL("endpoint", o.Endpoint) })
}

// Provider is the kind `topic "eventbridge"`.
func Provider() provider.Provider {
	return provider.Topic("eventbridge", "Sends events to a bus of Amazon EventBridge, as CloudEvents or in its native form.", open).
		With(awsauth.Family).Sends(schema.FormatNative)
}

// Topic is a bus. Nothing is sent before the first Check or Publish.
type Topic struct {
	bus, region string
	native      bool
	client      *eventbridge.Client
	credential  *awsauth.Adapter
	http        *http.Client
	log         *slog.Logger
	name        string
	unsure      sync.Once
}

func open(ctx context.Context, env provider.Env, o *Options) (event.Driver, error) {
	if env.Credential == nil || awsauth.Anonymous(env.Credential) {
		return nil, fault.Hinted(fault.InvalidArgument, "Name a credential with a key or a role.", "EventBridge takes signed requests only")
	}
	region := o.Region
	if m := busARN().FindStringSubmatch(o.Bus); region == "" && m != nil {
		region = m[1]
	}
	if region == "" {
		region = awsauth.Region(ctx, env.Credential)
	}
	if region == "" {
		return nil, fault.Hinted(fault.InvalidArgument, "Set region in the topic or in its credential.", "the region of the bus %q is not known", o.Bus)
	}
	c := awsauth.Config(env, region)
	if o.Endpoint != "" {
		c.BaseEndpoint = &o.Endpoint
	}
	t := &Topic{bus: o.Bus, region: region, native: env.Format == schema.FormatNative, client: eventbridge.NewFromConfig(c),
		credential: awsauth.Credentials(env.Credential), http: env.HTTP, log: env.Log, name: env.Name}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	return t, nil
}

// Publish implements event.Driver.
func (t *Topic) Publish(ctx context.Context, batch []event.Message) error {
	if len(batch) == 0 {
		return ctx.Err()
	}
	in := &eventbridge.PutEventsInput{}
	for _, m := range batch {
		e, err := t.entry(m)
		if err != nil {
			return fault.New(fault.InvalidArgument, "%w", err)
		}
		in.Entries = append(in.Entries, e)
	}
	var out *eventbridge.PutEventsOutput
	err := t.credential.Do(ctx, func(ctx context.Context) (err error) {
		out, err = t.client.PutEvents(ctx, in)
		return err
	})
	if err != nil {
		return fmt.Errorf("PutEvents: %w", awsauth.Trim(err))
	}
	return outcome(len(batch), out)
}

// Limits implements event.Driver. The sizes are those of the API's reference for PutEvents.
func (t *Topic) Limits() event.Limits {
	return event.Limits{Batch: 10, BatchBytes: 1 << 20, MessageBytes: 1 << 20, Size: t.size, Valid: t.valid}
}

// Check asks for the bus, because PutEvents accepts events for a bus that does not exist and drops them. Where the
// credential may send and not ask, that is said once and no failure.
func (t *Topic) Check(ctx context.Context) error {
	err := t.credential.Do(ctx, func(ctx context.Context) error {
		_, err := t.client.DescribeEventBus(ctx, &eventbridge.DescribeEventBusInput{Name: aws.String(t.bus)})
		return err
	})
	if err == nil {
		return nil
	}
	if code := awsauth.Code(err); code == "AccessDeniedException" || code == "AccessDenied" {
		t.unsure.Do(func() {
			t.log.Warn("cannot verify that the event bus exists, because the credential may not call events:DescribeEventBus: events for a bus that does not exist are lost without an error",
				"topic", t.name, "bus", t.bus, "region", t.region)
		})
		return nil
	}
	return fmt.Errorf("DescribeEventBus: %w", awsauth.Trim(err))
}

// Classify implements event.Driver.
func (t *Topic) Classify(err error) fault.Class {
	c := awsauth.Classify(err)
	switch code := awsauth.Code(err); {
	case code == "ResourceNotFoundException":
		c.Hint = fmt.Sprintf("The account of the credential has no event bus %q in the region %s: check the name, the region and the credential.", t.bus, t.region)
	case code == "AccessDeniedException" || code == "AccessDenied":
		c.Hint = fmt.Sprintf("Allow the action events:PutEvents on the event bus %q to the user or role that the credential logs in as.", t.bus)
	case refusals[code] != "":
		c.Code = refusals[code]
	}
	if e := failedEntry(err); e != nil {
		c.RequestID, c.MaybeApplied = e.requestID, false // the reply says that it was not taken
	}
	return c
}

// refusals are the codes of single entries that other services do not have.
var refusals = map[string]fault.Code{
	"NotAuthorizedForSourceException":     fault.PermissionDenied,
	"NotAuthorizedForDetailTypeException": fault.PermissionDenied,
	"InvalidAccountIdException":           fault.InvalidArgument,
	"MalformedDetail":                     fault.InvalidArgument,
	"RedactionFailure":                    fault.Internal,
}

// Close implements event.Driver.
func (t *Topic) Close() error {
	if t.http != nil {
		t.http.CloseIdleConnections()
	}
	return nil
}

// Patterns are compiled when first used, not at each start of the program.
var (
	busARN = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^arn:aws[a-z-]*:events:([a-z0-9-]+):[0-9]{12}:event-bus/[/.\-_A-Za-z0-9]+$`)
	})
	busName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[/.\-_A-Za-z0-9]+$`) })
)

func checkBus(s string) error {
	switch {
	case strings.HasPrefix(s, "arn:") && !busARN().MatchString(s):
		return fmt.Errorf("%q is not the ARN of an event bus: it has the form \"arn:aws:events:REGION:ACCOUNT:event-bus/NAME\".", s)
	case !strings.HasPrefix(s, "arn:") && (len(s) > 256 || !busName().MatchString(s)):
		return fmt.Errorf("%q is not the name of an event bus: it has up to 256 letters, digits and characters of \"/._-\".", s)
	}
	return nil
}
