package awsauth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// open makes the source of a declared block, or of the family's default chain, whose options are empty.
func open(_ context.Context, env provider.Env, o *Options) (credential.Source, error) {
	w := newWorld(env)
	s := &source{region: fixed(o.Region)}
	switch o.Method {
	case methodStatic:
		s.Source = credential.Static(block(Family, env), keys(o.AccessKeyID, o.SecretAccessKey, o.SessionToken), env.Redactor)
	case methodAnonymous:
		s.Source, s.anonymous = credential.Static(block(Family, env)+", unsigned requests", nil, nil), true
	case methodProfile:
		p := &profileSource{w: w, name: o.Profile, must: true, region: o.Region, stsEndpoint: o.STSEndpoint}
		s.Source = w.cached(p)
		s.region = firstOf(s.region, p.Region)
	case methodAssumeRole:
		return openRole(env, w, o)
	case methodWebIdentity:
		r := w.roleOf(o)
		name := fmt.Sprintf("%s: token of %s for %s", block(Family, env), o.TokenFile, o.RoleARN)
		s.Source = w.cached(credential.From(name, func(ctx context.Context, _ credential.Want) (credential.Value, error) {
			return w.webIdentity(ctx, r, o.TokenFile)
		}))
	default:
		w.ambient, s.ambient = true, true
		chain, region := w.chain(o)
		s.Source = w.cached(chain)
		s.region = firstOf(s.region, region)
	}
	return s, nil
}

func openRole(env provider.Env, w *world, o *Options) (credential.Source, error) {
	base, err := baseOf(env, o)
	if err != nil {
		return nil, err
	}
	if Anonymous(base) {
		return nil, fault.Hinted(fault.InvalidArgument, "Let source name a credential with a key.", "a role cannot be assumed with an anonymous credential")
	}
	s := &source{region: fixed(o.Region)}
	if o.Region == "" {
		s.region = func(ctx context.Context) string { return Region(ctx, base) }
	}
	r := w.roleOf(o)
	adapter := Credentials(base)
	s.Source = w.cached(&roleSource{base: base, step: fmt.Sprintf("%s: %s", block(Family, env), o.RoleARN), fetch: func(ctx context.Context) (credential.Value, error) {
		r := r
		if r.region == "" {
			r.region = s.Region(ctx)
		}
		return w.assumeRole(ctx, r, adapter)
	}})
	return s, nil
}

// baseOf is the credential that assumes a role: the one that the block names, else the family's default chain.
func baseOf(env provider.Env, o *Options) (credential.Source, error) {
	if o.Source.IsZero() {
		return open(context.Background(), env, &Options{Method: methodDefault, Region: o.Region})
	}
	if o.Source.Kind != "credential" || o.Source.Type != Family && o.Source.Type != CompatibleFamily {
		return nil, fault.Hinted(fault.InvalidArgument, "Let source name a credential of the family aws.", "%s cannot assume a role of AWS", o.Source)
	}
	return env.CredentialOf(o.Source)
}

// roleSource assumes a role with another source, and explains both.
type roleSource struct {
	base  credential.Source
	step  string
	fetch func(context.Context) (credential.Value, error)
}

func (s *roleSource) Resolve(ctx context.Context, _ credential.Want) (credential.Value, error) {
	return s.fetch(ctx)
}

func (s *roleSource) Explain(ctx context.Context) []credential.Step {
	return append(s.base.Explain(ctx), credential.Step{Source: s.step, Used: true, Detail: "assumed with the credential above"})
}

// world is what logging in may use.
type world struct {
	env     provider.Env
	clock   clock.Clock
	log     *slog.Logger
	http    *http.Client
	ambient bool // the environment may be asked
	exposed sync.Once
}

func newWorld(env provider.Env) *world {
	w := &world{env: env, clock: env.Clock, log: env.Log, http: env.HTTP}
	if w.clock == nil {
		w.clock = clock.Real
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.http == nil {
		w.http = mustClient(httpclient.Options{Name: env.Name})
	}
	return w
}

// mustClient makes a client of options that cannot be wrong.
func mustClient(o httpclient.Options) *http.Client {
	c, err := httpclient.New(o)
	if err != nil {
		panic(err)
	}
	return c
}

func (w *world) cached(s credential.Source) credential.Source {
	return credential.Cached(s, w.clock, w.env.Redactor)
}

// getenv reads a name of the environment, "" where there is none to read.
func (w *world) getenv(name string) string {
	if w.env.Getenv == nil {
		return ""
	}
	return w.env.Getenv(name)
}

// learn makes a secret known before it is used.
func (w *world) learn(s string) string { w.env.Redactor.Add(s); return s }

// keys returns the fields of an access key.
func keys(id string, sec, token secret.String) map[string]secret.String {
	f := map[string]secret.String{FieldAccessKeyID: secret.New(id), FieldSecretAccessKey: sec}
	if !token.IsZero() {
		f[FieldSessionToken] = token
	}
	return f
}

// value returns what the SDK's provider gave.
func value(c aws.Credentials) credential.Value {
	v := credential.Value{Fields: keys(c.AccessKeyID, secret.New(c.SecretAccessKey), secret.New(c.SessionToken))}
	if c.CanExpire {
		v.Expires = c.Expires
	}
	return v
}

func fixed(region string) func(context.Context) string {
	return func(context.Context) string { return region }
}

func firstOf(list ...func(context.Context) string) func(context.Context) string {
	return func(ctx context.Context) string {
		for _, f := range list {
			if r := f(ctx); r != "" {
				return r
			}
		}
		return ""
	}
}
