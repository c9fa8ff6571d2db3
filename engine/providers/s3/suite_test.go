package s3

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
)

// keys is a credential of an access key.
func keys(id, key string) credential.Source {
	return credential.Static("test", map[string]secret.String{"access_key_id": secret.New(id), "secret_access_key": secret.New(key)}, secret.NewRedactor())
}

func client(t testing.TB, o httpclient.Options) *http.Client {
	t.Helper()
	o.HTTP1 = true // so that the driver uses its very connections
	c, err := httpclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func env(c *http.Client, cred credential.Source) provider.Env {
	return provider.Env{Name: "s3test", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(),
		Getenv: func(string) string { return "" }}
}

// openWith opens a driver that the caller closes.
func openWith(t testing.TB, e provider.Env, o Options) *Driver {
	t.Helper()
	d, err := Open(t.Context(), e, &o)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Driver)
}

// bucket returns a name that was not used before.
func bucket() string { return "b-" + strings.ToLower(rand.Text()[:12]) }

// harness runs the suite against a server; each store is a bucket of its own.
func harness(c *http.Client, cred credential.Source, o Options) storetest.Harness {
	return storetest.Harness{
		Open: func(t testing.TB) store.Driver {
			own := o
			own.Bucket, own.CreateIfNotExists = bucket(), true
			d := openWith(t, env(c, cred), own)
			if err := d.ensureBucket(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.CloseIdleConnections)
			return d
		},
		Again: func(t testing.TB, d store.Driver) store.Driver {
			own := o
			own.Bucket = d.(*Driver).o.Bucket
			return openWith(t, env(c, cred), own)
		},
		Idle: c.CloseIdleConnections,
	}
}

// clientOf returns a client that trusts the server.
func clientOf(t testing.TB, a *testbed.AWS) *http.Client {
	return client(t, httpclient.Options{CA: a.CA})
}

func TestGateway(t *testing.T) { gateway(t, testbed.VersityGW(t), Options{Preset: "aws"}) }

func TestGatewayTLS(t *testing.T) { gateway(t, testbed.VersityGWTLS(t), Options{Preset: "aws"}) }

// Without checksums, chunks are signed.
func TestGatewayWithoutSums(t *testing.T) {
	slowRace(t)
	gateway(t, testbed.VersityGW(t), Options{Preset: "minio"})
}

func TestGatewayUnknownTLS(t *testing.T) {
	slowRace(t)
	gateway(t, testbed.VersityGWTLS(t), Options{Preset: "other"})
}

// Over TLS to a service that is known, nothing but TLS covers the bytes.
func TestGatewayWithoutSumsTLS(t *testing.T) {
	longOnly(t)
	cut := "over TLS versitygw takes what arrived of an unsigned body for the whole"
	gateway(t, testbed.VersityGWTLS(t), Options{Preset: "minio"}, "Put/FailedSourceStoresNothing", cut, "Multipart/FailedSourceStoresNoPart", cut,
		"Cancel/AtRandomPoints", cut, "Cancel/WhileTheSourceHangs", cut, "Store/FailedSourceStoresNothing", cut)
}

func TestGatewayOtherSums(t *testing.T) {
	longOnly(t)
	a := testbed.VersityGW(t)
	for _, algo := range []string{algoCRC32C, algoSHA256} {
		t.Run(algo, func(t *testing.T) { gateway(t, a, Options{Preset: "aws", Checksum: algo}) })
	}
}

// slowRace leaves a variant that shares its goroutines with the others out of quick runs of the race detector.
func slowRace(t *testing.T) {
	if raceDetector && !testbed.Long() {
		t.Skip("a variant of the suite, under the race detector at full figures only (DSRUN_TEST_LONG=1)")
	}
}

func longOnly(t *testing.T) {
	if !testbed.Long() {
		t.Skip("a variant of the suite, at full figures only (DSRUN_TEST_LONG=1)")
	}
}

// gateway runs the suite; skip gives names of checks and reasons in turn.
func gateway(t *testing.T, a *testbed.AWS, o Options, skip ...string) {
	o.Endpoint, o.Region = a.Endpoint, a.Region
	h := harness(clientOf(t, a), keys(a.AccessKeyID, a.SecretAccessKey), o)
	h.Secrets = []string{a.SecretAccessKey}
	h.SkipKey = func(key string) string {
		for _, s := range strings.Split(key, "/") {
			if len(s) > 255 {
				return "a file name has at most 255 bytes"
			}
		}
		return ""
	}
	h.Skip = map[string]string{}
	if o.Preset == "aws" { // that is, with checksums
		h.Skip["Copy/Parts"] = "versitygw gives a copied range the checksum of the whole source"
	}
	for i := 0; i < len(skip); i += 2 {
		h.Skip[skip[i]] = skip[i+1]
	}
	storetest.Run(t, h)
}

// held is a body in memory.
type held []byte

func (b held) Size() int64      { return int64(len(b)) }
func (b held) Replayable() bool { return true }
func (b held) Open(ctx context.Context) (io.ReadCloser, error) {
	return store.BytesBody(b).Open(ctx)
}
