package gcs

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// Google's Python client reads what was written here, and the other way round.
func TestJudge(t *testing.T) {
	python := testbed.Program(t, "judge-gcs")
	f := newFront(t)
	s := faults.New(t, f)
	d := openWith(t, env(client(t, httpclient.Options{}), bearer(goodToken)), Options{Bucket: bucket(t, f), Endpoint: s.URL})
	defer d.Close()
	attrs := store.Attributes{ContentType: "text/x-judged", ContentDisposition: "inline", CacheControl: "no-cache", ContentLanguage: "de",
		User: map[string]string{"origin": "dsrun", "word": "grün"}, Modified: time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)}
	long := bytes.Repeat([]byte("0123456789abcdef"), (6<<20)/16)
	const odd = "dir//a b+ü%41?#.txt"
	for _, o := range []store.PutOptions{{Attrs: attrs}, {Attrs: attrs, IfAbsent: true}} {
		key := map[bool]string{false: odd, true: "once/" + odd}[o.IfAbsent]
		if _, err := d.Put(t.Context(), key, held("hello"), o); err != nil {
			t.Fatal(err)
		}
		u, err := d.Begin(t.Context(), "long "+key, o, int64(len(long)+5))
		if err != nil {
			t.Fatal(err)
		}
		var parts []store.Part
		for i, b := range []held{held(long), held("hello")} {
			p, err := u.Part(t.Context(), i+1, int64(i*len(long)), b)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, p)
		}
		if _, err := u.Commit(t.Context(), parts); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", `
import sys
from google.cloud import storage
from google.oauth2 import credentials
endpoint, token, name = sys.argv[1:4]
b = storage.Client(project="p", credentials=credentials.Credentials(token=token), client_options={"api_endpoint": endpoint}).bucket(name)
for x in b.list_blobs():
    x.reload()
    data = x.download_as_bytes(checksum="crc32c", raw_download=True)
    assert data.endswith(b"hello") and len(data) == x.size, x.name
    assert (x.content_type, x.content_disposition, x.cache_control, x.content_language) == ("text/x-judged", "inline", "no-cache", "de"), vars(x)
    assert x.metadata == {"origin": "dsrun", "word": "=?UTF-8?B?Z3LDvG4=?=", "mtime": "2001-02-03T04:05:06.000000789Z"}, x.metadata
    print(x.name, x.size)
y = b.blob("theirs/ü.txt")
y.metadata, y.content_language = {"Origin": "judge", "goog-reserved-file-mtime": "981173106"}, "fr"
y.upload_from_string(b"from Python", content_type="text/x-theirs")
`, s.URL, goodToken, d.o.Bucket)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONWARNINGS=ignore", "PYTHONIOENCODING=utf-8", "NO_GCE_CHECK=true"}
	out, err := cmd.CombinedOutput()
	want := []string{odd + " 5", "long " + odd + " 6291461", "long once/" + odd + " 6291461", "once/" + odd + " 5"}
	if err != nil || strings.TrimSpace(string(out)) != strings.Join(want, "\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	e, err := d.Stat(t.Context(), "theirs/ü.txt", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := d.Get(t.Context(), "theirs/ü.txt", store.GetOptions{IfMatch: e.ETag})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(x.Body); err != nil || b.String() != "from Python" {
		t.Errorf("%q, %v", &b, err)
	}
	for what, a := range map[string]*store.Attributes{"stat": e.Attrs, "get": x.Entry.Attrs} {
		if a.ContentType != "text/x-theirs" || a.ContentLanguage != "fr" || len(a.User) != 1 || a.User["origin"] != "judge" || !a.Modified.Equal(time.Unix(981173106, 0)) {
			t.Errorf("%s: %+v", what, a)
		}
	}
}
