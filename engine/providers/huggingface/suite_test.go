package huggingface

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	fake "github.com/dsrun/dsrun/internal/testbed/huggingface"
)

const testToken = "hf_TestbedTokenOfTheSuite"

func login(token string) credential.Source {
	return credential.Static("test", map[string]secret.String{"token": secret.New(token)}, secret.NewRedactor())
}

func client(t testing.TB, o httpclient.Options) *http.Client {
	t.Helper()
	c, err := httpclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func env(c *http.Client, cred credential.Source) provider.Env {
	return provider.Env{Name: "hftest", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor()}
}

// openWith opens a driver that the caller closes. What o does not say is as declared.
func openWith(t testing.TB, e provider.Env, o Options) *Driver {
	t.Helper()
	if o.Type == "" {
		o.Type = "dataset"
	}
	if o.Revision == "" {
		o.Revision = "main"
	}
	d, err := Open(t.Context(), e, &o)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Driver)
}

// serve starts a hub and the host of its large files.
func serve(t testing.TB) (s *fake.Server, hub, other *httptest.Server) {
	t.Helper()
	s = fake.New()
	hub, other = httptest.NewServer(s), httptest.NewServer(s.Storage())
	t.Cleanup(hub.Close)
	t.Cleanup(other.Close)
	s.At(other.URL)
	return s, hub, other
}

// Each store is a private repository, so that every request has to carry the token, and none away from the hub.
func TestStore(t *testing.T) {
	s, hub, other := serve(t)
	s.Large = 40_000
	s.PageSize = 100
	c := client(t, httpclient.Options{})
	var repos []string
	storetest.Run(t, storetest.Harness{
		Seed: func(t testing.TB, objects map[string][]byte) store.Driver {
			repo := "org/r-" + rand.Text()
			s.Commit("datasets/"+repo, "main", objects)
			s.Restrict("datasets/"+repo, true, false)
			repos = append(repos, "datasets/"+repo)
			s.Allow(testToken, repos...)
			return openWith(t, env(c, login(testToken)), Options{Repo: repo, Endpoint: hub.URL})
		},
		Idle:      func() { c.CloseIdleConnections(); hub.CloseClientConnections(); other.CloseClientConnections() },
		InProcess: true,
		Secrets:   []string{testToken},
	})
	if n := s.Leaks.Load(); n != 0 {
		t.Errorf("the token was sent to the other host %d times", n)
	}
}
