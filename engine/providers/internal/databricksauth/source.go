package databricksauth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// source is a credential.Source that knows its workspace.
type source struct {
	credential.Source
	host func(context.Context) string
}

// Host returns the workspace that goes with the credential, or "".
func (s *source) Host(ctx context.Context) string { return s.host(ctx) }

// world is what logging in may use.
type world struct {
	env   provider.Env
	o     Options
	clock clock.Clock
	http  *http.Client

	entra    string // base URL of Microsoft Entra
	metadata string // base URL of the metadata service of Azure's machines
}

// open makes the source of a declared block, or of the family's default chain, whose options are empty.
func open(_ context.Context, env provider.Env, o *Options) (credential.Source, error) {
	w := &world{env: env, o: *o, clock: env.Clock, http: env.HTTP, entra: "https://login.microsoftonline.com", metadata: "http://169.254.169.254"}
	return w.open()
}

func (w *world) open() (credential.Source, error) {
	if w.clock == nil {
		w.clock = clock.Real
	}
	if w.http == nil {
		c, err := httpclient.New(httpclient.Options{Name: w.env.Name})
		if err != nil {
			return nil, err
		}
		w.http = c
	}
	o := w.o
	name := fmt.Sprintf("credential %q %q", Family, w.env.Name)
	s := &source{host: func(context.Context) string { return o.Host }}
	switch o.Method {
	case methodToken:
		s.Source = credential.Static(name, map[string]secret.String{FieldToken: o.Token, FieldHost: secret.New(o.Host)}, w.env.Redactor)
	case methodM2M:
		p := settings{"host": o.Host, "client_id": o.ClientID, "client_secret": o.ClientSecret.Reveal()}
		s.Source = w.cached(name+": service principal "+o.ClientID, func(ctx context.Context, want credential.Want) (credential.Value, error) {
			return w.m2m(ctx, p, want.Audience)
		})
	case methodAzure:
		if o.Credential.Kind != "credential" || o.Credential.Type != azureFamily {
			return nil, fault.Hinted(fault.InvalidArgument, "Let credential name a credential of the family azure.", "%s cannot get tokens of Microsoft Entra", o.Credential)
		}
		base, err := w.env.CredentialOf(o.Credential)
		if err != nil {
			return nil, err
		}
		s.Source = credential.Cached(&entraSource{base: base, host: o.Host, step: name + ": token of Microsoft Entra for Databricks"}, w.clock, w.env.Redactor)
	case methodProfile:
		read := func() (settings, error) { return w.profile(o.ConfigFile, o.Profile, true) }
		s.Source = credential.Cached(&unified{w: w, step: fmt.Sprintf("%s: file %s [%s]", name, w.configFile(o.ConfigFile), o.Profile), read: read}, w.clock, w.env.Redactor)
		s.host = hostOf(o.Host, read)
	default:
		read := w.ambient
		s.Source = credential.Cached(&unified{w: w, read: read, ambient: true}, w.clock, w.env.Redactor)
		s.host = hostOf(o.Host, read)
	}
	return s, nil
}

func hostOf(given string, read func() (settings, error)) func(context.Context) string {
	return func(context.Context) string {
		if given != "" {
			return given
		}
		p, err := read()
		if err != nil {
			return ""
		}
		return p["host"]
	}
}

func (w *world) cached(name string, fetch func(context.Context, credential.Want) (credential.Value, error)) credential.Source {
	return credential.Cached(credential.From(name, fetch), w.clock, w.env.Redactor)
}

// entraSource gets tokens for Databricks from a credential of Azure.
type entraSource struct {
	base       credential.Source
	host, step string
}

func (s *entraSource) Resolve(ctx context.Context, w credential.Want) (credential.Value, error) {
	v, err := s.base.Resolve(ctx, credential.Want{Audience: AzureResource + "/.default", Refresh: w.Refresh})
	if err != nil {
		return credential.Value{}, err
	}
	t := v.Fields[FieldToken]
	if t.Reveal() == "" {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Name a credential of Azure that logs in to Microsoft Entra.", "the credential of Azure gives no token: an account key or a SAS is none")
	}
	return credential.Value{Fields: map[string]secret.String{FieldToken: t, FieldHost: secret.New(s.host)}, Expires: v.Expires}, nil
}

func (s *entraSource) Explain(ctx context.Context) []credential.Step {
	return append(s.base.Explain(ctx), credential.Step{Source: s.step, Used: true, Detail: "asked with the credential above"})
}

// getenv reads a name of the environment, "" where there is none to read.
func (w *world) getenv(name string) string {
	if w.env.Getenv == nil {
		return ""
	}
	return w.env.Getenv(name)
}
