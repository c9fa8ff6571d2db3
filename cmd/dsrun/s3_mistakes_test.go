package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// s3Config is a folder whose configuration has one store, out, on a bucket.
type s3Config struct {
	endpoint, region, bucket, key, secret, session, more string
}

func (c s3Config) write(t *testing.T, dir string) {
	t.Helper()
	session := ""
	if c.session != "" {
		session = "\n  session_token     = env(\"S3_SESSION\")"
	}
	write(t, dir, "dsrun.hcl", fmt.Sprintf(`
credential "aws" "team" {
  method            = "static"
  access_key_id     = %q
  secret_access_key = env("S3_SECRET")%s
}
datastore "s3" "out" {
  bucket     = %q
  region     = %q
  endpoint   = %q
  credential = credential.aws.team
  %s
}
`, c.key, session, c.bucket, c.region, c.endpoint, c.more))
}

// dsrun runs a command line in process; now is what its clock is ahead of the true time.
func (c s3Config) dsrun(dir string, now time.Duration, args ...string) (string, string, int) {
	w := testWorld(dir, args)
	w.Clock = ahead{clock.Real, now}
	w.StateDir = filepath.Join(dir, ".state")
	w.LookupEnv = func(name string) (string, bool) {
		v := map[string]string{"S3_SECRET": c.secret, "S3_SESSION": c.session}[name]
		return v, v != ""
	}
	var out, errs bytes.Buffer
	w.Stdout, w.Stderr = &out, &errs
	code := Main(w)
	return out.String(), errs.String(), code
}

// ahead is a clock that is wrong.
type ahead struct {
	clock.Clock
	by time.Duration
}

func (a ahead) Now() time.Time { return a.Clock.Now().Add(a.by) }

func errorXML(code, message string) string {
	return fmt.Sprintf("<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message><RequestId>REQ1</RequestId></Error>", code, message)
}

// TestS3Mistakes is what people do wrong with S3 and what services do to them: each ends with an error that says what
// happened, where, and what to do, or with success where dsrun can help itself.
func TestS3Mistakes(t *testing.T) {
	gw := testbed.VersityGW(t)
	good := s3Config{endpoint: gw.Endpoint, region: gw.Region, bucket: "mistakes", key: gw.AccessKeyID, secret: gw.SecretAccessKey, more: "create_if_not_exists = true"}
	proxy := faults.NewProxy(t, gw.Endpoint)
	behind := good
	behind.endpoint = proxy.URL
	dir := t.TempDir()
	written := good
	written.more += "\nchecksum = \"crc64nvme\""
	written.write(t, dir)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	write(t, dir, "a.bin", string(body))
	if _, errs, code := written.dsrun(dir, 0, "cp", "./a.bin", "out:a.bin"); code != 0 {
		t.Fatal(errs)
	}
	with := func(c s3Config, change func(*s3Config)) s3Config { change(&c); return c }
	always := func(status int, header map[string]string, code string) []faults.Rule {
		return []faults.Rule{{Fault: faults.Answer(status, header, errorXML(code, "The service says no."))}}
	}
	ls, cat, put := []string{"ls", "out:"}, []string{"cat", "out:a.bin"}, []string{"cp", "./a.bin", "out:b.bin"}
	for _, c := range []struct {
		name   string
		conf   s3Config
		args   []string
		now    time.Duration
		rules  []faults.Rule
		status int
		want   []string // all in the error; with status 0, the body of a.bin on the standard output
	}{
		{"bucket that does not exist", with(good, func(c *s3Config) { c.bucket, c.more = "no-such-bucket", "" }), ls, 0, nil, 1,
			[]string{"not_found", "no-such-bucket", "NoSuchBucket", "create_if_not_exists"}},
		{"the same when writing", with(good, func(c *s3Config) { c.bucket, c.more = "no-such-bucket", "" }), put, 0, nil, 1,
			[]string{"not_found", "no-such-bucket", "create_if_not_exists"}},
		{"wrong region", with(good, func(c *s3Config) { c.region = "eu-west-3" }), ls, 0, nil, 1, []string{"region", "us-east-1"}},
		{"unknown key", with(good, func(c *s3Config) { c.key = "nobody" }), ls, 0, nil, 4, []string{"unauthenticated", "InvalidAccessKeyId", `credential "aws" "team"`}},
		{"wrong secret", with(good, func(c *s3Config) { c.secret = "not-the-secret" }), ls, 0, nil, 4, []string{"unauthenticated", "SignatureDoesNotMatch", `credential "aws" "team"`}},
		{"expired session", with(behind, func(c *s3Config) { c.session = "old-session-token" }), ls, 0, always(400, nil, "ExpiredToken"), 4,
			[]string{"unauthenticated", "ExpiredToken", `credential "aws" "team"`, "log in"}},
		{"denied listing", behind, ls, 0, always(403, nil, "AccessDenied"), 4, []string{"permission_denied", "s3:ListBucket", `credential "aws" "team"`, "REQ1"}},
		{"denied read", behind, cat, 0, always(403, nil, "AccessDenied"), 4, []string{"permission_denied", "s3:GetObject", `credential "aws" "team"`}},
		{"denied write", behind, put, 0, []faults.Rule{{Match: faults.Method("PUT"), Fault: faults.Answer(403, nil, errorXML("AccessDenied", "no"))}}, 4,
			[]string{"permission_denied", "s3:PutObject", `credential "aws" "team"`}},
		{"endpoint with the bucket in it", with(good, func(c *s3Config) { c.endpoint += "/mistakes" }), ls, 0, nil, 2, []string{"endpoint", "bucket"}},
		{"a clock 30 minutes ahead", good, cat, 30 * time.Minute, nil, 0, []string{"the clock of this machine differs"}},
		{"a clock 30 minutes behind", good, cat, -30 * time.Minute, nil, 0, []string{"the clock of this machine differs"}},
		{"throttled twice", behind, cat, 0, []faults.Rule{{Times: 2, Fault: faults.Answer(503, map[string]string{"Retry-After": "1"}, errorXML("SlowDown", "slower"))}}, 0, nil},
		{"throttled for ever", with(behind, func(c *s3Config) { c.more = "max_attempts = 2" }), cat, 0, always(503, nil, "SlowDown"), 1, []string{"SlowDown", "resource_exhausted"}},
		{"reply cut", behind, cat, 0, []faults.Rule{{Match: faults.On("GET", "a.bin"), Times: 2, Fault: faults.Cut(300_000)}}, 0, nil},
		{"connection reset", behind, cat, 0, []faults.Rule{{Match: faults.On("GET", "a.bin"), Times: 2, Fault: faults.Reset(700_000)}}, 0, nil},
		{"reply altered", with(behind, func(c *s3Config) { c.more = `checksum = "crc64nvme"` }), cat, 0, []faults.Rule{{Match: faults.On("GET", "a.bin"), Fault: faults.Flip(300_000)}}, 1, []string{"data_loss", "a.bin"}},
		{"sign-in page of a guest network", behind, cat, 0, []faults.Rule{{Fault: faults.Portal()}}, 1, []string{"a.bin"}},
		{"nothing listens there", with(good, func(c *s3Config) { c.endpoint, c.more = "http://127.0.0.1:1", "max_attempts = 1" }), ls, 0, nil, 1, []string{"unavailable", "127.0.0.1:1", "refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy.Clear()
			for _, r := range c.rules {
				proxy.Add(r)
			}
			c.conf.write(t, dir)
			out, errs, code := c.conf.dsrun(dir, c.now, c.args...)
			for _, secret := range []string{c.conf.secret, c.conf.session} {
				if secret != "" && strings.Contains(out+errs, secret) {
					t.Error("a secret is shown")
				}
			}
			if code != c.status {
				t.Errorf("exit code %d, want %d", code, c.status)
			}
			for _, w := range c.want {
				if !strings.Contains(errs, w) {
					t.Errorf("the error does not say %q", w)
				}
			}
			if c.status == 0 && (len(c.want) == 0 && errs != "" || out != string(body)) {
				t.Errorf("%d bytes, want %d", len(out), len(body))
			}
			if c.status != 0 && bytes.Contains([]byte(out), body) {
				t.Error("the whole body came with the failure")
			}
			if t.Failed() {
				t.Logf("printed:\n%.600s\n%.2000s", strings.ReplaceAll(out, "0123456789abcdef", ""), errs)
			}
		})
	}
}

// TestS3Denied is a user whose policy lets it list and read, which the service itself enforces.
func TestS3Denied(t *testing.T) {
	m := testbed.MotoAuth(t, 6)
	call := func(action string, params ...string) string {
		t.Helper()
		v := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
		for i := 0; i < len(params); i += 2 {
			v.Set(params[i], params[i+1])
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", m.Endpoint, strings.NewReader(v.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=free/20261121/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v, %v: %s", action, err, resp.Status, b)
		}
		return string(b)
	}
	user := func(name, actions string) s3Config {
		call("CreateUser", "UserName", name)
		call("PutUserPolicy", "UserName", name, "PolicyName", "p", "PolicyDocument",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[`+actions+`],"Resource":"*"}]}`)
		out := call("CreateAccessKey", "UserName", name)
		field := func(name string) string {
			f := regexp.MustCompile("<" + name + ">(.*?)</" + name + ">").FindStringSubmatch(out)
			if f == nil {
				t.Fatalf("no %s in %s", name, out)
			}
			return f[1]
		}
		return s3Config{endpoint: m.Endpoint, region: m.Region, bucket: "denied", key: field("AccessKeyId"), secret: field("SecretAccessKey")}
	}
	owner := user("owner", `"s3:*"`)
	reader := user("reader", `"s3:ListBucket","s3:GetObject"`)
	owner.more = "create_if_not_exists = true"
	dir := t.TempDir()
	write(t, dir, "a.txt", "hello")
	owner.write(t, dir)
	if _, errs, code := owner.dsrun(dir, 0, "cp", "./a.txt", "out:a.txt"); code != 0 {
		t.Fatal(errs)
	}
	reader.write(t, dir)
	for action, args := range map[string][]string{"s3:PutObject": {"cp", "./a.txt", "out:b.txt"}, "s3:DeleteObject": {"rm", "out:a.txt"}} {
		_, errs, code := reader.dsrun(dir, 0, args...)
		for _, want := range []string{"permission_denied", "Allow " + action + " on bucket \"denied\"", `credential "aws" "team"`} {
			if code != 4 || !strings.Contains(errs, want) {
				t.Errorf("%q: exit code %d, the error does not say %q:\n%s", args, code, want, errs)
			}
		}
	}
	if out, errs, code := reader.dsrun(dir, 0, "cat", "out:a.txt"); code != 0 || out != "hello" {
		t.Errorf("what the policy allows: exit code %d: %s%s", code, out, errs)
	}
}

// TestS3FullDisk is a download that the disk has no room for: nothing of it is left, and the file that was there stays.
func TestS3FullDisk(t *testing.T) {
	gw := testbed.VersityGW(t)
	c := s3Config{endpoint: gw.Endpoint, region: gw.Region, bucket: "full", key: gw.AccessKeyID, secret: gw.SecretAccessKey, more: "create_if_not_exists = true"}
	dir := t.TempDir()
	c.write(t, dir)
	t.Setenv("S3_SECRET", c.secret)
	bigFile(t, filepath.Join(dir, "big.bin"), 40<<20)
	if _, errs, code := c.dsrun(dir, 0, "cp", "./big.bin", "out:big.bin"); code != 0 {
		t.Fatal(errs)
	}
	if err := os.Mkdir(filepath.Join(dir, "down"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "down/big.bin", "old")
	cmd := child(t, dir, "cp", "--overwrite", "always", "out:big.bin", "./down/big.bin")
	cmd.Env = append(cmd.Env, "DSRUN_TEST_FSIZE=8388608")
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "big.bin") || !strings.Contains(string(out), "file too large") {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "down", "big.bin")); err != nil || string(b) != "old" {
		t.Errorf("the file that was there: %d bytes, %v", len(b), err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "down"))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v: %v", len(left), err, left)
	}
}

// TestS3OddNames carries names that trip other tools from a folder to S3 and back; each is another object.
func TestS3OddNames(t *testing.T) {
	gw := testbed.VersityGW(t)
	c := s3Config{endpoint: gw.Endpoint, region: gw.Region, bucket: "names", key: gw.AccessKeyID, secret: gw.SecretAccessKey, more: "create_if_not_exists = true"}
	dir := t.TempDir()
	c.write(t, dir)
	names := []string{"plain", "with space", "tab\there", "line\nbreak", "q'uote\"s", "a+b%2Bc%20d", "ünïcödé", "u\u0308", "ü", "Case", "case", "CON", "x:y", "*?[a]{b}", "~tilde",
		"#hash&amp;<xml>", "-dash", "end.", "trail ", "\\back\\slash", "$HOME`id`", "\u202eevil", "emoji😀", strings.Repeat("n", 200), "d/e/deep"}
	for i, name := range names {
		file := filepath.Join(dir, "in", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fmt.Append(nil, i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"sync", "./in/", "out:"}, {"sync", "out:", "./back/"}} {
		if _, errs, code := c.dsrun(dir, 0, args...); code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, code, errs)
		}
	}
	for i, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, "back", filepath.FromSlash(name)))
		if err != nil || string(b) != fmt.Sprint(i) {
			t.Errorf("%q came back as %q, %v", name, b, err)
		}
		if out, errs, code := c.dsrun(dir, 0, "cat", "--", "out:"+name); name != "*?[a]{b}" && (code != 0 || out != fmt.Sprint(i)) {
			t.Errorf("cat %q: exit code %d, %q: %s", name, code, out, errs)
		}
	}
}
