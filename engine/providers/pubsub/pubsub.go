// Package pubsub is the topic that publishes events to Google Cloud Pub/Sub.
//
// In the form "cloudevents" a message's data is the event in structured mode, as the Pub/Sub binding of CloudEvents says
// (https://github.com/cloudevents/spec/blob/main/pubsub-protocol-binding.md), with the event's attributes as message
// attributes beside it (ce-type and so on), for filters. In the form "native" the data is
//
//	{"project_id": PROJECT, "topic_name": TOPIC, "source": SOURCE, "event_type": TYPE, "payload": DATA}
//
// and the event's own attributes are message attributes; ce-id, ce-time and ce-subject carry what the form has no place
// for, so that a receiver can drop repeats.
//
// Calls are unary gRPC over net/http. The REST API would take three quarters of the bytes in a request, because its limit
// counts the base64 of the data; internal/docs/design.md has the figures.
package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
)

// emulatorHost names the environment's emulator ("host:port"), as for all of Google's tools.
const emulatorHost = "PUBSUB_EMULATOR_HOST"

// Options are the attributes of `topic "pubsub"`.
type Options struct {
	Project     string
	Topic       string
	OrderingKey string
	Attributes  map[string]string
	Endpoint    string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Project, "project", "Id of the project that the topic belongs to.").Required().Eg(`"example-project"`).
		Validate(func() error { return checkProject(o.Project) })
	f.String(&o.Topic, "topic", "Id of the topic.").Required().Eg(`"training"`).
		Validate(func() error { return checkTopic(o.Topic) })
	f.String(&o.OrderingKey, "ordering_key", "Ordering key of the messages: those of one key are delivered in the order of publishing to subscriptions that ask for it. "+
		"`{subject}`, `{type}`, `{source}` and `{NAME}` of an attribute stand for those of the event.").Eg(`"{subject}"`).
		Validate(func() error { return checkKey(o.OrderingKey) })
	f.Map(&o.Attributes, "attributes", "Attributes of every message, for filters of subscriptions.").Eg(`{ team = "ml" }`).
		Validate(func() error { return o.checkAttributes() })
	f.String(&o.Endpoint, "endpoint", "URL of the service; when absent, the global one. Order holds within a region, so a regional one is the better for ordering_key.").
		Eg(`"https://europe-west1-pubsub.googleapis.com"`).FromEnv(emulatorHost).
		Validate(func() error { return checkEndpoint(o.Endpoint) })
}

// Provider is the kind `topic "pubsub"`.
func Provider() provider.Provider {
	return provider.Topic("pubsub", "Publishes events to a topic of Google Cloud Pub/Sub, as CloudEvents or in a native form.", open).
		With(gcpauth.Family).Sends(schema.FormatNative)
}

// Topic is a topic of Pub/Sub. Nothing is sent before the first Check or Publish.
type Topic struct {
	project, topic string
	path           string // projects/PROJECT/topics/TOPIC
	key            string // a template of event.KeyOf
	attributes     map[string]string
	native         bool
	endpoint       string // without a path
	http           *http.Client
	credential     credential.Source
	anonymous      bool
}

func open(_ context.Context, env provider.Env, o *Options) (event.Driver, error) {
	t := &Topic{project: o.Project, topic: o.Topic, path: "projects/" + o.Project + "/topics/" + o.Topic, key: o.OrderingKey,
		attributes: o.Attributes, native: env.Format == schema.FormatNative, endpoint: strings.TrimSuffix(o.Endpoint, "/"),
		credential: env.Credential}
	client := *httpclient.WithHTTP2(env.HTTP)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // gRPC has none
	t.http = &client
	emulator := ""
	if env.Getenv != nil && o.Endpoint == "" {
		emulator = strings.TrimPrefix(env.Getenv(emulatorHost), "http://")
	}
	switch {
	case emulator != "": // it takes no token and must be given none
		t.endpoint, t.anonymous = "http://"+emulator, true
		if u, err := url.Parse(t.endpoint); err != nil || u.Host != emulator {
			return nil, fault.Hinted(fault.InvalidArgument, "Write it as HOST:PORT, or unset it.", "%s is not the address of an emulator", emulatorHost)
		}
		if env.Log != nil {
			env.Log.LogAttrs(context.Background(), slog.LevelInfo, "events go to the emulator of the environment", slog.String("topic", env.Name), slog.String("address", emulator))
		}
	case env.Credential == nil:
		return nil, fault.Hinted(fault.InvalidArgument, "Name a credential of the family gcp.", "Pub/Sub takes requests with a token only")
	case gcpauth.Anonymous(env.Credential):
		t.anonymous = true
	}
	if t.endpoint == "" {
		t.endpoint = "https://pubsub.googleapis.com"
	}
	return t, nil
}

// Publish implements event.Driver. A request holds messages of one ordering key only, as the service demands, and is
// taken or refused as a whole. Requests of different keys are under way together; those of one key follow each other.
func (t *Topic) Publish(ctx context.Context, batch []event.Message) error {
	if len(batch) == 0 {
		return ctx.Err()
	}
	var groups []*group
	byKey := map[string]*group{}
	for i, m := range batch {
		out, err := t.encode(m)
		if err != nil {
			return fault.New(fault.InvalidArgument, "%w", err)
		}
		g := byKey[out.key]
		if g == nil {
			g = &group{}
			byKey[out.key] = g
			groups = append(groups, g)
		}
		g.messages, g.at = append(g.messages, out), append(g.at, i)
	}
	if len(groups) == 1 {
		return t.publish(ctx, groups[0].messages)
	}
	errs := make([]error, len(groups))
	var calls errgroup.Group
	calls.SetLimit(maxCalls)
	for i, g := range groups {
		calls.Go(func() error { errs[i] = t.publish(ctx, g.messages); return nil })
	}
	_ = calls.Wait() // the errors are in errs
	failed := &event.BatchError{}
	for i, err := range errs {
		if err == nil {
			continue
		}
		for _, at := range groups[i].at {
			failed.Failed = append(failed.Failed, event.Failure{Index: at, Err: err})
		}
	}
	if len(failed.Failed) == 0 {
		return nil
	}
	return failed
}

// maxCalls is how many requests of one batch are under way together.
const maxCalls = 16

// group is what a batch holds of one ordering key, and where in the batch.
type group struct {
	messages []message
	at       []int
}

// publish sends messages of one ordering key.
func (t *Topic) publish(ctx context.Context, list []message) error {
	reply, err := t.call(ctx, "Publish", publishRequest(t.path, list))
	if err != nil {
		return err
	}
	ids, err := publishedIDs(reply)
	if err == nil && len(ids) != len(list) {
		err = fmt.Errorf("the reply has %d ids, of %d messages that were sent", len(ids), len(list))
	}
	if err != nil {
		return &fault.Error{Class: fault.Class{Code: fault.Internal, MaybeApplied: true}, Err: fmt.Errorf("Publish: %w", err)}
	}
	return nil
}

// Limits implements event.Driver.
func (t *Topic) Limits() event.Limits {
	most := int64(maxRequest - bytesSize(len(t.path)))
	return event.Limits{Batch: maxMessages, BatchBytes: most, MessageBytes: most, Size: t.size, Valid: t.valid, Ordered: t.key != ""}
}

// Check asks for the topic. Who may publish need not be allowed to ask; then the first event tells, since the service
// refuses events for a topic that does not exist.
func (t *Topic) Check(ctx context.Context) error {
	_, err := t.call(ctx, "GetTopic", appendBytes(nil, 1, []byte(t.path)))
	if fault.Is(err, fault.PermissionDenied) {
		return nil
	}
	return err
}

// Close implements event.Driver.
func (t *Topic) Close() error {
	t.http.CloseIdleConnections()
	return nil
}

// Patterns are compiled when first used, not at each start of the program.
var (
	projectID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{0,99}$`) })
	topicID   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`) })
)

func checkProject(s string) error {
	if !projectID().MatchString(s) {
		return fmt.Errorf("%q is not the id of a project: it has lower-case letters, digits and \"-\".", s)
	}
	return nil
}

func checkTopic(s string) error {
	if !topicID().MatchString(s) || strings.HasPrefix(s, "goog") {
		return fmt.Errorf("%q is not the id of a topic: it has 3 to 255 letters, digits and characters of \"-._~+%%\", begins with a letter and not with goog.", s)
	}
	return nil
}

func (o *Options) checkAttributes() error {
	if len(o.Attributes) > maxAttributes/2 {
		return fmt.Errorf("there are %d attributes; at most %d leave room for those of events.", len(o.Attributes), maxAttributes/2)
	}
	for k, v := range o.Attributes {
		if err := checkAttribute(k, v); err != nil {
			return fmt.Errorf("%w.", err)
		}
		if k == contentType || strings.HasPrefix(k, "ce-") {
			return fmt.Errorf("attribute %q: the name is CloudEvents' own.", k)
		}
	}
	return nil
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("endpoint is not of the form \"https://HOST\".")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if local := u.Hostname() == "localhost" || err == nil && addr.IsLoopback(); u.Scheme == "http" && !local {
		return fmt.Errorf("endpoint must begin with https: the token would go over the network in the clear.")
	}
	return nil
}
