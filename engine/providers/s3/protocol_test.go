package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

const emptyPage = pageHead + "<IsTruncated>false</IsTruncated></ListBucketResult>"

// serve returns a driver on a handler.
func serve(t *testing.T, cred credential.Source, o Options, h http.HandlerFunc) (*Driver, *faults.Server) {
	t.Helper()
	f := faults.New(t, h)
	o.Bucket, o.Endpoint = "b", f.URL
	if o.Preset == "" {
		o.Preset = "aws"
	}
	d := openWith(t, env(client(t, httpclient.Options{}), cred), o)
	t.Cleanup(func() { d.Close() })
	return d, f
}

func refuse(w http.ResponseWriter, status int, code, more string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>no.</Message>%s<RequestId>R1</RequestId></Error>", code, more)
}

func scope(r *http.Request) string { return r.Header.Get("Authorization") }

func TestRegionIsFoundOut(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(scope(r), "/eu-west-3/s3/") {
			fmt.Fprint(w, emptyPage)
			return
		}
		w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
		refuse(w, 301, "PermanentRedirect", "<Endpoint>elsewhere.example.com</Endpoint>")
	}
	d, f := serve(t, keys("AK", "secret"), Options{}, h)
	for range 3 {
		if _, err := d.List(t.Context(), store.Query{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.Count(""); n != 4 {
		t.Errorf("%d requests for 3 listings", n)
	}
	d, f = serve(t, keys("AK", "secret"), Options{Region: "us-west-1"}, h)
	_, err := d.List(t.Context(), store.Query{})
	if c := d.Classify(err); c.Code != fault.FailedPrecondition || !strings.Contains(c.Hint, `region = "eu-west-3"`) || c.RequestID != "R1" || f.Count("") != 1 {
		t.Errorf("a region that was given and is wrong: %v, %+v", err, c)
	}
	malformed := func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(scope(r), "/eu-west-3/s3/") {
			fmt.Fprint(w, emptyPage)
			return
		}
		refuse(w, 400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>")
	}
	d, _ = serve(t, keys("AK", "secret"), Options{}, malformed)
	if _, err := d.List(t.Context(), store.Query{}); err != nil {
		t.Error(err)
	}
}

func TestExpiredSessionIsRenewedOnce(t *testing.T) {
	var asked, refreshed atomic.Int32
	cred := credential.From("session", func(_ context.Context, w credential.Want) (credential.Value, error) {
		asked.Add(1)
		if w.Refresh {
			refreshed.Add(1)
		}
		return credential.Value{Fields: map[string]secret.String{"access_key_id": secret.New("AK"), "secret_access_key": secret.New("s"),
			"session_token": secret.New(fmt.Sprintf("token%d", refreshed.Load()))}}, nil
	})
	good := "token1"
	d, f := serve(t, cred, Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Amz-Security-Token") == good && r.Method == "HEAD":
			w.Header().Set("ETag", `"e"`)
		case r.Header.Get("X-Amz-Security-Token") == good:
			fmt.Fprint(w, emptyPage)
		case r.Method == "HEAD":
			w.WriteHeader(400)
		default:
			refuse(w, 400, "ExpiredToken", "")
		}
	})
	if _, err := d.List(t.Context(), store.Query{}); err != nil || refreshed.Load() != 1 || f.Count("") != 2 {
		t.Errorf("%v after %d requests, %d renewals", err, f.Count(""), refreshed.Load())
	}
	good = "never"
	_, err := d.List(t.Context(), store.Query{})
	if c := d.Classify(err); c.Code != fault.Unauthenticated || !strings.Contains(c.Hint, "log in") || refreshed.Load() != 2 {
		t.Errorf("%v, %+v after %d renewals", err, c, refreshed.Load())
	}
	good = "token3" // a HEAD does not say why it fails
	if _, err := d.Stat(t.Context(), "k", store.Cond{}); err == nil {
		t.Error("stat: no error from a reply without a length")
	} else if d.Classify(err).Code == fault.Unauthenticated {
		t.Errorf("stat: %v", err)
	}
}

func TestClockIsCorrected(t *testing.T) {
	begin := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	d, f := serve(t, keys("AK", "s"), Options{}, func(w http.ResponseWriter, r *http.Request) {
		at, _ := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		w.Header().Set("Date", begin.Format(http.TimeFormat))
		if at.Sub(begin).Abs() > 15*time.Minute {
			refuse(w, 403, "RequestTimeTooSkewed", "")
			return
		}
		fmt.Fprint(w, emptyPage)
	})
	d.clock = clock.NewFake(begin.Add(30 * time.Minute))
	for range 3 {
		if _, err := d.List(t.Context(), store.Query{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.Count(""); n != 4 {
		t.Errorf("%d requests for 3 listings", n)
	}
}

// A public bucket needs no credential; one that is refused is not replaced by none.
func TestUnsigned(t *testing.T) {
	absent := credential.From("none", func(context.Context, credential.Want) (credential.Value, error) {
		return credential.Value{}, fmt.Errorf("nothing set: %w", credential.ErrAbsent)
	})
	bad := credential.From("bad", func(context.Context, credential.Want) (credential.Value, error) {
		return credential.Value{}, errors.New("the profile does not exist")
	})
	for what, cred := range map[string]credential.Source{"no credential": nil, "an empty chain": absent} {
		d, f := serve(t, cred, Options{RequesterPays: true}, func(w http.ResponseWriter, r *http.Request) { refuse(w, 403, "AccessDenied", "") })
		_, err := d.List(t.Context(), store.Query{})
		if c := d.Classify(err); c.Code != fault.PermissionDenied || !strings.Contains(c.Hint, "s3:ListBucket") || !strings.Contains(c.Hint, "No credential") {
			t.Errorf("%s: %v %+v", what, err, c)
		}
		q := f.Requests()[0]
		if q.Header.Get("Authorization") != "" || q.Header.Get("X-Amz-Request-Payer") != "requester" {
			t.Errorf("%s: sent %v", what, q.Header)
		}
		if _, err := d.SignURL(t.Context(), "k", store.SignOptions{Method: "GET", Expires: time.Hour}); d.Classify(err).Code != fault.Unauthenticated {
			t.Errorf("%s: a signed URL: %v", what, err)
		}
	}
	d, f := serve(t, bad, Options{}, func(w http.ResponseWriter, r *http.Request) {})
	if _, err := d.List(t.Context(), store.Query{}); err == nil || f.Count("") != 0 {
		t.Errorf("a credential that fails: %v after %d requests", err, f.Count(""))
	}
}

// Keys go over the wire byte by byte where the service is known to keep them, and are refused elsewhere.
func TestKeysOnTheWire(t *testing.T) {
	d, f := serve(t, keys("AK", "s"), Options{}, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	odd := []string{"../x", ".", "a/../b", "a//b", "//a", "/", "a/./b"}
	for _, k := range odd {
		if err := d.Delete(t.Context(), k, store.Cond{}); d.Classify(err).Code != fault.InvalidArgument {
			t.Errorf("%q: %v", k, err)
		}
	}
	if f.Count("") != 0 {
		t.Error("a key that is refused was sent")
	}
	d.exact = true
	for k, path := range map[string]string{"../x": "/b/../x", ".": "/b/.", "a/../b": "/b/a/../b", "a//b": "/b/a//b", "//a": "/b///a", "/": "/b//", "dir/": "/b/dir/",
		"q?x#y&z=%41+ ü": "/b/q%3Fx%23y%26z%3D%2541%2B%20%C3%BC", "c\x01\r\n": "/b/c%01%0D%0A", "~-_.": "/b/~-_."} {
		f.Clear()
		if err := d.Delete(t.Context(), k, store.Cond{}); err != nil {
			t.Errorf("%q: %v", k, err)
		} else if got := f.Requests()[0].Path; got != path {
			t.Errorf("%q is sent as %q, want %q", k, got, path)
		}
	}
}

func TestAddresses(t *testing.T) {
	c := client(t, httpclient.Options{})
	for _, x := range []struct {
		o        Options
		want     string // scheme://host/path
		checksum string
		absent   bool
	}{
		{Options{Bucket: "my-bucket"}, "https://my-bucket.s3.us-east-1.amazonaws.com/", algoCRC64, true},
		{Options{Bucket: "my-bucket", Region: "cn-north-1"}, "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/", algoCRC64, true},
		{Options{Bucket: "my-bucket", Region: "eu-west-1", Dualstack: true}, "https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com/", algoCRC64, true},
		{Options{Bucket: "my-bucket", Region: "eu-west-1", Accelerate: true}, "https://my-bucket.s3-accelerate.amazonaws.com/", algoCRC64, true},
		{Options{Bucket: "my.bucket", Region: "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com/my.bucket/", algoCRC64, true},
		{Options{Bucket: "my-bucket", Region: "eu-west-1", PathStyle: "on"}, "https://s3.eu-west-1.amazonaws.com/my-bucket/", algoCRC64, true},
		{Options{Bucket: "my-bucket", Preset: "r2", Endpoint: "0123abc"}, "https://0123abc.r2.cloudflarestorage.com/my-bucket/", "", false},
		{Options{Bucket: "my-bucket", Endpoint: "https://0123abc.r2.cloudflarestorage.com"}, "https://0123abc.r2.cloudflarestorage.com/my-bucket/", "", false},
		{Options{Bucket: "my-bucket", Preset: "b2", Region: "us-west-004"}, "https://my-bucket.s3.us-west-004.backblazeb2.com/", "", false},
		{Options{Bucket: "my-bucket", Preset: "minio", Endpoint: "http://localhost:9000"}, "http://localhost:9000/my-bucket/", "", true},
		{Options{Bucket: "my-bucket", Preset: "coreweave"}, "https://my-bucket.cwobject.com/", "", false},
		{Options{Bucket: "my-bucket", Preset: "gcs_xml"}, "https://storage.googleapis.com/my-bucket/", "", false},
		{Options{Bucket: "my-bucket", Preset: "oci_compat", Endpoint: "namespace", Region: "eu-frankfurt-1"}, "https://namespace.compat.objectstorage.eu-frankfurt-1.oraclecloud.com/my-bucket/", "", false},
		{Options{Bucket: "my-bucket", Endpoint: "https://s3.example.com/base/", Checksum: "crc32c"}, "https://s3.example.com/base/my-bucket/", algoCRC32C, false},
		{Options{Bucket: "my-bucket", Endpoint: "https://s3.example.com", PathStyle: "off"}, "https://my-bucket.s3.example.com/", "", false},
	} {
		drv, err := Open(t.Context(), env(c, nil), &x.o)
		if err != nil {
			t.Errorf("%+v: %v", x.o, err)
			continue
		}
		d := drv.(*Driver)
		at, err := d.address(d.regionNow())
		if got := at.scheme + "://" + at.host + at.path; err != nil || got != x.want || d.algo != x.checksum || d.Caps().IfAbsent != x.absent {
			t.Errorf("%+v: %s %q %v, %v, want %s %q %v", x.o, got, d.algo, d.Caps().IfAbsent, err, x.want, x.checksum, x.absent)
		}
	}
	for _, o := range []Options{{Bucket: "my-bucket", Preset: "r2"}, {Bucket: "my-bucket", Preset: "b2"}, {Bucket: "my-bucket", Preset: "minio"}, {Bucket: "x--usw2-az1--x-s3"}, {Bucket: "my-bucket", Accelerate: true, Endpoint: "https://s3.example.com"},
		{Bucket: "my-bucket", KMSKeyID: "alias/x"}, {Bucket: "my-bucket", KMSKeyID: "alias/x", SSE: "AES256"}, {Bucket: "arn:aws:s3:nonsense"}} {
		if _, err := Open(t.Context(), env(c, nil), &o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	for _, s := range []string{"s3://b", "https://s3.example.com/b", "b/path", "", "a", "a..b", "b\n"} {
		if checkBucket(s) == nil {
			t.Errorf("the bucket %q is taken", s)
		}
	}
	for _, s := range []string{"s3.example.com", "ftp://x", "https://u:p@x", "https://x?y", "account"} {
		if checkEndpoint(s, "minio", "") == nil {
			t.Errorf("the endpoint %q is taken", s)
		}
	}
	for bucket, s := range map[string]string{"b.c": "https://minio.example.com/b.c", "data": "https://data.s3.eu-west-1.amazonaws.com"} {
		if err := checkEndpoint(s, "", bucket); err == nil || !strings.Contains(err.Error(), bucket) {
			t.Errorf("%s with bucket %s: %v", s, bucket, err)
		}
	}
	if err := checkEndpoint("https://minio.example.com/storage/v1/s3", "", "minio"); err != nil {
		t.Error(err)
	}
}

func TestHints(t *testing.T) {
	for code, x := range map[string]struct {
		status int
		code   fault.Code
		hint   string
	}{
		"NoSuchBucket": {404, fault.NotFound, "mb s3://b"}, "AccessDenied": {403, fault.PermissionDenied, "s3:GetObject on bucket \"b\" to the credential of test."}, "InvalidAccessKeyId": {403, fault.Unauthenticated, "access key"},
		"SignatureDoesNotMatch": {403, fault.Unauthenticated, "secret access key"}, "SlowDown": {503, fault.ResourceExhausted, ""}, "InvalidObjectState": {403, fault.FailedPrecondition, "restore"},
		"Strange": {500, fault.Unavailable, ""}, "Stranger": {418, fault.InvalidArgument, ""}, "PreconditionFailed": {412, fault.FailedPrecondition, ""},
	} {
		d, _ := serve(t, keys("AK", "s"), Options{}, func(w http.ResponseWriter, r *http.Request) { refuse(w, x.status, code, "") })
		_, err := d.Get(t.Context(), "k", store.GetOptions{})
		if c := d.Classify(err); c.Code != x.code || !strings.Contains(c.Hint, x.hint) || (x.hint == "") != (c.Hint == "") || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v, %+v", code, err, c)
		}
	}
}

// What the environment says of buckets counts where the credential comes from it too.
func TestAmbient(t *testing.T) {
	vars := map[string]string{"S3_ENDPOINT_URL": "https://minio.example.com", "S3_CANNED_ACL": "public-read", "MOSAICML_STREAMING_AWS_REQUESTER_PAYS": "x, b-1 ,y"}
	for _, own := range []bool{true, false} {
		e := env(client(t, httpclient.Options{}), ambientSource{keys("AK", "s"), own})
		e.Getenv = func(name string) string { return vars[name] }
		d := openWith(t, e, Options{Bucket: "b-1"})
		if got := d.o.Endpoint != "" && d.o.ACL == "public-read" && d.o.RequesterPays; got != own {
			t.Errorf("ambient %v: %+v", own, d.o)
		}
	}
}

type ambientSource struct {
	credential.Source
	own bool
}

func (a ambientSource) Ambient() bool { return a.own }

// A service may refuse a body by closing the connection under it, so that its answer is lost: the next try asks first,
// and learns why.
func TestRefusedBody(t *testing.T) {
	missing, gone := true, false // what puts and what listings are told
	d, f := serve(t, keys("AK", "secret"), Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "GET" && gone:
			refuse(w, 404, "NoSuchBucket", "")
		case r.Method == "GET":
			_, _ = io.WriteString(w, emptyPage)
		case r.Method == "HEAD" && missing:
			w.WriteHeader(404)
		case r.Method == "HEAD":
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Content-Length", "1048576")
		case r.Header.Get("Expect") == "" && missing:
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			}
		case missing:
			refuse(w, 404, "NoSuchBucket", "")
		default:
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("ETag", `"e"`)
		}
	})
	put := func() error {
		_, err := d.Put(t.Context(), "k", store.BytesBody(make([]byte, 1<<20)), store.PutOptions{})
		return err
	}
	if c := d.Classify(put()); c.Code != fault.Unavailable || !c.MaybeApplied && c.Hint != "" {
		t.Errorf("the first try: %+v", c)
	}
	if c := d.Classify(put()); c.Code != fault.NotFound || !strings.Contains(c.Hint, "create_if_not_exists") {
		t.Errorf("the second try: %+v", c)
	}
	gone = true
	if c := d.Classify(put()); c.Code != fault.NotFound {
		t.Errorf("a bucket that is not there: %+v", c)
	}
	d.wary.Store(false)
	if c := d.Classify(put()); c.Code != fault.NotFound || !strings.Contains(c.Hint, "create_if_not_exists") {
		t.Errorf("a server whose refusals are lost: %+v", c)
	}
	missing, gone = false, false
	if err := put(); err != nil {
		t.Error(err)
	}
	if err := put(); err != nil {
		t.Error(err)
	}
	asked := ""
	for _, r := range f.Requests() {
		if r.Method != "PUT" {
			continue
		}
		asked += map[bool]string{true: "x", false: "-"}[r.Header.Get("Expect") != ""]
	}
	if asked != "-xx-x-" {
		t.Errorf("asked before the body: %s", asked)
	}
}
