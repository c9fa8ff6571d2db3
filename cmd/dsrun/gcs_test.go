package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/gcs"
)

// TestQuickstartOnGCS runs the quickstart script unchanged on Cloud Storage, copies and moves there, and shows what a
// person reads when the bucket is not there or the token is refused.
func TestQuickstartOnGCS(t *testing.T) {
	front, err := gcs.New(testbed.FakeGCS(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	const token = "ya29.quickstart-token"
	front.Allow(token)
	server := httptest.NewServer(front)
	defer server.Close()
	dir := copyExamples(t)
	dsrun := func(args ...string) (string, string, int) {
		w := testWorld(dir, args)
		w.LookupEnv = func(name string) (string, bool) {
			v, ok := map[string]string{"TOKEN": token, "OTHER": "ya29.of-another"}[name]
			return v, ok
		}
		var out, errs bytes.Buffer
		w.Stdout, w.Stderr = &out, &errs
		code := Main(w)
		if strings.Contains(out.String()+errs.String(), token) {
			t.Errorf("dsrun %q shows the token", args)
		}
		return out.String(), errs.String(), code
	}
	must := func(args ...string) string {
		t.Helper()
		out, errs, code := dsrun(append(args, "-c", "gcs_quickstart.hcl")...)
		if code != 0 {
			t.Fatalf("dsrun %q: exit code %d\n%s%s", args, code, out, errs)
		}
		return out
	}
	var conf strings.Builder
	fmt.Fprint(&conf, "credential \"gcp\" \"main\" {\n  access_token = env(\"TOKEN\")\n}\ncredential \"gcp\" \"other\" {\n  access_token = env(\"OTHER\")\n}\ntopic \"file\" \"events\" {\n  path = \"events.jsonl\"\n}\n")
	for name, more := range map[string]string{"raw": "prefix = \"raw/\"", "clean": "prefix = \"clean/\"\ndefault = true", "none": "", "refused": ""} {
		bucket, credential := "quickstart", "main"
		if name == "none" {
			bucket = "no-such-bucket"
		}
		if name == "refused" {
			credential = "other"
		}
		fmt.Fprintf(&conf, "datastore \"gcs\" %q {\n  bucket = %q\n  endpoint = %q\n  project = \"example\"\n  create_if_not_exists = %v\n  credential = credential.gcp.%s\n  %s\n}\n", name, bucket, server.URL, name != "none", credential, more)
	}
	write(t, dir, "gcs_quickstart.hcl", conf.String())
	must("cp", "./data/birdstrikes.csv", "raw:birdstrikes.csv")
	if out := must("run", "quickstart.star"); !strings.Contains(out, "9976 rows, 7114 good") || !strings.Contains(out, "gs://quickstart/clean/strikes.jsonl") {
		t.Errorf("the run on Cloud Storage printed\n%s", out)
	}
	if got := must("ls", "clean:"); got != "strikes.jsonl\nsummary.json\n" {
		t.Errorf("the bucket holds %q", got)
	}
	if out := must("run", "quickstart.star"); !strings.Contains(out, "Already there") {
		t.Errorf("the second run printed\n%s", out)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), (40<<20)/16) // goes up in parts, under a condition
	if err := os.WriteFile(filepath.Join(dir, "big.bin"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	must("cp", "./big.bin", "raw:big.bin")
	must("cp", "./data/birdstrikes.csv", "raw:big.bin") // skipped: what is there stays
	must("cp", "raw:big.bin", "clean:copied.bin")       // by the service
	must("mv", "clean:copied.bin", "clean:moved.bin")
	if got := must("cat", "clean:moved.bin"); got != string(big) {
		t.Errorf("%d bytes came back of %d", len(got), len(big))
	}
	must("rm", "clean:moved.bin")
	if got := must("ls", "clean:"); got != "strikes.jsonl\nsummary.json\n" || front.Uploads() != 0 {
		t.Errorf("at the end the bucket holds %q and %d uploads", got, front.Uploads())
	}
	for store, want := range map[string][]string{"none": {"exit 1", "not_found", "gcloud storage buckets create gs://no-such-bucket --project=example"}, "refused": {"exit 4", "unauthenticated", "has expired or was revoked"}} {
		_, errs, code := dsrun("ls", store+":", "-c", "gcs_quickstart.hcl")
		for _, w := range want {
			if all := fmt.Sprintf("exit %d\n%s", code, errs); !strings.Contains(all, w) {
				t.Errorf("%s: no %q in\n%s", store, w, all)
			}
		}
	}
}
