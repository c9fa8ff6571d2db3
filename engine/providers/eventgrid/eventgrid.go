// Package eventgrid is the topic that sends events to Azure Event Grid: to a custom topic, a domain, or a topic of a
// namespace (https://learn.microsoft.com/azure/event-grid/post-to-custom-topic).
//
// In the form "cloudevents" a request is a batch of CloudEvents 1.0; in the form "native" it is an array of events of
// Event Grid's own schema. A topic takes the one that it was made for (its input schema) and refuses the other; topics of
// namespaces take CloudEvents only. The service takes or refuses a request as a whole.
package eventgrid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
)

// Options are the attributes of `topic "eventgrid"`.
type Options struct {
	Endpoint    string
	DomainTopic string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Endpoint, "endpoint", "Endpoint of the topic or domain, as `az eventgrid topic show --query endpoint` prints it; of a topic of a namespace, `https://HOST/topics/TOPIC`.").Required().
		Eg(`"https://training.westeurope-1.eventgrid.azure.net/api/events"`).
		Validate(func() error { _, err := parseEndpoint(o.Endpoint); return err })
	f.String(&o.DomainTopic, "domain_topic", "Topic within a domain that events of the native form go to. CloudEvents go to the one that `source` names.").Eg(`"tenant-7"`)
}

// Provider is the kind `topic "eventgrid"`.
func Provider() provider.Provider {
	return provider.Topic("eventgrid", "Sends events to Azure Event Grid, as CloudEvents or in its own schema.", open).
		With(azureauth.Family).Sends(schema.FormatNative)
}

// The versions of the protocol that requests name: of topics and domains, and of namespaces.
const (
	versionTopic     = "2018-01-01"
	versionNamespace = "2024-06-01"
)

// endpoint is where a topic's requests go.
type endpoint struct {
	url       string // with the version
	host      string
	where     string // for messages
	namespace bool
}

// parseEndpoint reads the attribute "endpoint".
func parseEndpoint(s string) (endpoint, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return endpoint{}, fmt.Errorf("%q must be a URL such as \"https://TOPIC.REGION-1.eventgrid.azure.net/api/events\", without user, query or fragment.", "endpoint")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return endpoint{}, fmt.Errorf("%q must begin with https: what opens the topic would be read on the way.", "endpoint")
	}
	e := endpoint{host: u.Hostname(), where: u.Scheme + "://" + u.Host}
	version := versionTopic
	switch path := strings.TrimSuffix(u.Path, "/"); {
	case path == "" || path == "/api/events":
		u.Path = "/api/events"
	case strings.HasPrefix(path, "/topics/") && len(path) > len("/topics/") && strings.Count(path, "/") == 2:
		u.Path, version, e.namespace = strings.TrimSuffix(path, ":publish")+":publish", versionNamespace, true
	default:
		return endpoint{}, fmt.Errorf("%q has the path %q: that of a topic or domain is /api/events, and that of a topic of a namespace /topics/TOPIC.", "endpoint", u.Path)
	}
	u.RawPath = ""
	u.RawQuery = "api-version=" + version
	e.url = u.String()
	return e, nil
}

// loopback reports whether a host is this machine by its name.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Topic is a topic or a domain.
type Topic struct {
	at     endpoint
	domain string // the domain's topic, "" without
	native bool
	cred   credential.Source
	http   *http.Client
}

func open(_ context.Context, env provider.Env, o *Options) (event.Driver, error) {
	at, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "%w", err)
	}
	t := &Topic{at: at, domain: o.DomainTopic, native: env.Format == schema.FormatNative, cred: env.Credential}
	switch {
	case env.Credential == nil || azureauth.Anonymous(env.Credential):
		return nil, fault.Hinted(fault.InvalidArgument, "Name a credential with access_key, sas_token or an identity.", "Event Grid takes no events without a credential")
	case t.native && at.namespace:
		return nil, fault.Hinted(fault.InvalidArgument, `Leave out format, or set it to "cloudevents".`, "topics of namespaces take CloudEvents only")
	case t.domain != "" && !t.native:
		return nil, fault.Hinted(fault.InvalidArgument, fmt.Sprintf("Set source = %q in place of domain_topic.", t.domain), "of CloudEvents a domain takes the source for the topic's name")
	}
	// No redirect is followed: the next host would be given the key.
	client := *env.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.http = &client
	return t, nil
}

// Publish implements event.Driver.
func (t *Topic) Publish(ctx context.Context, batch []event.Message) error {
	if len(batch) == 0 {
		return ctx.Err()
	}
	body, err := t.encode(batch)
	if err != nil {
		return err
	}
	return t.post(ctx, body)
}

// Check sends an empty list. The service takes it, or says what is wrong with the topic, the credential or the form
// before it looks for events; the endpoint has no other request that changes nothing.
func (t *Topic) Check(ctx context.Context) error {
	err := t.post(ctx, []byte("[]"))
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusBadRequest && !r.wrongSchema() {
		return nil // it has read the request: only the list was too short for it
	}
	return err
}

// post sends a request, a second time when the token has ended.
func (t *Topic) post(ctx context.Context, body []byte) error {
	for refresh := false; ; refresh = true {
		renewable, err := t.try(ctx, body, refresh)
		var r *refusal
		if refresh || !renewable || !errors.As(err, &r) || r.status != http.StatusUnauthorized {
			return err
		}
	}
}

func (t *Topic) try(ctx context.Context, body []byte, refresh bool) (renewable bool, _ error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.at.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header["Content-Type"] = []string{t.contentType()}
	req.Header["User-Agent"] = []string{"dsrun"}
	if renewable, err = azureauth.AuthorizeEventGrid(ctx, t.cred, req, t.at.namespace, refresh); err != nil {
		return false, err
	}
	resp, err := t.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if ctx.Err() != nil {
			return renewable, ctx.Err()
		}
		return renewable, fmt.Errorf("POST %s: %w", t.at.where, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if resp.StatusCode/100 != 2 {
		return renewable, newRefusal(t.at.where, resp, text)
	}
	if err != nil {
		return renewable, fmt.Errorf("POST %s: the reply is cut: %w", t.at.where, err)
	}
	// The page of a proxy comes with 200 too, and proves nothing.
	if text = bytes.TrimSpace(text); len(text) > 0 && text[0] != '{' {
		return renewable, &fault.Error{Class: fault.Class{Code: fault.Unavailable, Hint: "Something between here and Event Grid answers in its place, such as a proxy that wants a login."},
			Err: fmt.Errorf("POST %s: the reply is not Event Grid's: %s", t.at.where, said(text))}
	}
	return renewable, nil
}

// maxReply is how much of a reply is read, in bytes.
const maxReply = 64 << 10

// Limits implements event.Driver. The numbers are those of
// https://learn.microsoft.com/azure/event-grid/quotas-limits: 1 MB an event and a request, 5,000 events a request of a
// topic or domain, 1,000 of a namespace.
func (t *Topic) Limits() event.Limits {
	most := 5000
	if t.at.namespace {
		most = 1000
	}
	// An event is counted with the comma or bracket before it; one more bracket ends the array.
	return event.Limits{Batch: most, BatchBytes: maxBytes - 1, MessageBytes: maxBytes - 1, Size: t.size, Valid: t.valid}
}

const maxBytes = 1 << 20

// Classify implements event.Driver.
func (t *Topic) Classify(err error) fault.Class {
	var r *refusal
	var f *fault.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &r):
		return r.class(t.native)
	case errors.As(err, &f):
		return f.Class
	case errors.As(err, &dns) && dns.IsNotFound: // a topic's name is its host
		return fault.Class{Code: fault.NotFound, Hint: fmt.Sprintf("There is no topic at %s: check the endpoint's name and region.", t.at.host)}
	case errors.As(err, &dns):
		return fault.Class{Code: fault.Unavailable}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Class{Code: fault.Unavailable, MaybeApplied: true}
	}
	return fault.Plain(err)
}

// Close implements event.Driver.
func (t *Topic) Close() error {
	t.http.CloseIdleConnections()
	return nil
}

// retryAfter is how long a reply asks to wait.
func retryAfter(h http.Header) time.Duration { return azureauth.RetryAfter(h) }
