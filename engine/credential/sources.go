package credential

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// ErrAbsent is in the chain of the error of a source that holds nothing, as opposed to one that holds something wrong.
// A Chain goes on to its next source for it.
var ErrAbsent = errors.New("not set")

// From returns a source that calls fetch for every value. name is what Explain calls it.
func From(name string, fetch func(context.Context, Want) (Value, error)) Source {
	return &from{name, fetch}
}

type from struct {
	name  string
	fetch func(context.Context, Want) (Value, error)
}

func (f *from) Resolve(ctx context.Context, w Want) (Value, error) { return f.fetch(ctx, w) }

func (f *from) Explain(context.Context) []Step { return []Step{{Source: f.name, Used: true}} }

// Static returns a source of fields that are known and do not expire. The redactor knows their secrets when Static
// returns.
func Static(name string, fields map[string]secret.String, r *secret.Redactor) Source {
	fields = maps.Clone(fields)
	learn(r, fields)
	return From(name, func(context.Context, Want) (Value, error) { return Value{Fields: maps.Clone(fields)}, nil })
}

// identifiers are fields that name somebody and prove nothing. Messages need them, so they are not masked.
var identifiers = map[string]bool{"access_key_id": true, "access_id": true, "account": true, "client_id": true, "tenant_id": true, "tenancy": true,
	"user": true, "username": true, "region": true, "fingerprint": true, "project_id": true, "client_email": true, "endpoint_url": true, "role_arn": true,
	"target": true, "profile": true, "cloud": true, "host": true}

// learn makes the secrets among the fields known to the redactor.
func learn(r *secret.Redactor, fields map[string]secret.String) {
	for name, v := range fields {
		if !identifiers[name] {
			r.AddString(v)
		}
	}
}

// Chain returns a source that asks the given ones in order and takes the first answer. One that fails for another reason
// than ErrAbsent ends the search: going on would use a credential that nobody meant.
func Chain(sources ...Source) Source { return chain(sources) }

type chain []Source

func (c chain) Resolve(ctx context.Context, w Want) (Value, error) {
	for _, s := range c {
		v, err := s.Resolve(ctx, w)
		if err == nil || !errors.Is(err, ErrAbsent) {
			return v, err
		}
		if ctx.Err() != nil {
			return Value{}, context.Cause(ctx)
		}
	}
	var asked []string
	for _, s := range c {
		for _, step := range s.Explain(ctx) {
			asked = append(asked, step.Source)
		}
	}
	return Value{}, fault.Hinted(fault.Unauthenticated, "Set one of the places that were asked, or declare a credential block.",
		"no credential found (asked: %s): %w", strings.Join(asked, ", "), ErrAbsent)
}

// Explain lists the steps of every source. Only the first source that has an answer is used.
func (c chain) Explain(ctx context.Context) []Step {
	var out []Step
	answered := false
	for _, s := range c {
		steps := s.Explain(ctx)
		used := false
		if !answered {
			_, err := s.Resolve(ctx, Want{})
			used = err == nil || !errors.Is(err, ErrAbsent)
		}
		for _, step := range steps {
			step.Used = step.Used && used
			if !used {
				step.Until = time.Time{}
			}
			out = append(out, step)
		}
		answered = answered || used
	}
	return out
}
