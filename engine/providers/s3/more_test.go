package s3

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

// onGateway returns a driver on a bucket of versitygw.
func onGateway(t *testing.T) *Driver {
	a := testbed.VersityGW(t)
	d := openWith(t, env(clientOf(t, a), keys(a.AccessKeyID, a.SecretAccessKey)), Options{Bucket: bucket(), Endpoint: a.Endpoint, Region: a.Region, Preset: "aws", CreateIfNotExists: true})
	t.Cleanup(func() { d.Close() })
	return d
}

func mustPut(t *testing.T, d *Driver, key, content string, o store.PutOptions) store.Entry {
	t.Helper()
	e, err := d.Put(t.Context(), key, held(content), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A bucket that the first write makes is empty before it.
func TestBucketIsMade(t *testing.T) {
	d := onGateway(t)
	if p, err := d.List(t.Context(), store.Query{}); err != nil || len(p.Entries) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := d.Stat(t.Context(), "k", store.Cond{}); d.Classify(err).Code != fault.NotFound {
		t.Error(err)
	}
	mustPut(t, d, "k", "v", store.PutOptions{})
	if p, err := d.List(t.Context(), store.Query{}); err != nil || len(p.Entries) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	d.o.CreateIfNotExists, d.o.Bucket = false, bucket()
	if _, err := d.List(t.Context(), store.Query{}); d.Classify(err).Code != fault.NotFound || !strings.Contains(d.Classify(err).Hint, "--endpoint-url http://127.0.0.1") {
		t.Errorf("%v: %+v", err, d.Classify(err))
	}
	if _, err := d.Put(t.Context(), "k", held("v"), store.PutOptions{}); d.Classify(err).Code != fault.NotFound {
		t.Error(err)
	}
}

func TestSignedURLs(t *testing.T) {
	d := onGateway(t)
	key := "dir/a b+ü.txt"
	mustPut(t, d, key, "signed bytes", store.PutOptions{})
	get := func(method string) string {
		u, err := d.SignURL(t.Context(), key, store.SignOptions{Method: method, Expires: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	resp, err := http.Get(get("GET"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || string(b) != "signed bytes" {
		t.Errorf("%s: %s", resp.Status, b)
	}
	req, _ := http.NewRequest("PUT", get("PUT"), strings.NewReader("put by URL"))
	if resp, err = http.DefaultClient.Do(req); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	if b, err := readKey(t, d, key, store.GetOptions{}); err != nil || b != "put by URL" {
		t.Errorf("%q, %v", b, err)
	}
	for _, o := range []store.SignOptions{{Method: "POST", Expires: time.Minute}, {Method: "GET"}, {Method: "GET", Expires: 8 * 24 * time.Hour}} {
		if _, err := d.SignURL(t.Context(), key, o); d.Classify(err).Code != fault.InvalidArgument {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func readKey(t *testing.T, d *Driver, key string, o store.GetOptions) (string, error) {
	x, err := d.Get(t.Context(), key, o)
	if err != nil {
		return "", err
	}
	defer x.Body.Close()
	b, err := io.ReadAll(x.Body)
	return string(b), err
}

func TestVersions(t *testing.T) {
	d := onGateway(t)
	if err := d.ensureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &request{action: "PutBucketVersioning", method: "PUT", query: []string{"versioning", ""},
		body: octets(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`)}
	resp, err := d.do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	drain(resp)
	one, two := mustPut(t, d, "k", "one", store.PutOptions{}), mustPut(t, d, "k", "two", store.PutOptions{})
	if one.Version == "" || one.Version == two.Version {
		t.Fatalf("versions %q and %q", one.Version, two.Version)
	}
	for e, want := range map[string]string{one.Version: "one", two.Version: "two"} {
		if b, err := readKey(t, d, "k", store.GetOptions{Version: e}); err != nil || b != want {
			t.Errorf("version %q: %q, %v", e, b, err)
		}
	}
	if e, err := d.CopyFrom(t.Context(), d, "k", "old", store.CopyOptions{Size: 3, SrcVersion: one.Version, KeepAttrs: true}); err != nil || e.Size != 3 {
		t.Errorf("%+v, %v", e, err)
	}
	if b, err := readKey(t, d, "old", store.GetOptions{}); b != "one" {
		t.Errorf("the copy of a version: %q, %v", b, err)
	}
	if err := d.Delete(t.Context(), "k", store.Cond{Version: two.Version}); err != nil {
		t.Error(err)
	}
	if b, err := readKey(t, d, "k", store.GetOptions{}); b != "one" {
		t.Errorf("after the delete of a version: %q, %v", b, err)
	}
}

// A copy under a condition goes up in parts, whose completion holds it.
func TestConditionalCopy(t *testing.T) {
	d := onGateway(t)
	attrs := store.Attributes{ContentType: "text/x-src", User: map[string]string{"a": "b"}}
	content := strings.Repeat("0123456789abcdef", 700_000)
	src := mustPut(t, d, "src", content, store.PutOptions{Attrs: attrs})
	was := copyPart
	copyPart = minPart
	defer func() { copyPart = was }()
	o := store.CopyOptions{Size: src.Size, SrcIfMatch: src.ETag, KeepAttrs: true, Put: store.PutOptions{IfAbsent: true}}
	if _, err := d.CopyFrom(t.Context(), d, "src", "new", o); err != nil {
		t.Fatal(err)
	}
	if b, err := readKey(t, d, "new", store.GetOptions{}); err != nil || b != content {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if e, err := d.Stat(t.Context(), "new", store.Cond{}); err != nil || e.Attrs.ContentType != "text/x-src" || e.Attrs.User["a"] != "b" {
		t.Errorf("%+v, %v", e.Attrs, err)
	}
	if _, err := d.CopyFrom(t.Context(), d, "src", "new", o); d.Classify(err).Code != fault.FailedPrecondition {
		t.Errorf("a second copy: %v", err)
	}
	if p, err := d.Uploads(t.Context(), "", ""); err != nil || len(p.Uploads) > 0 {
		t.Errorf("left: %+v, %v", p, err)
	}
}

func TestCombine(t *testing.T) {
	data := make([]byte, 70_001)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	sum := func(algo string, b []byte) []byte { h := newHash(algo); h.Write(b); return h.Sum(nil) }
	for _, cut := range []int{0, 1, 7, 4096, 65_535, 70_000, 70_001} {
		for _, algo := range []string{algoCRC64, algoCRC32C} {
			got, ok := store.CombineSums(algo, sum(algo, data[:cut]), sum(algo, data[cut:]), int64(len(data)-cut))
			if want := sum(algo, data); !ok || !bytes.Equal(got, want) {
				t.Errorf("%s cut at %d: %x, want %x", algo, cut, got, want)
			}
		}
	}
	if _, ok := store.CombineSums(algoSHA256, make([]byte, 32), make([]byte, 32), 1); ok {
		t.Error("SHA-256 was combined")
	}
	// The check values that the algorithms' definitions give.
	if c := crc64nvme.Checksum([]byte("123456789")); fmt.Sprintf("%x", c) != "ae8b14860a799888" {
		t.Errorf("%x", c)
	}
	if c := crc32.Checksum([]byte("123456789"), castagnoli); c != 0xe3069283 {
		t.Errorf("%x", c)
	}
}

func TestMetadata(t *testing.T) {
	for _, v := range []string{"", "plain", "grün", " outer ", "=?utf-8?q?x?=", "a  b", "日本", `"q"`, "%41"} {
		text, err := encodeMeta(v)
		if got := decodeMeta(text); err != nil || got != v || !printable(text) {
			t.Errorf("%q is sent as %q and read as %q, %v", v, text, got, err)
		}
	}
	for _, v := range []string{"a\r\nb", "\x00", "\xff"} {
		if _, err := encodeMeta(v); err == nil {
			t.Errorf("%q is taken", v)
		}
	}
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(1_700_000_000, 123_456_700), time.Unix(1, 1)} {
		if got, ok := parseSeconds(seconds(at)); !ok || !got.Equal(at) {
			t.Errorf("%v is %q and read as %v", at, seconds(at), got)
		}
	}
}
