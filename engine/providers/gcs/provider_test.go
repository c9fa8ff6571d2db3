package gcs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

func noXML(context.Context, provider.Env, *Options) (store.Driver, error) {
	return nil, fault.New(fault.Unimplemented, "no XML API in this test")
}

func TestProvider(t *testing.T) { providertest.Check(t, Provider(noXML)) }

// No secret shows in an error, whatever the service or the network does.
func TestCanary(t *testing.T) {
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+providertest.CanaryText {
			t.Errorf("%s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
		}
		w.WriteHeader(403)
		fmt.Fprintf(w, `{"error":{"message":"no"}}`)
	}))
	for what, x := range map[string]faults.Fault{"a refusal": nil, "a reset": faults.Reset(0), "a page": faults.Portal(), "nothing": faults.Empty(), "a redirect": faults.Redirect("http://127.0.0.1:1/x")} {
		f.Clear()
		if x != nil {
			f.Add(faults.Rule{Fault: x})
		}
		e := env(client(t, httpclient.Options{}), bearer(providertest.CanaryText))
		providertest.Canary(t, Provider(noXML), e, map[string]string{"endpoint": `"` + f.URL + `"`}, func(ctx context.Context, opened any) error {
			d := opened.(*Driver)
			var all []string
			for _, err := range everyCall(ctx, d) {
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

// everyCall makes each kind of call and returns its error.
func everyCall(ctx context.Context, d *Driver) map[string]error {
	out := map[string]error{}
	_, out["stat"] = d.Stat(ctx, "k", store.Cond{})
	_, out["list"] = d.List(ctx, store.Query{})
	_, out["get"] = d.Get(ctx, "k", store.GetOptions{})
	_, out["put"] = d.Put(ctx, "k", held(make([]byte, 1<<20)), store.PutOptions{})
	_, out["begin"] = d.Begin(ctx, "k", store.PutOptions{}, 1)
	_, out["uploads"] = d.Uploads(ctx, "", "")
	_, out["copy"] = d.CopyFrom(ctx, d, "k", "l", store.CopyOptions{SrcVersion: "1"})
	out["delete"] = d.Delete(ctx, "k", store.Cond{})
	out["check"] = d.Check(ctx)
	return out
}

// revolving gives numbered tokens; a new one when the last was refused.
type revolving struct{ n atomic.Int32 }

func (r *revolving) Resolve(_ context.Context, w credential.Want) (credential.Value, error) {
	if w.Audience != gcpauth.ScopeStorage {
		return credential.Value{}, fault.New(fault.Internal, "the scope %q", w.Audience)
	}
	if w.Refresh {
		r.n.Add(1)
	}
	return credential.Value{Fields: map[string]secret.String{"access_token": secret.New(fmt.Sprintf("token-%d", r.n.Load()))}}, nil
}

func (r *revolving) Explain(context.Context) []credential.Step {
	return []credential.Step{{Source: "the revolving door", Used: true}}
}

// A token that the service refuses is renewed once, whoever sends the request; the environment is asked for nothing.
func TestTokens(t *testing.T) {
	canary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the environment's place was asked: %s %s", r.Method, r.URL)
	}))
	defer canary.Close()
	for _, name := range []string{"STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST"} {
		t.Setenv(name, strings.TrimPrefix(canary.URL, "http://"))
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/canary.json")
	f := newFront(t)
	f.Revoke(goodToken)
	s := faults.New(t, f)
	src := &revolving{}
	d := openWith(t, env(client(t, httpclient.Options{}), src), Options{Bucket: bucket(t, f), Endpoint: s.URL})
	defer d.Close()
	next := func() { // the last token is refused from now on
		n := src.n.Load()
		f.Revoke(fmt.Sprintf("token-%d", n))
		f.Allow(fmt.Sprintf("token-%d", n+1))
	}
	steps := []struct {
		what string
		call func() error
	}{
		{"put", func() error { _, err := d.Put(t.Context(), "k", held("x"), store.PutOptions{}); return err }},
		{"get", func() error { return readTo(t.Context(), d, "k") }},
		{"list", func() error { _, err := d.List(t.Context(), store.Query{}); return err }},
		{"copy by Google's client", func() error { _, err := d.CopyFrom(t.Context(), d, "k", "l", store.CopyOptions{Size: 1}); return err }},
		{"delete", func() error { return d.Delete(t.Context(), "k", store.Cond{}) }},
	}
	for i, step := range steps {
		next()
		if err := step.call(); err != nil || int(src.n.Load()) != i+1 {
			t.Errorf("%s with a token that was revoked: %v, %d renewals", step.what, err, src.n.Load())
		}
	}
	f.Revoke(fmt.Sprintf("token-%d", src.n.Load()))
	for what, err := range everyCall(t.Context(), d) {
		if c := d.Classify(err); c.Code != fault.Unauthenticated || !strings.Contains(c.Hint, "the revolving door") {
			t.Errorf("%s without a good token: %v: %+v", what, err, c)
		}
	}
	for _, q := range s.Requests() {
		if !strings.HasPrefix(q.Header.Get("Authorization"), "Bearer token-") {
			t.Errorf("%s %s with %q", q.Method, q.Path, q.Header.Get("Authorization"))
		}
	}
}

func readTo(ctx context.Context, d *Driver, key string) error {
	x, err := d.Get(ctx, key, store.GetOptions{})
	if err != nil {
		return err
	}
	defer x.Body.Close()
	_, err = io.Copy(io.Discard, x.Body)
	return err
}

// A public bucket is read without a token; what is not public says what is missing.
func TestAnonymous(t *testing.T) {
	f := newFront(t)
	s := faults.New(t, f)
	name := bucket(t, f)
	c := client(t, httpclient.Options{})
	owner := openWith(t, env(c, bearer(goodToken)), Options{Bucket: name, Endpoint: s.URL})
	defer owner.Close()
	if _, err := owner.Put(t.Context(), "k", held("x"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	s.Clear()
	src, err := gcpauth.Provider().OpenCredential(t.Context(), env(c, nil), &gcpauth.Options{Method: "anonymous"})
	if err != nil {
		t.Fatal(err)
	}
	d := openWith(t, env(c, src), Options{Bucket: name, Endpoint: s.URL})
	defer d.Close()
	if err := readTo(t.Context(), d, "k"); d.Classify(err).Code != fault.Unauthenticated || !strings.Contains(d.Classify(err).Hint, "not public") {
		t.Errorf("a bucket that is not public: %v", err)
	}
	f.Publish(name)
	if err := readTo(t.Context(), d, "k"); err != nil {
		t.Error(err)
	}
	if _, err := d.Put(t.Context(), "l", held("x"), store.PutOptions{}); d.Classify(err).Code != fault.Unauthenticated {
		t.Errorf("a write: %v", err)
	}
	for _, q := range s.Requests() {
		if q.Header.Get("Authorization") != "" {
			t.Errorf("%s %s is not anonymous", q.Method, q.Path)
		}
	}
}

// What the service says is told with the remedy.
func TestRemedies(t *testing.T) {
	f := newFront(t)
	s := faults.New(t, f)
	c := client(t, httpclient.Options{})
	d := openWith(t, env(c, bearer(goodToken)), Options{Bucket: "no-such-bucket", Endpoint: s.URL, Project: "example", Location: "europe-west3"})
	defer d.Close()
	for what, err := range everyCall(t.Context(), d) {
		if c := d.Classify(err); c.Code != fault.NotFound || !strings.Contains(c.Hint, "gcloud storage buckets create gs://no-such-bucket --project=example --location=europe-west3") || c.RequestID == "" && what != "copy" {
			t.Errorf("%s in a bucket that is not there: %v: %+v", what, err, c)
		}
	}
	for status, x := range map[int]struct {
		body, hint string
		code       fault.Code
		retry      bool
	}{
		403: {`{"error":{"code":403,"message":"x does not have storage.objects.get access","errors":[{"reason":"forbidden"}]}}`, "--role=roles/storage.objectViewer", fault.PermissionDenied, false},
		400: {`{"error":{"code":400,"message":"Bucket is requester pays bucket but no user project provided.","errors":[{"reason":"userProjectMissing"}]}}`, "user_project", fault.InvalidArgument, false},
		429: {`{"error":{"code":429,"message":"rate","errors":[{"reason":"rateLimitExceeded"}]}}`, "", fault.ResourceExhausted, true},
		503: {`not JSON`, "", fault.Unavailable, true},
		307: {``, "redirects elsewhere", fault.FailedPrecondition, false},
	} {
		s.Clear()
		s.Add(faults.Rule{Fault: faults.Answer(status, map[string]string{"Location": "https://example.com/x"}, x.body)})
		_, err := d.Stat(t.Context(), "k", store.Cond{})
		if c := d.Classify(err); c.Code != x.code || !strings.Contains(c.Hint, x.hint) || c.Retryable() != x.retry {
			t.Errorf("%d: %v: %+v", status, err, c)
		}
	}
	s.Clear()
	s.Add(faults.Rule{Fault: faults.Answer(403, nil, `{"error":{"code":403,"message":"slow down","errors":[{"reason":"rateLimitExceeded"}]}}`)})
	if _, err := d.Stat(t.Context(), "k", store.Cond{}); d.Classify(err).Code != fault.ResourceExhausted {
		t.Errorf("a 403 that means 429: %v", err)
	}
}

// A bucket is made before the first write where that is asked for, in the project that is known.
func TestCreateBucket(t *testing.T) {
	f := newFront(t)
	s := faults.New(t, f)
	c := client(t, httpclient.Options{})
	name := "made-" + strings.ToLower(rand.Text()[:10])
	d := openWith(t, env(c, bearer(goodToken)), Options{Bucket: name, Endpoint: s.URL, CreateIfNotExists: true, StorageClass: "NEARLINE", Location: "europe-west3"})
	defer d.Close()
	if p, err := d.List(t.Context(), store.Query{}); err != nil || len(p.Entries) > 0 {
		t.Errorf("a bucket that the first write makes: %+v, %v", p, err)
	}
	if p, err := d.Uploads(t.Context(), "", ""); err != nil || len(p.Uploads) > 0 {
		t.Errorf("its uploads: %+v, %v", p, err)
	}
	if _, err := d.Put(t.Context(), "k", held("v"), store.PutOptions{}); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fault.ClassOf(err).Hint, "project") {
		t.Errorf("without a project: %v", err)
	}
	d.o.Project = "example-project"
	for range 2 {
		if _, err := d.Put(t.Context(), "k", held("v"), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	made := 0
	for _, q := range s.Requests() {
		if q.Method == "POST" && q.Path == "/storage/v1/b" {
			if made++; !strings.Contains(q.Query, "project=example-project") {
				t.Errorf("made with %s", q.Query)
			}
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

// account is a service account whose key the front knows, as a credential.
func account(t *testing.T, e provider.Env, email, tokenURI string, key *rsa.PrivateKey) credential.Source {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(map[string]string{"type": "service_account", "project_id": "example", "private_key_id": "kid", "client_email": email, "client_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": tokenURI,
		"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs", "client_x509_cert_url": "https://www.googleapis.com/x", "universe_domain": "googleapis.com"})
	src, err := gcpauth.Provider().OpenCredential(t.Context(), e, &gcpauth.Options{Method: "service_account", JSON: secret.New(string(text))})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// Signed URLs work without a token, for what they were signed and as long; the front verifies the signature.
func TestSignedURLs(t *testing.T) {
	f := newFront(t)
	s := httptest.NewServer(f)
	defer s.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const email = "signer@example.iam.gserviceaccount.com"
	f.Signer(email, &key.PublicKey)
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600,"token_type":"Bearer"}`, goodToken)
	}))
	defer tokens.Close()
	e := env(client(t, httpclient.Options{}), nil)
	e.Credential = account(t, e, email, tokens.URL, key)
	d := openWith(t, e, Options{Bucket: bucket(t, f), Endpoint: s.URL})
	defer d.Close()
	ask := func(method, url, body string) (int, string) {
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	for _, k := range []string{"plain.txt", "dir/a b+ü%41?&=#.txt", "a//b"} {
		sign := func(method string, life time.Duration) string {
			u, err := d.SignURL(t.Context(), k, store.SignOptions{Method: method, Expires: life})
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		if status, text := ask("PUT", sign("PUT", time.Minute), "content of "+k); status != 200 {
			t.Errorf("put %q: %d %s", k, status, text)
		}
		if status, text := ask("GET", sign("GET", time.Minute), ""); status != 200 || text != "content of "+k {
			t.Errorf("get %q: %d %s", k, status, text)
		}
		if status, _ := ask("HEAD", sign("HEAD", time.Minute), ""); status != 200 {
			t.Errorf("head %q: %d", k, status)
		}
		if status, _ := ask("PUT", sign("GET", time.Minute), "x"); status != 403 {
			t.Errorf("put with a URL for get: %d", status)
		}
		if status, _ := ask("GET", strings.Replace(sign("GET", time.Minute), "X-Goog-Expires=", "X-Goog-Expires=9", 1), ""); status != 403 {
			t.Errorf("a longer life than was signed: %d", status)
		}
		short := sign("GET", time.Second)
		if status, _ := ask("DELETE", sign("DELETE", time.Minute), ""); status != 204 {
			t.Errorf("delete %q: %d", k, status)
		}
		time.Sleep(1100 * time.Millisecond)
		if status, _ := ask("GET", short, ""); status != 403 {
			t.Errorf("after its end: %d", status)
		}
	}
	for what, o := range map[string]store.SignOptions{"a method": {Method: "POST", Expires: time.Minute}, "no life": {Method: "GET"}, "a long life": {Method: "GET", Expires: 8 * 24 * time.Hour}} {
		if _, err := d.SignURL(t.Context(), "k", o); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := d.SignURL(t.Context(), "a/../b", store.SignOptions{Method: "GET", Expires: time.Minute}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a key that programs would change: %v", err)
	}
	other := openWith(t, env(client(t, httpclient.Options{}), bearer(goodToken)), d.o)
	defer other.Close()
	if _, err := other.SignURL(t.Context(), "k", store.SignOptions{Method: "GET", Expires: time.Minute}); !fault.Is(err, fault.Unimplemented) || fault.ClassOf(err).Hint == "" {
		t.Errorf("a token cannot sign: %v", err)
	}
}

// Options reach the service by every way of writing.
func TestOptionsOnTheWire(t *testing.T) {
	f := newFront(t)
	s := faults.New(t, f)
	d := openWith(t, env(client(t, httpclient.Options{}), bearer(goodToken)), Options{Bucket: bucket(t, f), Endpoint: s.URL, UserProject: "payer", KMSKeyName: "projects/p/locations/l/keyRings/r/cryptoKeys/k",
		StorageClass: "COLDLINE", PredefinedACL: "bucketOwnerRead"})
	defer d.Close()
	ctx := t.Context()
	if _, err := d.Put(ctx, "k", held("x"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	put := s.Requests()[0]
	for _, want := range []string{"userProject=payer", "kmsKeyName=projects%2Fp%2Flocations", "predefinedAcl=bucketOwnerRead"} {
		if !strings.Contains(put.Query, want) {
			t.Errorf("put: no %s in %s", want, put.Query)
		}
	}
	s.Clear()
	if _, err := d.CopyFrom(ctx, d, "k", "l", store.CopyOptions{Size: 1, KeepAttrs: true}); err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, q := range s.Requests() {
		all += q.Path + "?" + q.Query + "\n"
	}
	for _, want := range []string{"userProject=payer", "destinationKmsKeyName=projects%2Fp", "destinationPredefinedAcl=bucketOwnerRead", "sourceGeneration="} {
		if !strings.Contains(all, want) {
			t.Errorf("copy: no %s in %s", want, all)
		}
	}
	s.Clear()
	u, err := d.Begin(ctx, "m", store.PutOptions{IfAbsent: true}, 1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := u.Part(ctx, 1, 0, held("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(ctx, []store.Part{p}); err != nil {
		t.Fatal(err)
	}
	begin := s.Requests()[0].Header
	for name, want := range map[string]string{"X-Goog-User-Project": "payer", "X-Goog-Encryption-Kms-Key-Name": d.o.KMSKeyName, "X-Goog-Storage-Class": "COLDLINE", "X-Goog-Acl": "bucket-owner-read"} {
		if begin.Get(name) != want {
			t.Errorf("begin: %s is %q", name, begin.Get(name))
		}
	}
	if e, err := d.Stat(ctx, "m", store.Cond{}); err != nil || e.Size != 1 {
		t.Error(e, err)
	}
	// Nobody sees a completed upload before it has its name.
	if page, err := d.List(ctx, store.Query{}); err != nil || len(page.Entries) != 3 {
		t.Errorf("%+v, %v", page.Entries, err)
	}
	if _, err := d.Put(ctx, hidden("k"), held("x"), store.PutOptions{}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a name of ours: %v", err)
	}
	long := strings.Repeat("k", maxKey)
	if _, err := d.Begin(ctx, long, store.PutOptions{IfAbsent: true}, 1); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "more than 1000") {
		t.Errorf("a key that leaves no room to hide: %v", err)
	}
	if u, err := d.Begin(ctx, long, store.PutOptions{}, 1); err != nil || u.Abort(ctx) != nil {
		t.Errorf("a long key without a condition: %v", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v %+v %#v", d, d, d)
	if strings.Contains(b.String(), goodToken) || d.URI("a/b") != "gs://"+d.o.Bucket+"/a/b" {
		t.Error(b.String(), d.URI("a/b"))
	}
	for endpoint, home := range map[string]string{"https://storage.googleapis.com": "", "https://storage-x.p.googleapis.com": "", "http://127.0.0.1:4443": "127.0.0.1:4443"} {
		if got := Home(endpoint); got != home {
			t.Errorf("%s is %q", endpoint, got)
		}
	}
}

// In a bucket that keeps versions, an old generation can be read, copied and removed, and nothing else is.
func TestVersions(t *testing.T) {
	f := newFront(t)
	s := httptest.NewServer(f)
	defer s.Close()
	d := openWith(t, env(client(t, httpclient.Options{}), bearer(goodToken)), Options{Bucket: "kept", Endpoint: s.URL})
	defer d.Close()
	ctx := t.Context()
	create := &request{action: "storage.buckets.create", method: "POST", path: "/storage/v1/b", query: []string{"project", "p"}}
	if err := create.encode(map[string]any{"name": "kept", "versioning": map[string]bool{"enabled": true}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.text(ctx, create); err != nil {
		t.Fatal(err)
	}
	old, err := d.Put(ctx, "k", held("old"), store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	young, err := d.Put(ctx, "k", held("young"), store.PutOptions{IfMatch: old.ETag})
	if err != nil || young.Version == old.Version {
		t.Fatal(young, err)
	}
	holdsText := func(key, version, want string) {
		t.Helper()
		x, err := d.Get(ctx, key, store.GetOptions{Version: version})
		if err != nil {
			t.Errorf("%s %s: %v", key, version, err)
			return
		}
		defer x.Body.Close()
		if b, err := io.ReadAll(x.Body); err != nil || string(b) != want {
			t.Errorf("%s %s: %q, %v", key, version, b, err)
		}
	}
	holdsText("k", "", "young")
	holdsText("k", old.Version, "old")
	if e, err := d.Stat(ctx, "k", store.Cond{Version: old.Version}); err != nil || e.Size != 3 {
		t.Error(e, err)
	}
	if _, err := d.CopyFrom(ctx, d, "k", "copy", store.CopyOptions{Size: 3, SrcVersion: old.Version}); err != nil {
		t.Error(err)
	}
	holdsText("copy", "", "old")
	if err := d.Delete(ctx, "k", store.Cond{Version: old.Version}); err != nil {
		t.Error(err)
	}
	holdsText("k", "", "young")
	if _, err := d.Stat(ctx, "k", store.Cond{Version: old.Version}); d.Classify(err).Code != fault.NotFound {
		t.Errorf("a version that was removed: %v", err)
	}
}
