// Package hfauth holds the credential family "huggingface": the token by which the Hugging Face hub knows who asks.
//
// A declared token is used as declared. Only the method "default" asks the environment and the file that `hf auth login`
// writes, in the order of the hub's own client; without a token there, requests are anonymous. What `hf auth login` gets
// by a browser ends and is renewed by that tool; a token that the hub refuses is read anew, once.
package hfauth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Family is the credential family.
const Family = "huggingface"

// FieldToken is the one field of a credential.Value of the family.
const FieldToken = "token"

const (
	methodDefault   = "default"
	methodToken     = "token"
	methodAnonymous = "anonymous"
)

// Options are the attributes of `credential "huggingface"`.
type Options struct {
	Method string
	Token  secret.String
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.Secret(&o.Token, "token", "Access token of the hub, as its settings give it (\"hf_...\").").FromEnv("HF_TOKEN")
	f.Method(&o.Method, methodDefault, "What the hub's tools find: environment, then the file that `hf auth login` writes, else no token.").FromAmbient()
	f.Method(&o.Method, methodToken, "An access token.").Needs("token")
	f.Method(&o.Method, methodAnonymous, "No token, whatever the environment says; for public repositories.")
}

// Provider returns the credential family "huggingface".
func Provider() provider.Provider {
	return provider.Credential(Family, "Logs in to the Hugging Face hub.", open)
}

// source is a credential.Source that may know a hub.
type source struct {
	credential.Source
	endpoint string
}

// Endpoint returns the URL of the hub that goes with a source, "" where it does not say.
func Endpoint(src credential.Source) string {
	if s, ok := src.(*source); ok {
		return s.endpoint
	}
	return ""
}

// Token returns the token to send, "" for none. refresh gets a new one, because the last was refused.
func Token(ctx context.Context, src credential.Source, refresh bool) (string, error) {
	if src == nil {
		return "", nil
	}
	v, err := src.Resolve(ctx, credential.Want{Refresh: refresh})
	if errors.Is(err, credential.ErrAbsent) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	t := v.Fields[FieldToken].Reveal()
	if strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fault.New(fault.Unauthenticated, "the token holds characters that cannot be sent")
	}
	return t, nil
}

// open makes the source of a declared block, or of the family's default chain, whose options are empty.
func open(_ context.Context, env provider.Env, o *Options) (credential.Source, error) {
	name := fmt.Sprintf("credential %q %q", Family, env.Name)
	switch o.Method {
	case methodToken:
		return &source{Source: credential.Static(name, map[string]secret.String{FieldToken: o.Token}, env.Redactor)}, nil
	case methodAnonymous:
		return &source{Source: credential.From(name+", no token", func(context.Context, credential.Want) (credential.Value, error) {
			return credential.Value{}, fmt.Errorf("no token: %w", credential.ErrAbsent)
		})}, nil
	}
	getenv := env.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	return &source{
		Source:   credential.Cached(credential.Chain(variable(getenv, "HF_TOKEN"), variable(getenv, "HUGGING_FACE_HUB_TOKEN"), file(tokenFile(getenv))), env.Clock, env.Redactor),
		endpoint: strings.TrimRight(getenv("HF_ENDPOINT"), "/"),
	}, nil
}

// variable takes the token from the environment.
func variable(getenv func(string) string, name string) credential.Source {
	return credential.From("environment "+name, func(context.Context, credential.Want) (credential.Value, error) {
		return value(getenv(name))
	})
}

// file takes the token from a file.
func file(path string) credential.Source {
	return credential.From("file "+path, func(context.Context, credential.Want) (credential.Value, error) {
		text, err := readFile(path)
		if path == "" || errors.Is(err, fs.ErrNotExist) {
			return value("")
		}
		if err != nil {
			return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Make the file readable, or set HF_TOKEN.", "%w", err)
		}
		return value(text)
	})
}

func value(text string) (credential.Value, error) {
	if text = strings.TrimSpace(text); text == "" {
		return credential.Value{}, credential.ErrAbsent
	}
	return credential.Value{Fields: map[string]secret.String{FieldToken: secret.New(text)}}, nil
}
