package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
)

// TestRecordAndApplyOnS3 records the quickstart script on S3 and EventBridge and tests it with the recording, without
// servers and credentials; and makes a plan there, which is carried out under conditions and refused once its source has
// changed.
func TestRecordAndApplyOnS3(t *testing.T) {
	s3, bus := testbed.VersityGW(t), testbed.Moto(t)
	dir := copyExamples(t)
	dsrun := func(keys bool, args ...string) (code int, stdout, stderr string) {
		w := testWorld(dir, args)
		w.StateDir = filepath.Join(dir, ".state")
		w.LookupEnv = func(name string) (string, bool) {
			v, ok := map[string]string{"AWS_ACCESS_KEY_ID": s3.AccessKeyID, "AWS_SECRET_ACCESS_KEY": s3.SecretAccessKey}[name]
			return v, ok && keys
		}
		var out, errs bytes.Buffer
		w.Stdout, w.Stderr = &out, &errs
		code = Main(w)
		return code, out.String(), errs.String()
	}
	must := func(keys bool, args ...string) string {
		t.Helper()
		code, out, errs := dsrun(keys, args...)
		if code != 0 {
			t.Fatalf("dsrun %q: exit code %d\n%s%s", args, code, out, errs)
		}
		return out
	}
	write(t, dir, "setup.hcl", fmt.Sprintf("datastore \"s3\" \"raw\" {\n  bucket = \"recorded\"\n  prefix = \"raw/\"\n  region = %q\n  endpoint = %q\n  create_if_not_exists = true\n}\n", s3.Region, s3.Endpoint))
	must(true, "cp", "-c", "setup.hcl", "./data/birdstrikes.csv", "raw:birdstrikes.csv")
	conf := func(s3Endpoint, busEndpoint string) []string {
		return []string{"-c", "quickstart_s3.hcl", "--var", "bucket=recorded", "--var", "region=" + s3.Region, "--var", "endpoint=" + s3Endpoint, "--var", "events_endpoint=" + busEndpoint}
	}
	real, nowhere := conf(s3.Endpoint, bus.Endpoint), conf("http://127.0.0.1:1", "http://127.0.0.1:1")

	must(true, append([]string{"run", "quickstart.star", "--record", "rec"}, real...)...)
	err := filepath.WalkDir(filepath.Join(dir, "rec"), func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte(s3.SecretAccessKey)) {
			t.Errorf("%s holds the secret key", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "recorded_test.star", `
def test_replay():
    out = test.run("quickstart.star").output
    assert.contains(out, "9976 rows, 7114 good")
    assert.contains(out, "s3://recorded/clean/strikes.jsonl")
    assert.eq(test.events("events")[0].data, {"rows": 9976, "good": 7114})
    assert.contains(test.run("quickstart.star").output, "Already there")
`)
	out := must(false, append([]string{"test", "--replay", "rec", "recorded_test.star"}, nowhere...)...)
	if !strings.Contains(out, "1 passed, 0 failed") {
		t.Errorf("got %s", out)
	}

	must(true, append([]string{"rm", "clean:summary.json"}, real...)...)
	plan := must(true, append([]string{"run", "quickstart.star", "--dry-run", "--plan-out", "plan.json"}, real...)...)
	for _, want := range []string{"overwrite clean:strikes.jsonl", "create    clean:summary.json", "publish   dataset.validated to events"} {
		if !strings.Contains(plan, want) {
			t.Errorf("%q is missing in\n%s", want, plan)
		}
	}
	if got := must(true, append([]string{"ls", "clean:"}, real...)...); got != "strikes.jsonl\n" {
		t.Errorf("the dry run left %q", got)
	}
	before := must(true, append([]string{"cat", "clean:strikes.jsonl"}, real...)...)
	must(true, append([]string{"apply", "plan.json"}, real...)...)
	if got := must(true, append([]string{"ls", "clean:"}, real...)...); got != "strikes.jsonl\nsummary.json\n" {
		t.Errorf("the plan left %q", got)
	}
	if after := must(true, append([]string{"cat", "clean:strikes.jsonl"}, real...)...); after != before {
		t.Errorf("%d bytes before, %d after", len(before), len(after))
	}
	// The address of the datastore is part of the plan.
	code, out, errs := dsrun(true, append(append([]string{"apply", "plan.json"}, real...), "--var", "bucket=another")...)
	if want := "changed   clean (datastore): the plan was made for s3://recorded/clean/ (s3), it is s3://another/clean/ (s3)"; code != 1 || !strings.Contains(out, want) {
		t.Errorf("another bucket: exit code %d\n%s%s", code, out, errs)
	}
}
