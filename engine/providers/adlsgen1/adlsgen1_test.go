package adlsgen1

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

const audience = "https://datalake.azure.net/.default"

// identity gives tokens for the audience of the service, the first of which has ended.
func identity(tokens ...string) credential.Source {
	n := 0
	return credential.Cached(credential.From("test", func(_ context.Context, w credential.Want) (credential.Value, error) {
		if w.Audience != audience {
			return credential.Value{}, fmt.Errorf("a token for %q", w.Audience)
		}
		t := tokens[min(n, len(tokens)-1)]
		n++
		return credential.Value{Fields: map[string]secret.String{azureauth.FieldToken: secret.New(t)}}, nil
	}), nil, secret.NewRedactor())
}

func env(t testing.TB, cred credential.Source) provider.Env {
	t.Helper()
	c, err := httpclient.New(httpclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return provider.Env{Name: "gen1", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor()}
}

func open(t testing.TB, e provider.Env, o Options) store.Driver {
	t.Helper()
	d, err := Open(t.Context(), e, &o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCluster runs everything that needs a cluster against one.
func TestCluster(t *testing.T) {
	h := testbed.WebHDFS(t)
	t.Run("Refresh", func(t *testing.T) { refresh(t, h) })
	t.Run("Store", func(t *testing.T) { suite(t, h) })
}

// A token that has ended is renewed once, in whichever step; one that is refused again is an error.
func refresh(t *testing.T, h *testbed.HDFS) {
	at, refused := testbed.Gen1(t, h, "young")
	d := open(t, env(t, identity("old", "young")), Options{Account: "lake", Root: "/" + rand.Text(), Endpoint: at.URL})
	defer d.Close()
	for _, content := range []string{"hello", ""} {
		if _, err := d.Put(t.Context(), "a/b", storetest.Bytes([]byte(content)), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		x, err := d.Get(t.Context(), "a/b", store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(x.Body)
		x.Body.Close()
		if err != nil || string(b) != content {
			t.Errorf("%q, %v", b, err)
		}
	}
	if n := refused.Load(); n != 1 {
		t.Errorf("%d requests were refused, want 1", n)
	}
	bad := open(t, env(t, identity("old")), Options{Account: "lake", Root: "/", Endpoint: at.URL})
	defer bad.Close()
	_, err := bad.Stat(t.Context(), "a/b", store.Cond{})
	if c := bad.Classify(err); c.Code != fault.Unauthenticated || !strings.Contains(c.Hint, "azure") || strings.Contains(err.Error(), "old") {
		t.Errorf("a token that is refused: %+v, %v", c, err)
	}
}

// suite runs storetest; each store is a folder of its own.
func suite(t *testing.T, h *testbed.HDFS) {
	at, _ := testbed.Gen1(t, h, "young")
	e := env(t, identity("young"))
	roots := map[store.Driver]string{}
	openAt := func(t testing.TB, root string) store.Driver {
		d := open(t, e, Options{Account: "lake", Root: root, Endpoint: at.URL})
		roots[d] = root
		return d
	}
	skip := map[string]string{}
	if !testbed.Long() { // the driver is that of webhdfs, whose own tests show these
		for _, name := range []string{"List/ManyKeys", "Names/DistinctInDistinctOut", "Store/Copy", "Put/IfAbsentHasOneWinner", "Cancel/AtRandomPoints", "Load/ConcurrentUse", "Load/LargeObjectInFlatMemory", "Store/LargeUploads"} {
			skip[name] = "it takes long on a small cluster: at full figures only (DSRUN_TEST_LONG=1)"
		}
	}
	storetest.Run(t, storetest.Harness{
		Skip:  skip,
		Open:  func(t testing.TB) store.Driver { return openAt(t, "/"+rand.Text()) },
		Again: func(t testing.TB, d store.Driver) store.Driver { return openAt(t, roots[d]) },
		Idle:  func() { e.HTTP.CloseIdleConnections(); at.CloseClientConnections() },
		// The gateway is in this process.
		InProcess: true,
		Secrets:   []string{"young"},
	})
}

// A redirect to another host is refused, and the token is sent nowhere in clear text.
func TestTokenStays(t *testing.T) {
	t.Parallel()
	hits := 0
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer stranger.Close()
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", stranger.URL+"/webhdfs/v1/x")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	f.Add(faults.Rule{Match: faults.On("GET", "op=GETFILESTATUS"), Fault: faults.Answer(404, nil, `{"RemoteException":{"exception":"FileNotFoundException","message":"x"}}`)})
	d := open(t, env(t, identity("canary")), Options{Account: "lake", Root: "/", Endpoint: f.URL})
	defer d.Close()
	_, err := d.Put(t.Context(), "k", storetest.Bytes([]byte("x")), store.PutOptions{})
	if d.Classify(err).Code != fault.PermissionDenied || hits != 0 {
		t.Errorf("%v, %d requests reached a stranger", err, hits)
	}
	clear := open(t, env(t, identity("canary")), Options{Account: "lake", Root: "/", Endpoint: "http://gateway.example.com"})
	defer clear.Close()
	if _, err := clear.Stat(t.Context(), "k", store.Cond{}); clear.Classify(err).Code != fault.InvalidArgument {
		t.Errorf("in clear text: %v", err)
	}
}

// What is no identity of Entra is refused before anything is sent.
func TestIdentities(t *testing.T) {
	t.Parallel()
	static := func(name string) credential.Source {
		return credential.Static("test", map[string]secret.String{name: secret.New("x")}, secret.NewRedactor())
	}
	failing := credential.From("test", func(context.Context, credential.Want) (credential.Value, error) {
		return credential.Value{}, errors.New("no token today")
	})
	for what, x := range map[string]struct {
		cred credential.Source
		code fault.Code
	}{
		"nobody": {nil, fault.Unauthenticated}, "a key": {static(azureauth.FieldAccountKey), fault.InvalidArgument}, "a signature": {static(azureauth.FieldSAS), fault.InvalidArgument}, "a failure": {failing, fault.Internal},
	} {
		d := open(t, env(t, x.cred), Options{Account: "lake", Root: "/"})
		if _, err := d.Stat(t.Context(), "k", store.Cond{}); err == nil || d.Classify(err).Code != x.code {
			t.Errorf("%s: %v", what, err)
		}
		d.Close()
	}
	d := open(t, env(t, nil), Options{Account: "lake", Root: "/data/"})
	if uri := d.(store.Locator).URI("a/b"); uri != "adl://lake.azuredatalakestore.net/data/a/b" {
		t.Errorf("URI %s", uri)
	}
}

func TestProvider(t *testing.T) {
	t.Parallel()
	p := Provider()
	providertest.Check(t, p)
	if !strings.Contains(p.Body.Warning, "retired") {
		t.Errorf("the warning is %q", p.Body.Warning)
	}
}
