package providers

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/gcs"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
)

// gcsEnv is a block's environment with a credential of the family gcp and the variables given.
func gcsEnv(t testing.TB, o *gcpauth.Options, vars map[string]string) provider.Env {
	t.Helper()
	c, err := httpclient.New(httpclient.Options{HTTP1: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	e := provider.Env{Name: "gcstest", HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(), Getenv: func(n string) string { return vars[n] },
		CredentialOf: func(schema.Ref) (credential.Source, error) { return nil, nil }}
	if e.Credential, err = gcpauth.Provider().OpenCredential(t.Context(), e, o); err != nil {
		t.Fatal(err)
	}
	return e
}

// An HMAC key opens a bucket by the XML API, signed as for S3, whose server verifies it.
func TestGCSWithHMACKey(t *testing.T) {
	a := testbed.VersityGWAuto(t)
	declared := &gcpauth.Options{Method: "hmac", AccessID: a.AccessKeyID, Secret: secret.New(a.SecretAccessKey)}
	open := func(t testing.TB, e provider.Env, o *gcs.Options) store.Driver {
		o.Endpoint = a.Endpoint
		d, err := gcs.Provider(openGCSXML).OpenStore(t.Context(), e, o)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	ambient := gcsEnv(t, &gcpauth.Options{Method: "default"}, map[string]string{"GCS_KEY": a.AccessKeyID, "GCS_SECRET": a.SecretAccessKey})
	d := open(t, ambient, &gcs.Options{Bucket: "ambient", CreateIfNotExists: true})
	if _, err := d.Put(t.Context(), "a/b", storetest.Bytes([]byte("x")), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := d.(store.Locator).URI("a/b"); got != "gs://ambient/a/b" || d.Close() != nil {
		t.Error(got)
	}
	for what, x := range map[string]struct {
		key, bucket, hint string
		code              fault.Code
	}{
		"no bucket": {a.SecretAccessKey, "none-such", "gcloud storage buckets create gs://none-such", fault.NotFound},
		"wrong key": {"other-secret", "ambient", "secret access key", fault.Unauthenticated},
	} {
		o := &gcpauth.Options{Method: "hmac", AccessID: a.AccessKeyID, Secret: secret.New(x.key)}
		d := open(t, gcsEnv(t, o, nil), &gcs.Options{Bucket: x.bucket})
		_, err := d.List(t.Context(), store.Query{})
		if c := d.Classify(err); c.Code != x.code || !strings.Contains(c.Hint, x.hint) || strings.Contains(c.Hint, "aws") {
			t.Errorf("%s: %v: %+v", what, err, c)
		}
		d.Close()
	}
	if _, err := gcs.Provider(openGCSXML).OpenStore(t.Context(), ambient, &gcs.Options{Bucket: "b-1", UserProject: "p"}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("what the XML API's driver cannot do: %v", err)
	}
	e := gcsEnv(t, declared, nil)
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Driver {
			d := open(t, e, &gcs.Options{Bucket: "b-" + strings.ToLower(rand.Text()[:12]), CreateIfNotExists: true})
			ctx := context.WithoutCancel(t.Context())
			if _, err := d.Put(ctx, "made", storetest.Bytes(nil), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := d.Delete(ctx, "made", store.Cond{}); err != nil {
				t.Fatal(err)
			}
			return d
		},
		Again: func(t testing.TB, d store.Driver) store.Driver { return open(t, e, d.(*xmlBucket).o) },
		Idle:  e.HTTP.CloseIdleConnections,
		SkipKey: func(key string) string {
			for _, s := range strings.Split(key, "/") {
				if len(s) > 255 {
					return "a file name has at most 255 bytes"
				}
			}
			return ""
		},
		Secrets: []string{a.SecretAccessKey},
	})
}
