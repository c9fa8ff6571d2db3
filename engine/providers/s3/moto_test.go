package s3

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

// What versitygw does not keep, moto does: canned ACLs, storage classes, encryption, requester pays.
func TestStoredAsAsked(t *testing.T) {
	a := testbed.Moto(t)
	c := clientOf(t, a)
	o := Options{Bucket: bucket(), Preset: "aws", Endpoint: a.Endpoint, Region: a.Region, CreateIfNotExists: true,
		ACL: "public-read", StorageClass: "STANDARD_IA", SSE: "aws:kms", KMSKeyID: "alias/data", RequesterPays: true}
	d := openWith(t, env(c, keys(a.AccessKeyID, a.SecretAccessKey)), o)
	defer d.Close()
	put := func(key string) {
		if _, err := d.Put(t.Context(), key, held("bytes"), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	u, err := d.Begin(t.Context(), "parts", store.PutOptions{}, 5)
	if err != nil {
		t.Fatal(err)
	}
	p, err := u.Part(t.Context(), 1, 0, held("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(t.Context(), []store.Part{p}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CopyFrom(t.Context(), d, "one", "copied", store.CopyOptions{Size: 5, KeepAttrs: true}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"one", "parts", "copied"} {
		resp, err := d.do(t.Context(), &request{action: "GetObjectAcl", method: "GET", key: key, query: []string{"acl", ""}})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !bytes.Contains(b, []byte("groups/global/AllUsers")) {
			t.Errorf("%s is not public: %s", key, b)
		}
		resp, err = d.head(t.Context(), key, store.Cond{})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		h := resp.Header
		if h.Get("X-Amz-Storage-Class") != "STANDARD_IA" || h.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || !strings.HasSuffix(h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"), "data") {
			t.Errorf("%s is kept as %v", key, h)
		}
	}
	failed, err := d.DeleteBatch(t.Context(), []string{"one", "copied", "never"})
	if err != nil || len(failed) > 0 {
		t.Errorf("%v, %v", failed, err)
	}
	page, err := d.List(t.Context(), store.Query{})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Key != "parts" {
		t.Errorf("%+v, %v", page, err)
	}
	o.CreateIfNotExists, o.Bucket = false, bucket()
	none := openWith(t, env(c, keys(a.AccessKeyID, a.SecretAccessKey)), o)
	defer none.Close()
	err = none.Check(t.Context())
	if class := none.Classify(err); class.Code != fault.NotFound || !strings.Contains(class.Hint, "aws s3 mb s3://"+o.Bucket) {
		t.Errorf("a bucket that is not there: %v, %+v", err, class)
	}
}
