package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
)

// TestQuickstartOnS3 runs the quickstart script unchanged on S3 and EventBridge: only the configuration differs.
func TestQuickstartOnS3(t *testing.T) {
	s3, bus := testbed.VersityGW(t), testbed.Moto(t)
	dir := copyExamples(t)
	dsrun := func(args ...string) (string, string, int) {
		w := testWorld(dir, args)
		w.LookupEnv = func(name string) (string, bool) {
			v, ok := map[string]string{"AWS_ACCESS_KEY_ID": s3.AccessKeyID, "AWS_SECRET_ACCESS_KEY": s3.SecretAccessKey}[name]
			return v, ok
		}
		var out, errs bytes.Buffer
		w.Stdout, w.Stderr = &out, &errs
		code := Main(w)
		if strings.Contains(out.String()+errs.String(), s3.SecretAccessKey) {
			t.Errorf("dsrun %q shows the secret key", args)
		}
		return out.String(), errs.String(), code
	}
	must := func(args ...string) string {
		t.Helper()
		out, errs, code := dsrun(args...)
		if code != 0 {
			t.Fatalf("dsrun %q: exit code %d\n%s%s", args, code, out, errs)
		}
		return out
	}
	write(t, dir, "setup.hcl", fmt.Sprintf("datastore \"s3\" \"raw\" {\n  bucket = \"quickstart\"\n  prefix = \"raw/\"\n  region = %q\n  endpoint = %q\n  create_if_not_exists = true\n}\n", s3.Region, s3.Endpoint))
	must("cp", "-c", "setup.hcl", "./data/birdstrikes.csv", "raw:birdstrikes.csv")

	conf := []string{"-c", "quickstart_s3.hcl", "--var", "bucket=quickstart", "--var", "region=" + s3.Region,
		"--var", "endpoint=" + s3.Endpoint, "--var", "events_endpoint=" + bus.Endpoint}
	out := must(append([]string{"run", "quickstart.star"}, conf...)...)
	if !strings.Contains(out, "9976 rows, 7114 good") || !strings.Contains(out, "s3://quickstart/clean/strikes.jsonl") {
		t.Errorf("the run on S3 printed\n%s", out)
	}
	if got := must(append([]string{"ls", "clean:"}, conf...)...); got != "strikes.jsonl\nsummary.json\n" {
		t.Errorf("the bucket holds %q", got)
	}
	if got := must(append([]string{"ls", "s3://quickstart/clean/"}, conf...)...); got != "strikes.jsonl\nsummary.json\n" {
		t.Errorf("by its URI the bucket holds %q", got)
	}
	// The rows are those of the run on local files, byte for byte.
	must("run", "quickstart.star")
	local := must("cat", filepath.Join(dir, "out", "strikes.jsonl"))
	if remote := must(append([]string{"cat", "clean:strikes.jsonl"}, conf...)...); remote != local {
		t.Errorf("%d bytes on S3, %d in the local folder, and not the same", len(remote), len(local))
	}
	if out := must(append([]string{"run", "quickstart.star"}, conf...)...); !strings.Contains(out, "Already there") {
		t.Errorf("the second run printed\n%s", out)
	}

	// A bucket and a bus that do not exist are errors that say so, before anything is written.
	if _, errs, code := dsrun("ls", "-c", "quickstart_s3.hcl", "--var", "endpoint="+s3.Endpoint, "--var", "bucket=no-such-bucket", "raw:"); code != 1 || !strings.Contains(errs, "not_found") {
		t.Errorf("a missing bucket: exit code %d\n%s", code, errs)
	}
	if _, errs, code := dsrun("publish", "events", "--type", "t", "-c", "quickstart_s3.hcl", "--var", "bus=no-such-bus", "--var", "events_endpoint="+bus.Endpoint); code != 1 || !strings.Contains(errs, "not_found") {
		t.Errorf("a missing bus: exit code %d\n%s", code, errs)
	}
}
