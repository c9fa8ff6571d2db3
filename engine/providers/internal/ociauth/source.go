package ociauth

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// source is a credential.Source that knows its region.
type source struct {
	credential.Source
	region func(context.Context) string
}

// Region returns the region that goes with the credential, or "".
func (s *source) Region(ctx context.Context) string { return FullRegion(s.region(ctx)) }

// world is what logging in may use.
type world struct {
	env   provider.Env
	o     Options
	clock clock.Clock
	log   *slog.Logger
	http  *http.Client
}

// open makes the source of a declared block, or of the family's default chain, whose options are empty.
func open(_ context.Context, env provider.Env, o *Options) (credential.Source, error) {
	w := &world{env: env, o: *o, clock: env.Clock, log: env.Log, http: env.HTTP}
	if w.clock == nil {
		w.clock = clock.Real
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.http == nil {
		w.http = mustClient(httpclient.Options{Name: env.Name})
	}
	name := fmt.Sprintf("credential %q %q", Family, env.Name)
	s := &source{region: func(context.Context) string { return o.Region }}
	switch o.Method {
	case methodAPIKey:
		s.Source = w.cached(name, func(context.Context) (credential.Value, error) {
			return w.apiKey(profile{tenancy: o.Tenancy, user: o.User, fingerprint: o.Fingerprint, key: o.PrivateKey, keyFile: o.PrivateKeyFile, passphrase: o.Passphrase})
		})
	case methodToken:
		s.Source = w.cached(name+": token of "+o.TokenFile, func(context.Context) (credential.Value, error) {
			return w.session(profile{tokenFile: o.TokenFile, key: o.PrivateKey, keyFile: o.PrivateKeyFile, passphrase: o.Passphrase})
		})
	case methodInstance:
		s.Source, s.region = w.cached(name+": instance principal", w.instance), w.regionOr(o.Region, w.instanceRegion)
	case methodResource:
		s.Source, s.region = w.cached(name+": resource principal", w.resource), w.regionOr(o.Region, w.resourceRegion)
	case methodWorkload:
		s.Source, s.region = w.cached(name+": workload identity", w.workload), w.regionOr(o.Region, w.resourceRegion)
	default:
		s.Source = credential.Cached(w.chain(), w.clock, env.Redactor)
		s.region = w.regionOr(o.Region, w.ambientRegion)
	}
	return s, nil
}

func (w *world) regionOr(given string, ask func(context.Context) string) func(context.Context) string {
	return func(ctx context.Context) string {
		if given != "" {
			return given
		}
		return ask(ctx)
	}
}

func (w *world) cached(name string, fetch func(context.Context) (credential.Value, error)) credential.Source {
	return credential.Cached(credential.From(name, func(ctx context.Context, _ credential.Want) (credential.Value, error) { return fetch(ctx) }), w.clock, w.env.Redactor)
}

// mustClient makes a client of options that cannot be wrong.
func mustClient(o httpclient.Options) *http.Client {
	c, err := httpclient.New(o)
	if err != nil {
		panic(err)
	}
	return c
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

// profile is how somebody logs in: by an API key, or by a session's token and its key.
type profile struct {
	tenancy, user, fingerprint, region string
	key, passphrase                    secret.String
	keyFile, tokenFile                 string
}

// apiKey is the value of an API key.
func (w *world) apiKey(p profile) (credential.Value, error) {
	text, err := w.keyText(p)
	if err != nil {
		return credential.Value{}, err
	}
	return credential.Value{Fields: map[string]secret.String{FieldTenancy: secret.New(p.tenancy), FieldUser: secret.New(p.user),
		FieldFingerprint: secret.New(p.fingerprint), FieldPrivateKey: text, FieldRegion: secret.New(p.region)}}, nil
}

// keyText returns the key as PEM without a passphrase.
func (w *world) keyText(p profile) (secret.String, error) {
	text := p.key.Reveal()
	if text == "" {
		var err error
		if text, err = readFile(w.expand(p.keyFile)); err != nil {
			return secret.String{}, err
		}
		w.learn(text)
	}
	key, err := parseKey(text, p.passphrase.Reveal())
	if err != nil {
		return secret.String{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return secret.String{}, err
	}
	return secret.New(w.learn(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))), nil
}
