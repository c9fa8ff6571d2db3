package oci

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/ociauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

func TestProvider(t *testing.T) { providertest.Check(t, Provider()) }

// The signatures are those of the documented samples.
func TestKnownSignatures(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Tenancy, User, Fingerprint string
		Key                        []string
		Samples                    []struct {
			Method, URL, Date, Body, Authorization string
			Header                                 map[string]string
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	src := credential.Static("sample", map[string]secret.String{"tenancy": secret.New(v.Tenancy), "user": secret.New(v.User), "fingerprint": secret.New(v.Fingerprint),
		"private_key": secret.New(strings.Join(v.Key, "\n"))}, secret.NewRedactor())
	if len(v.Samples) != 2 {
		t.Fatalf("%d samples", len(v.Samples))
	}
	for _, x := range v.Samples {
		req, err := http.NewRequest(x.Method, x.URL, strings.NewReader(x.Body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Date", x.Date)
		for n, val := range x.Header {
			req.Header.Set(n, val)
		}
		if err := ociauth.NewSigner(src).Sign(t.Context(), req, x.Method == "POST", false); err != nil {
			t.Fatal(err)
		}
		if got := req.Header.Get("Authorization"); got != x.Authorization {
			t.Errorf("%s:\n got %s\nwant %s", x.Method, got, x.Authorization)
		}
	}
}

// The fake refuses what the service refuses: without that the suite would prove nothing of signatures.
func TestRefusals(t *testing.T) {
	t.Parallel()
	k := newFake()
	k.Bucket("b")
	f := faults.New(t, k)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKCS8PrivateKey(other)
	stranger := credential.Static("stranger", map[string]secret.String{"tenancy": secret.New("ocid1.tenancy.oc1..testbed"), "user": secret.New("ocid1.user.oc1..testbed"), "fingerprint": secret.New("20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"),
		"private_key": secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))}, nil)
	d := openWith(t, env(client(t, httpclient.Options{}), stranger), Options{Bucket: "b", Endpoint: f.URL})
	defer d.Close()
	for what, call := range map[string]func() error{
		"stat": func() error { _, err := d.Stat(t.Context(), "k", store.Cond{}); return err },
		"list": func() error { _, err := d.List(t.Context(), store.Query{}); return err },
		"put":  func() error { _, err := d.Put(t.Context(), "k", held("x"), store.PutOptions{}); return err },
	} {
		err := call()
		if c := d.Classify(err); c.Code != fault.Unauthenticated || !strings.Contains(c.Hint, "stranger") {
			t.Errorf("%s with another key: %v %+v", what, err, c)
		}
	}
	good := openWith(t, env(client(t, httpclient.Options{}), apiKey()), Options{Bucket: "none", Endpoint: f.URL})
	defer good.Close()
	_, err = good.List(t.Context(), store.Query{})
	if c := good.Classify(err); c.Code != fault.NotFound || !strings.Contains(c.Hint, "oci os bucket create --name none") || c.RequestID == "" {
		t.Errorf("no bucket: %v %+v", err, c)
	}
	good.o.CreateIfNotExists = true
	if p, err := good.List(t.Context(), store.Query{}); err != nil || len(p.Entries) > 0 {
		t.Errorf("a bucket that the first write makes: %+v, %v", p, err)
	}
	if _, err := good.Put(t.Context(), "k", held("v"), store.PutOptions{}); err != nil {
		t.Error(err)
	}
	if got := good.URI("a/b"); got != "oci://none@examplens/a/b" {
		t.Error(got)
	}
}

// A clock that is off is corrected by the service's, once.
func TestClockIsCorrected(t *testing.T) {
	t.Parallel()
	k := newFake()
	k.Bucket("b")
	f := faults.New(t, k)
	e := env(client(t, httpclient.Options{}), apiKey())
	e.Clock = clock.NewFake(time.Now().Add(-30 * time.Minute))
	d := openWith(t, e, Options{Bucket: "b", Endpoint: f.URL, Namespace: "examplens"})
	defer d.Close()
	for range 3 {
		if _, err := d.List(t.Context(), store.Query{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.Count(""); n != 4 {
		t.Errorf("%d requests for 3 listings", n)
	}
}

// A session that the service has ended is renewed once.
func TestEndedSessionIsRenewed(t *testing.T) {
	t.Parallel()
	k := newFake()
	k.Bucket("b")
	f := faults.New(t, k)
	var renewed atomic.Int32
	token := "ended"
	src := credential.From("session", func(_ context.Context, w credential.Want) (credential.Value, error) {
		if w.Refresh {
			renewed.Add(1)
			token = k.Issue(&testKey().PublicKey, time.Hour)
		}
		return credential.Value{Fields: map[string]secret.String{"security_token": secret.New(token), "private_key": secret.New(keyPEM())}}, nil
	})
	d := openWith(t, env(client(t, httpclient.Options{}), src), Options{Bucket: "b", Endpoint: f.URL, Namespace: "examplens"})
	defer d.Close()
	if _, err := d.Put(t.Context(), "k", held("v"), store.PutOptions{}); err != nil || renewed.Load() != 1 {
		t.Errorf("%v after %d renewals", err, renewed.Load())
	}
	if _, err := d.Stat(t.Context(), "k", store.Cond{}); err != nil || renewed.Load() != 1 {
		t.Errorf("%v after %d renewals", err, renewed.Load())
	}
}

// Names go over the wire byte by byte.
func TestKeysOnTheWire(t *testing.T) {
	t.Parallel()
	d, f, _ := broken(t, 1)
	for k, path := range map[string]string{"../x": "..%2Fx", ".": "%2E", "..": "%2E%2E", "a//b": "a%2F%2Fb", "/": "%2F", "dir/": "dir%2F", "q?x#y&z=%41+ ü": "q%3Fx%23y%26z%3D%2541%2B%20%C3%BC", "~-_.x": "~-_.x"} {
		f.Clear()
		if _, err := d.Stat(t.Context(), k, store.Cond{}); d.Classify(err).Code != fault.NotFound {
			t.Errorf("%q: %v", k, err)
		} else if got := f.Requests()[0].Path; got != "/n/examplens/b/b/o/"+path {
			t.Errorf("%q is sent as %q", k, got)
		}
	}
}

func TestSignedURLs(t *testing.T) {
	t.Parallel()
	d, _, _ := broken(t, 1)
	key := "dir/a b+ü.txt"
	if _, err := d.Put(t.Context(), key, held("signed bytes"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	sign := func(method string) string {
		u, err := d.SignURL(t.Context(), key, store.SignOptions{Method: method, Expires: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	resp, err := http.Get(sign("GET"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || string(b) != "signed bytes" {
		t.Errorf("%s: %s", resp.Status, b)
	}
	req, _ := http.NewRequest("PUT", sign("PUT"), strings.NewReader("put by URL"))
	if resp, err = http.DefaultClient.Do(req); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	for code, o := range map[fault.Code][]store.SignOptions{fault.InvalidArgument: {{Method: "POST", Expires: time.Minute}, {Method: "GET"}}, fault.Unimplemented: {{Method: "DELETE", Expires: time.Minute}}} {
		for _, o := range o {
			if _, err := d.SignURL(t.Context(), key, o); d.Classify(err).Code != code {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		o    Options
		want string
	}{
		{Options{Bucket: "b", Region: "eu-frankfurt-1"}, "https://objectstorage.eu-frankfurt-1.oraclecloud.com"},
		{Options{Bucket: "b", Region: "fra"}, "https://objectstorage.eu-frankfurt-1.oraclecloud.com"},
		{Options{Bucket: "b", Region: "us-gov-ashburn-1"}, "https://objectstorage.us-gov-ashburn-1.oraclegovcloud.com"},
		{Options{Bucket: "b", Region: "xx-unheard-9"}, "https://objectstorage.xx-unheard-9.oraclecloud.com"},
		{Options{Bucket: "b", Endpoint: "http://localhost:1/base"}, "http://localhost:1/base"},
	} {
		d, err := Open(t.Context(), env(nil, apiKey()), &x.o)
		if err != nil || d.(*Driver).base.String() != x.want {
			t.Errorf("%+v: %v, %v", x.o, d, err)
		}
	}
	if _, err := Open(t.Context(), env(nil, apiKey()), &Options{Bucket: "b"}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("no region: %v", err)
	}
	if _, err := Open(t.Context(), env(nil, nil), &Options{Bucket: "b", Region: "fra"}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("no credential: %v", err)
	}
	for _, s := range []string{"oci://b", "b/path", "", "b@ns", "b\n", "ü"} {
		if checkBucket(s) == nil {
			t.Errorf("the bucket %q is taken", s)
		}
	}
}

// No secret shows in an error, whatever the service or the network does.
func TestCanary(t *testing.T) {
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(401)
		io.WriteString(w, `{"code":"NotAuthenticated","message":"no"}`)
	}))
	src := credential.Static("test", map[string]secret.String{"security_token": secret.New(providertest.CanaryText), "private_key": secret.New(keyPEM())}, secret.NewRedactor())
	for what, x := range map[string]faults.Fault{"a refusal": nil, "a reset": faults.Reset(0), "a page": faults.Portal(), "nothing": faults.Empty(), "a redirect": faults.Redirect("http://127.0.0.1:1/x")} {
		f.Clear()
		if x != nil {
			f.Add(faults.Rule{Fault: x})
		}
		providertest.Canary(t, Provider(), env(client(t, httpclient.Options{}), src), map[string]string{"endpoint": `"` + f.URL + `"`}, func(ctx context.Context, opened any) error {
			d := opened.(*Driver)
			var all []string
			for _, call := range []func() error{
				func() error { _, err := d.Stat(ctx, "k", store.Cond{}); return err },
				func() error { _, err := d.List(ctx, store.Query{}); return err },
				func() error { _, err := d.Get(ctx, "k", store.GetOptions{}); return err },
				func() error { _, err := d.Put(ctx, "k", held(make([]byte, 1<<20)), store.PutOptions{}); return err },
				func() error { _, err := d.Begin(ctx, "k", store.PutOptions{}, 1); return err },
				func() error { _, err := d.Uploads(ctx, "", ""); return err },
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
