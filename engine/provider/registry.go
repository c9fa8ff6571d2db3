package provider

import (
	"fmt"
	"slices"

	"github.com/dsrun/dsrun/config/schema"
)

// Registry is the set of known providers. It is immutable and safe for concurrent use.
type Registry struct {
	byKey map[[2]string]Provider
	keys  [][2]string
}

// NewRegistry returns a registry of the given providers. Two with the same kind and label panic: it is the
// programmer's mistake.
func NewRegistry(list ...Provider) *Registry {
	r := &Registry{byKey: map[[2]string]Provider{}}
	for _, p := range list {
		k := [2]string{p.Body.Block, p.Body.Label}
		if _, dup := r.byKey[k]; dup {
			panic(fmt.Sprintf("provider: %s %q registered twice", k[0], k[1]))
		}
		p.Body.Declare() // a wrong declaration panics here, at start-up, not in a user's run
		r.byKey[k] = p
		r.keys = append(r.keys, k)
	}
	return r
}

// Get returns the provider of a kind of block ("datastore") and label ("local").
func (r *Registry) Get(kind, label string) (Provider, bool) {
	p, ok := r.byKey[[2]string{kind, label}]
	return p, ok
}

// Lookup returns the schema of a kind of block and label; it is what package config asks for.
func (r *Registry) Lookup(kind, label string) (schema.Body, bool) {
	p, ok := r.Get(kind, label)
	return p.Body, ok
}

// Labels returns the labels of a kind of block in the order of registration.
func (r *Registry) Labels(kind string) []string {
	var out []string
	for _, k := range r.keys {
		if k[0] == kind {
			out = append(out, k[1])
		}
	}
	return slices.Clip(out)
}

// All returns every provider in the order of registration.
func (r *Registry) All() []Provider {
	out := make([]Provider, 0, len(r.keys))
	for _, k := range r.keys {
		out = append(out, r.byKey[k])
	}
	return out
}

// Addressed returns the kinds of datastores that read addresses that begin like this one, in the order of registration.
func (r *Registry) Addressed(uri string) []Provider {
	var out []Provider
	for _, k := range r.keys {
		if p := r.byKey[k]; p.Addresses != nil && p.Addresses.Reads(uri) {
			out = append(out, p)
		}
	}
	return out
}
