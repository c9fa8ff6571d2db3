package gcpauth

import (
	"log/slog"
	"net/http"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
)

// world is what logging in may use.
type world struct {
	env   provider.Env
	clock clock.Clock
	log   *slog.Logger
	http  *http.Client
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
