package webhdfs

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

func field(name, text string) credential.Source {
	return credential.Static("test", map[string]secret.String{name: secret.New(text)}, secret.NewRedactor())
}

func env(t testing.TB, cred credential.Source) provider.Env {
	t.Helper()
	c, err := httpclient.New(httpclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return provider.Env{Name: "hdfstest", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor()}
}

// Who asks stands in the query: a name, or a token, or nothing.
func TestLogin(t *testing.T) {
	t.Parallel()
	absent := credential.From("none", func(context.Context, credential.Want) (credential.Value, error) {
		return credential.Value{}, credential.ErrAbsent
	})
	for want, cred := range map[string]credential.Source{"op=GETFILESTATUS&user.name=ann": field("user", "ann"), "op=GETFILESTATUS&delegation=a%26b": field("delegation_token", "a&b"), "op=GETFILESTATUS": absent} {
		var got string
		f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.URL.RawQuery
			w.WriteHeader(404)
		}))
		d, err := Open(t.Context(), env(t, cred), &Options{Endpoint: f.URL, Root: "/r"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Stat(t.Context(), "k", store.Cond{}); err == nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		d.Close()
	}
}

func TestProvider(t *testing.T) { providertest.Check(t, Provider()) }

// No secret shows in an error, whatever the cluster or the network does.
func TestCanary(t *testing.T) {
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(401)
		io.WriteString(w, `{"RemoteException":{"exception":"SecurityException","message":"Failed to obtain user group information"}}`)
	}))
	for what, x := range map[string]faults.Fault{"a refusal": nil, "a reset": faults.Reset(0), "a page": faults.Portal(), "nothing": faults.Empty(), "a redirect": faults.Redirect("http://127.0.0.1:1/webhdfs/v1/x?delegation=" + url.QueryEscape(providertest.CanaryText))} {
		f.Clear()
		if x != nil {
			f.Add(faults.Rule{Fault: x})
		}
		providertest.Canary(t, Provider(), env(t, field("delegation_token", providertest.CanaryText)), map[string]string{"endpoint": `"` + f.URL + `"`}, func(ctx context.Context, opened any) error {
			d := opened.(interface {
				store.Driver
				store.Checker
			})
			var all []string
			for _, call := range []func() error{
				func() error { _, err := d.Stat(ctx, "k", store.Cond{}); return err },
				func() error { _, err := d.List(ctx, store.Query{}); return err },
				func() error { _, err := d.Get(ctx, "k", store.GetOptions{}); return err },
				func() error {
					_, err := d.Put(ctx, "k", storetest.Bytes([]byte("x")), store.PutOptions{})
					return err
				},
				func() error { return d.Delete(ctx, "k", store.Cond{}) },
				func() error { return d.Check(ctx) },
			} {
				err := call()
				if err == nil {
					t.Errorf("%s: no error", what)
					continue
				}
				all = append(all, err.Error(), d.Classify(err).Hint)
			}
			return fault.New(fault.Internal, "%s", strings.Join(all, "; "))
		})
	}
}
