package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/hashicorp/hcl/v2"
)

// load loads one file and fails the test when it has errors.
func load(t *testing.T, src string, change ...func(*Options)) *Config {
	t.Helper()
	o := Options{Schemas: testSchemas()}
	for _, f := range change {
		f(&o)
	}
	c, diags := Load([]File{{Name: "main.dsrun.hcl", Dir: "/conf", Bytes: []byte(src)}}, o)
	if diags.HasErrors() {
		t.Fatal(shown(c, diags))
	}
	return c
}

func shown(c *Config, diags hcl.Diagnostics) string {
	var b bytes.Buffer
	_ = Render(&b, c.Diags(diags), 100, false)
	return b.String()
}

// options returns the decoded options of a block.
func options[O any](t *testing.T, c *Config, kind, name string) *O {
	t.Helper()
	d, ok := c.Lookup(kind, name)
	if !ok {
		t.Fatalf("no %s %s", kind, name)
	}
	return any(d.Options).(*O)
}

func TestDecodedValues(t *testing.T) {
	c, diags := loadFixture(t, "testdata/valid/everything.dsrun.hcl")
	if diags.HasErrors() {
		t.Fatal(shown(c, diags))
	}
	s := options[s3Store](t, c, "datastore", "lake")
	want := &s3Store{Bucket: "lake", PartSize: 16 << 20, Retain: 3, Buckets: []string{"one", "two"}}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v, want %+v", s, want)
	}
	d, _ := c.Lookup("datastore", "lake")
	wantCommon := schema.Common{Credential: schema.Ref{Kind: "credential", Type: "aws", Name: "main"}, Prefix: "in/", Mode: "read",
		Labels: map[string]string{"team": "data"}, Timeout: 5 * time.Minute, MaxAttempts: 5, MaxConcurrency: 3}
	if !reflect.DeepEqual(d.Common, wantCommon) {
		t.Errorf("got %+v, want %+v", d.Common, wantCommon)
	}
	if l := options[localStore](t, c, "datastore", "out"); l.Path != "/conf/out" || !l.Create {
		t.Errorf("got %+v", l)
	}
	if a := options[awsCred](t, c, "credential", "aws.main"); a.Method != "assume_role" || a.RoleARN != "arn:aws:iam" || a.Source.Name != "keys" {
		t.Errorf("got %+v", a)
	}
	if q := options[sqlCred](t, c, "credential", "sql.db"); q.Password.Reveal() != "xcorrect horsey" {
		t.Errorf("got %q", q.Password.Reveal())
	}
	if def, ok := c.Default("datastore", ""); !ok || def.Name != "out" {
		t.Error("no default datastore")
	}
	if def, ok := c.Default("credential", "aws"); !ok || def.Name != "main" {
		t.Error("no default credential")
	}
	if got := c.Settings; got.Timeout != 30*time.Minute || got.MemoryLimit != 512<<20 || got.StateDir != "/conf/.dsrun" || got.LogFormat != "text" {
		t.Errorf("got %+v", got)
	}
	sc := c.Scripts[0]
	if sc.Trust != "untrusted" || !reflect.DeepEqual(sc.Stores["lake"], schema.Grant{Ops: []string{"list", "read"}, Prefix: "in/"}) ||
		sc.Limits != (schema.ScriptLimits{Steps: 1000000, Memory: 64 << 20, Timeout: time.Minute}) {
		t.Errorf("got %+v", sc)
	}
	if got := c.Names("datastore"); !slices.Equal(got, []string{"lake", "out"}) {
		t.Errorf("got %v", got)
	}
	if v := c.Variables[1]; v.Name != "options" || v.Type != "object({ name = string, size = optional(number, 3) })" || v.Required {
		t.Errorf("got %+v", v)
	}
}

func TestMethodInferred(t *testing.T) {
	c, diags := loadFixture(t, "testdata/valid/methods.dsrun.hcl")
	if diags.HasErrors() {
		t.Fatal(shown(c, diags))
	}
	want := map[string]string{"aws.m1": "default", "aws.m2": "static", "aws.m3": "profile", "aws.m4": "assume_role", "aws.m5": "web_identity",
		"aws.m6": "anonymous", "gcp.m1": "default", "gcp.m2": "service_account", "gcp.m3": "hmac", "gcp.m4": "impersonate", "gcp.m5": "access_token",
		"azure.m1": "default", "azure.m2": "account_key", "azure.m3": "service_principal", "azure.m4": "managed_identity", "azure.m5": "sas",
		"azure.m6": "service_principal_json", "oci.m1": "default", "oci.m2": "api_key", "oci.m3": "security_token", "databricks.m1": "azure",
		"databricks.m2": "oauth_m2m", "hdfs.m1": "simple", "alipan.m1": "refresh_token", "alipan.m2": "openapi", "sftp.m1": "key"}
	for name, method := range want {
		d, ok := c.Lookup("credential", name)
		if !ok {
			t.Fatal(name)
		}
		if got := reflect.ValueOf(d.Options).Elem().FieldByName("Method").String(); got != method {
			t.Errorf("%s: got %q, want %q", name, got, method)
		}
	}
}

func loadFixture(t *testing.T, name string) (*Config, hcl.Diagnostics) {
	t.Helper()
	files, o := readFixture(t, name)
	c, diags := Load(files, o)
	return c, diags
}

func TestOverrideLastWins(t *testing.T) {
	c, diags := loadFixture(t, "testdata/valid/folder")
	if diags.HasErrors() {
		t.Fatal(shown(c, diags))
	}
	if s := options[s3Store](t, c, "datastore", "lake"); s.Bucket != "LAKE" || s.Region != "us" {
		t.Errorf("got %+v", s)
	}
}

// TestPrecedence gives a variable a value at each level: the highest wins.
func TestPrecedence(t *testing.T) {
	file := func(name, value string) File {
		return File{Name: name, Dir: "/conf", Bytes: []byte("v = \"" + value + "\"\n")}
	}
	levels := []func(*Options){
		func(o *Options) {},
		func(o *Options) {
			o.EnvVar = func(n string) (string, bool) { return "env", n == "DSRUN_VAR_v" }
		},
		func(o *Options) { o.VarFiles = append(o.VarFiles, file("a.auto.dsvars.hcl", "auto")) },
		func(o *Options) { o.VarFiles = append(o.VarFiles, file("env/prod.dsvars.hcl", "environment")) },
		func(o *Options) { o.VarFiles = append(o.VarFiles, file("x.dsvars.hcl", "file")) },
		func(o *Options) { o.Vars = map[string]string{"v": "flag"} },
	}
	for i, want := range []string{"default", "env", "auto", "environment", "file", "flag"} {
		c := load(t, "variable \"v\" {\n default = \"default\"\n}\ndatastore \"local\" \"d\" {\n path = \"/${var.v}\"\n}\n", levels[:i+1]...)
		if got := options[localStore](t, c, "datastore", "d").Path; got != "/"+want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTextValues(t *testing.T) {
	src := `
variable "n" { type = number }
variable "b" { type = bool }
variable "l" { type = list(string) }
variable "s" {}
datastore "s3" "d" {
  bucket      = "${var.s}${var.l[1]}"
  retain_days = var.n
  path_style  = var.b
}`
	vars := map[string]string{"n": "3", "b": "true", "l": `["a", "b"]`, "s": "${env}[x"}
	c := load(t, src, func(o *Options) { o.Vars = vars })
	if s := options[s3Store](t, c, "datastore", "d"); s.Retain != 3 || !s.PathStyle || s.Bucket != "${env}[xb" {
		t.Errorf("got %+v", s)
	}
	for name, bad := range map[string]string{"n": "three", "b": "perhaps", "l": `["a"`, "s": "\xff"} {
		v := map[string]string{}
		for k, x := range vars {
			v[k] = x
		}
		v[name] = bad
		c, diags := Load([]File{{Name: "m.dsrun.hcl", Bytes: []byte(src)}}, Options{Schemas: testSchemas(), Vars: v})
		if d := c.Diags(diags); len(d) == 0 || d[0].File != "--var "+name {
			t.Errorf("%s = %s: %+v", name, bad, d)
		}
	}
	c, diags := Load(nil, Options{Schemas: testSchemas(), Vars: map[string]string{"x": "1"}})
	if d := c.Diags(diags); len(d) != 1 || d[0].Summary != "Unknown variable" {
		t.Errorf("got %+v", d)
	}
}

// fakeSecrets is a world for late evaluation.
type fakeSecrets struct {
	env   map[string]string
	files map[string]string
	seen  []string
	asked []string
}

func (f *fakeSecrets) Env(name string) (string, bool) {
	f.asked = append(f.asked, "env "+name)
	v, ok := f.env[name]
	return v, ok
}

func (f *fakeSecrets) File(_ context.Context, dir, path string) ([]byte, error) {
	f.asked = append(f.asked, "file "+filepath.Join(dir, path))
	v, ok := f.files[path]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", path, os.ErrNotExist)
	}
	return []byte(v), nil
}

func (f *fakeSecrets) Exec(_ context.Context, dir string, args []string) ([]byte, error) {
	f.asked = append(f.asked, "exec "+strings.Join(args, " "))
	if args[0] == "false" {
		return nil, errors.New("exit status 1")
	}
	return []byte(strings.Join(args, "+") + "\r\n"), nil
}

func (f *fakeSecrets) Seen(values ...string) { f.seen = append(f.seen, values...) }

const lateSource = `
variable "pw" {
  sensitive = true
  default   = "from-variable"
}
variable "region" {
  default = env("REGION", "eu")
  validation {
    condition     = length(var.region) < 5
    error_message = "The region ${var.region} is too long."
  }
}
credential "sql" "a" {
  username = env("DB_USER")
  password = "pre-${secret::file("pw.txt")}"
}
credential "aws" "b" {
  access_key_id     = "AK"
  secret_access_key = secret::exec("pass", "show")
  session_token     = env("TOKEN", null)
}
credential "aws" "c" {
  profile  = env("PROFILE", null)
  role_arn = env("ROLE", null)
}
datastore "s3" "d" {
  bucket = env("BUCKET")
  region = var.region
}
`

func TestResolve(t *testing.T) {
	c := load(t, lateSource)
	get := func(kind, name string) *Decl { d, _ := c.Lookup(kind, name); return d }
	if s := options[s3Store](t, c, "datastore", "d"); s.Bucket != "" {
		t.Errorf("known offline: %+v", s)
	}
	w := &fakeSecrets{env: map[string]string{"DB_USER": "me", "BUCKET": "lake", "PROFILE": "dev"}, files: map[string]string{"pw.txt": "hunter22\n"}}
	o, _, diags := c.Resolve(t.Context(), get("credential", "sql.a"), w)
	if diags.HasErrors() {
		t.Fatal(shown(c, diags))
	}
	if q := o.(*sqlCred); q.Username != "me" || q.Password.Reveal() != "pre-hunter22" {
		t.Errorf("got %+v %q", q, q.Password.Reveal())
	}
	if !slices.Equal(w.asked, []string{"file /conf/pw.txt", "env DB_USER"}) {
		t.Errorf("asked %v: nothing but the block is evaluated, and each call once", w.asked)
	}
	if !slices.Contains(w.seen, "hunter22") || !slices.Contains(w.seen, "pre-hunter22") {
		t.Errorf("seen %v", w.seen)
	}
	o, _, diags = c.Resolve(t.Context(), get("credential", "aws.b"), w)
	if a := o.(*awsCred); diags.HasErrors() || a.Method != "static" || a.SecretKey.Reveal() != "pass+show" || !a.SessionToken.IsZero() {
		t.Errorf("got %+v, %s", a, shown(c, diags))
	}
	o, _, diags = c.Resolve(t.Context(), get("credential", "aws.c"), w)
	if a := o.(*awsCred); diags.HasErrors() || a.Method != "profile" {
		t.Errorf("got %+v, %s", a, shown(c, diags))
	}
	o, _, diags = c.Resolve(t.Context(), get("datastore", "d"), w)
	if s := o.(*s3Store); diags.HasErrors() || s.Bucket != "lake" || s.Region != "eu" {
		t.Errorf("got %+v, %s", s, shown(c, diags))
	}
}

// TestResolveFails checks what could not be checked offline.
func TestResolveFails(t *testing.T) {
	c := load(t, lateSource)
	for _, x := range []struct {
		kind, name, want string
		w                *fakeSecrets
	}{
		{"datastore", "d", `the environment variable "BUCKET" is not set`, &fakeSecrets{}},
		{"datastore", "d", `The name "ab" is too short`, &fakeSecrets{env: map[string]string{"BUCKET": "ab"}}},
		{"datastore", "d", `The region abcdefg is too long.`, &fakeSecrets{env: map[string]string{"BUCKET": "abc", "REGION": "abcdefg"}}},
		{"datastore", "d", `not UTF-8`, &fakeSecrets{env: map[string]string{"BUCKET": "\xff"}}},
		{"credential", "sql.a", `file does not exist`, &fakeSecrets{env: map[string]string{"DB_USER": "me"}}},
		{"credential", "aws.c", `fits no method`, &fakeSecrets{env: map[string]string{"PROFILE": "p", "ROLE": "r"}}},
	} {
		d, _ := c.Lookup(x.kind, x.name)
		_, _, diags := c.Resolve(t.Context(), d, x.w)
		if !diags.HasErrors() || !strings.Contains(strings.Join(strings.Fields(shown(c, diags)), " "), x.want) {
			t.Errorf("%s: want %q, got %s", x.name, x.want, shown(c, diags))
		}
	}
}

// TestOfflineReadsNothing loads a configuration full of sources: nothing is asked.
func TestOfflineReadsNothing(t *testing.T) {
	asked := 0
	c := load(t, lateSource, func(o *Options) {
		o.EnvVar = func(n string) (string, bool) {
			if !strings.HasPrefix(n, "DSRUN_VAR_") {
				t.Errorf("asked for %s", n)
			}
			asked++
			return "", false
		}
	})
	if asked != 2 || len(c.Decls) != 4 {
		t.Errorf("asked %d times", asked)
	}
}

func TestCredentialFor(t *testing.T) {
	c := load(t, `
credential "aws_compatible" "k" {
  default           = true
  access_key_id     = "a"
  secret_access_key = "bbbb"
}
credential "gcp" "g" {
}
datastore "s3" "a" {
  bucket = "aaa"
}
datastore "gcs" "b" {
  bucket     = "bbb"
  credential = credential.gcp.g
}
datastore "gcs" "c" {
  bucket = "ccc"
}
datastore "local" "d" {
  path = "d"
}`)
	for name, want := range map[string]string{"a": "k", "b": "g", "c": "", "d": ""} {
		d, _ := c.Lookup("datastore", name)
		got := ""
		if cr, ok := c.CredentialFor(d, d.Common); ok {
			got = cr.Name
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestSelect(t *testing.T) {
	main, over, vars := Select([]string{"z.dsrun.hcl", "dsrun.hcl", "main.tf", "x.hcl", "a_override.dsrun.hcl", "b.dsrun.hcl.json", "b_override.dsrun.hcl.json",
		".hidden.dsrun.hcl", "p.auto.dsvars.hcl", "prod.dsvars.hcl", "q.auto.dsvars.hcl.json", "dsrun.hcl~", "dsrun.star", "dsrun.hcl.json"})
	for i, x := range [][2][]string{
		{main, {"b.dsrun.hcl.json", "dsrun.hcl", "dsrun.hcl.json", "z.dsrun.hcl"}},
		{over, {"a_override.dsrun.hcl", "b_override.dsrun.hcl.json"}},
		{vars, {"p.auto.dsvars.hcl", "q.auto.dsvars.hcl.json"}}} {
		if !slices.Equal(x[0], x[1]) {
			t.Errorf("%d: got %v, want %v", i, x[0], x[1])
		}
	}
}

func TestVersions(t *testing.T) {
	for _, x := range []struct {
		constraint, version string
		want                bool
	}{
		{">= 1.2, < 2", "1.4.2", true}, {">= 1.2, < 2", "2.0.0", false}, {"~> 1.2", "1.9", true}, {"~> 1.2", "2.0", false},
		{"~> 1.2.3", "1.2.9", true}, {"~> 1.2.3", "1.3.0", false}, {"1.2", "1.2.0", true}, {"= 1.2", "v1.2.0", true}, {"!= 1.2", "1.2", false},
		{"> 1", "1.0.1", true}, {"<= 1", "1.0.0", true}, {">= 99", "devel", true}, {">= 99", "", true}, {"~> 1", "1.5", true}, {">=1.4.3-rc1", "1.4.2", false},
	} {
		got, err := versionAllowed(x.constraint, x.version)
		if err != nil || got != x.want {
			t.Errorf("%s for %s: got %v, %v", x.constraint, x.version, got, err)
		}
	}
	for _, bad := range []string{"", "a", "=> 1", "1.2.3.4.5", "> ", ">= 1,", "~ 1", "1..2"} {
		if _, err := versionAllowed(bad, "1.0"); err == nil {
			t.Errorf("%q is allowed", bad)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{`"8MiB"`: 8 << 20, `"1.5 KiB"`: 1536, `"2kB"`: 2000, `"3GB"`: 3e9, `"0B"`: 0, `77`: 77, `"77"`: 77, `"1TiB"`: 1 << 40} {
		c := load(t, "datastore \"s3\" \"d\" {\n bucket = \"ddd\"\n part_size = "+text+"\n}\n")
		if got := options[s3Store](t, c, "datastore", "d").PartSize; got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
	for _, text := range []string{`"8M"`, `"MiB"`, `"1.5B"`, `"1e30"`, `-1`, `"-1B"`, `true`, `"0x10"`, `"NaN"`, `"Inf"`, `9223372036854775808`} {
		_, diags := Load([]File{{Name: "m.dsrun.hcl", Bytes: []byte("datastore \"s3\" \"d\" {\n bucket = \"ddd\"\n part_size = " + text + "\n}\n")}}, Options{Schemas: testSchemas()})
		if !diags.HasErrors() {
			t.Errorf("%s is taken", text)
		}
	}
}

// TestConcurrentResolve resolves and shows from many goroutines at once: a Config is immutable.
func TestConcurrentResolve(t *testing.T) {
	c := load(t, lateSource+"locals {\n l = [{ a = 1 }, { a = 2 }][*].a\n}\ndatastore \"s3\" \"e\" {\n bucket = \"${env(\"BUCKET\")}${length(local.l)}\"\n}\n")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for _, d := range c.Decls {
				w := &fakeSecrets{env: map[string]string{"BUCKET": strings.Repeat("b", i+2)}}
				o, _, diags := c.Resolve(t.Context(), d, w)
				c.Diags(diags)
				if d.Name == "e" && o.(*s3Store).Bucket != strings.Repeat("b", i+2)+"2" {
					t.Errorf("got %q", o.(*s3Store).Bucket)
				}
			}
		})
	}
	wg.Wait()
}

// TestEncodings loads files as editors of other systems write them.
func TestEncodings(t *testing.T) {
	for name, src := range map[string]string{
		"a.dsrun.hcl":      "\xef\xbb\xbfdatastore \"local\" \"d\" {\r\n  path = \"x\"\r\n}\r\n",
		"a.dsrun.hcl.json": "\xef\xbb\xbf{\"datastore\": {\"local\": {\"d\": {\"path\": \"x\"}}}}\r\n",
	} {
		c, diags := Load([]File{{Name: name, Dir: "/conf", Bytes: []byte(src)}}, Options{Schemas: testSchemas()})
		if diags.HasErrors() || len(c.Decls) != 1 {
			t.Errorf("%s: %s", name, shown(c, diags))
		}
	}
	c, diags := Load([]File{{Name: "a.dsrun.hcl", Bytes: []byte("\xff\xfea\x00=\x001\x00")}}, Options{Schemas: testSchemas()})
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, "UTF-16") {
		t.Error(shown(c, diags))
	}
}
