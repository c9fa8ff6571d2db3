// Package provider is what a kind of datastore, topic or credential registers: one Provider value in an explicit list.
package provider

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/state"
	"github.com/dsrun/dsrun/engine/store"
)

// The kinds of blocks that a provider can serve.
const (
	KindStore      = "datastore"
	KindTopic      = "topic"
	KindCredential = "credential"
)

// Provider is one kind of block and how to open it. Make it with Store, Topic or Credential.
type Provider struct {
	Body           schema.Body
	OpenStore      func(ctx context.Context, env Env, options any) (store.Driver, error)
	OpenTopic      func(ctx context.Context, env Env, options any) (event.Driver, error)
	OpenCredential func(ctx context.Context, env Env, options any) (credential.Source, error)
	Addresses      *Addressing // of a datastore whose objects have URIs: see Addressed
}

// Env is all that a provider may use of the world.
type Env struct {
	Name   string // of the declared block
	DryRun bool   // opening makes nothing: no folder, no container
	// Credential is the block's credential: the one it names, else the family's default block, else the family's own
	// default chain; nil where the kind takes none.
	Credential credential.Source
	// CredentialOf resolves a reference that is an attribute of the block (assume_role's source).
	CredentialOf func(schema.Ref) (credential.Source, error)
	// HTTP checks TLS, redirects and addresses and has stall and idle time-outs instead of a whole-request one.
	HTTP     *http.Client
	Clock    clock.Clock
	State    func() (*state.State, error) // the block's own corner of state_dir, opened when first asked for
	Budget   *store.Budget
	Getenv   func(string) string // only for credential methods that are ambient
	Log      *slog.Logger
	Redactor *secret.Redactor
	Format   string // of a topic's events: schema.FormatCloudEvents, or one of the body's Formats; "" means the former
}

// fielder constrains a pointer to an options struct.
type fielder[O any] interface {
	*O
	schema.Fielder
}

// Store declares a kind of datastore. O is its options struct; *O implements schema.Fielder.
func Store[O any, P fielder[O]](label, summary string, open func(context.Context, Env, *O) (store.Driver, error)) Provider {
	return Provider{Body: body[O, P](KindStore, label, summary),
		OpenStore: func(ctx context.Context, env Env, o any) (store.Driver, error) { return open(ctx, env, (*O)(o.(P))) }}
}

// Topic declares a kind of topic.
func Topic[O any, P fielder[O]](label, summary string, open func(context.Context, Env, *O) (event.Driver, error)) Provider {
	return Provider{Body: body[O, P](KindTopic, label, summary),
		OpenTopic: func(ctx context.Context, env Env, o any) (event.Driver, error) { return open(ctx, env, (*O)(o.(P))) }}
}

// Credential declares a credential family.
func Credential[O any, P fielder[O]](family, summary string, open func(context.Context, Env, *O) (credential.Source, error)) Provider {
	return Provider{Body: body[O, P](KindCredential, family, summary),
		OpenCredential: func(ctx context.Context, env Env, o any) (credential.Source, error) {
			return open(ctx, env, (*O)(o.(P)))
		}}
}

func body[O any, P fielder[O]](kind, label, summary string) schema.Body {
	return schema.Body{Block: kind, Label: label, Summary: summary, New: func() schema.Fielder { return P(new(O)) }}
}

// With returns the provider with the credential families that its `credential` attribute accepts.
func (p Provider) With(families ...string) Provider { p.Body.Families = families; return p }

// Sends returns the provider of a topic with the forms of events that it can send besides CloudEvents.
func (p Provider) Sends(formats ...string) Provider { p.Body.Formats = formats; return p }

// Warn returns the provider with a warning that is said whenever a block of this kind is used.
func (p Provider) Warn(text string) Provider { p.Body.Warning = text; return p }
