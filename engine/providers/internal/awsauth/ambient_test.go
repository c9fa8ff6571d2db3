package awsauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// newIMDS is an instance's metadata service, version 2, with a role, or without one when role is "".
func newIMDS(t testing.TB, role string) *fake {
	return newFake(t, func(_ int, c call, w http.ResponseWriter) {
		switch c.path {
		case "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			fmt.Fprint(w, "imds-token")
		case "/latest/meta-data/iam/security-credentials/":
			if role == "" {
				http.NotFound(w, nil)
				return
			}
			fmt.Fprint(w, role)
		case "/latest/meta-data/iam/security-credentials/" + role:
			fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"ASIAINSTANCE","SecretAccessKey":"instance-secret","Token":"instance-token","Expiration":%q}`,
				begin.Add(6*time.Hour).Format(time.RFC3339))
		default:
			http.NotFound(w, nil)
		}
	})
}

func resolve(t testing.TB, s credential.Source) (key string, err error) {
	t.Helper()
	c, err := Credentials(s).Retrieve(t.Context())
	return c.AccessKeyID, err
}

// used is the place that Explain says is used.
func used(t testing.TB, s credential.Source) (place, detail string) {
	t.Helper()
	n := 0
	for _, step := range s.Explain(t.Context()) {
		if step.Used {
			place, detail = step.Source, step.Detail
			n++
		}
	}
	if n > 1 {
		t.Errorf("%d places are said to be used", n)
	}
	return place, detail
}

// TestDefaultOrder takes away one place after another.
func TestDefaultOrder(t *testing.T) {
	imds := newIMDS(t, "worker")
	box := newFake(t, func(_ int, c call, w http.ResponseWriter) {
		if c.auth != "box-token" {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"ASIACONTAINER","SecretAccessKey":"container-secret","Token":"container-token","Expiration":%q}`, begin.Add(time.Hour).Format(time.RFC3339))
	})
	vars := map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "env-secret", "AWS_SESSION_TOKEN": "env-token",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": box.URL + "/creds", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "box-token",
		"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.URL,
	}
	e := newEnv(t, vars)
	sts := newSTS(t, e.clock.Now)
	getenv := e.Getenv
	gone := map[string]bool{}
	e.Getenv = func(n string) string {
		switch {
		case gone[n]:
			return ""
		case n == "AWS_WEB_IDENTITY_TOKEN_FILE":
			return filepath.Join(e.home, "jwt")
		case n == "AWS_ROLE_ARN":
			return arn
		case n == "AWS_ENDPOINT_URL_STS":
			return sts.URL
		}
		return getenv(n)
	}
	e.file(t, "jwt", "jwt-text")
	e.file(t, ".aws/credentials", "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = file-secret\n")
	for _, c := range []struct{ key, place, take string }{
		{"AKIAENV", "environment AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"},
		{"ASIASESSION0000", "environment AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"},
		{"AKIAFILE", "files ~/.aws/credentials and ~/.aws/config [default]", "file"},
		{"ASIACONTAINER", "container AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"},
		{"ASIAINSTANCE", "instance metadata", "AWS_EC2_METADATA_SERVICE_ENDPOINT"},
	} {
		s := e.open(t, &Options{})
		key, err := resolve(t, s)
		if err != nil || key != c.key {
			t.Errorf("%s: %q, %v", c.place, key, err)
		}
		if place, _ := used(t, s); place != c.place {
			t.Errorf("explained as %q, want %q", place, c.place)
		}
		if len(s.Explain(t.Context())) != 5 {
			t.Error("not every place is explained")
		}
		gone[c.take] = true
		if c.take == "file" {
			os.RemoveAll(filepath.Join(e.home, ".aws"))
		}
	}
	for _, sec := range []string{"env-secret", "env-token", "file-secret", "container-secret", "container-token", "box-token", "instance-secret", "instance-token", "jwt-text"} {
		if strings.Contains(e.Redactor.Redact(sec), sec) {
			t.Errorf("the redactor does not know %s", sec)
		}
	}
	if !strings.Contains(e.log.String(), "only one of AWS_ACCESS_KEY_ID") {
		t.Error("half an access key is passed over in silence")
	}
	getenv = func(string) string { return "" }
	gone["AWS_EC2_METADATA_DISABLED"] = false
	e.Getenv = func(n string) string { return map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}[n] }
	_, err := resolve(t, e.open(t, &Options{}))
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "environment AWS_ACCESS_KEY_ID") || !strings.Contains(err.Error(), "instance metadata") {
		t.Errorf("nothing found: %v", err)
	}
}

func TestInstanceWithoutRole(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	defer elsewhere.Close()
	for name, url := range map[string]string{"no role": newIMDS(t, "").URL, "nobody listens": "http://127.0.0.1:1", "another cloud's": elsewhere.URL} {
		e := newEnv(t, map[string]string{"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": url})
		began := time.Now()
		if _, err := resolve(t, e.open(t, &Options{})); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "no credential found") || time.Since(began) > 3*time.Second {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := newEnv(t, map[string]string{"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": newFake(t, func(_ int, _ call, w http.ResponseWriter) { w.WriteHeader(500) }).URL})
	if _, err := resolve(t, e.open(t, &Options{})); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a metadata service that is down: %v", err)
	}
}

func TestContainer(t *testing.T) {
	for uri, want := range map[string]bool{"http://127.0.0.1/x": true, "http://localhost:80/": true, "http://[::1]/": true, "https://creds.example/": true, "http://169.254.170.2/v2": true,
		"http://169.254.170.23/v1": true, "http://[fd00:ec2::23]/": true, "http://169.254.169.254/": false, "http://creds.example/": false, "http://10.0.0.1/": false, "ftp://127.0.0.1/": false, "x": false} {
		if got := containerURL(uri) == nil; got != want {
			t.Errorf("%s: %v", uri, got)
		}
	}
	box := newFake(t, func(_ int, c call, w http.ResponseWriter) {
		if c.auth != "from-file" {
			w.WriteHeader(401)
			return
		}
		fmt.Fprint(w, `{"AccessKeyId":"ASIAPOD","SecretAccessKey":"pod-secret","Token":"pod-token"}`)
	})
	e := newEnv(t, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": box.URL})
	getenv := e.Getenv
	file := e.file(t, "pod-token", "from-file")
	e.Getenv = func(n string) string {
		if n == "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" {
			return file
		}
		return getenv(n)
	}
	if key, err := resolve(t, e.open(t, &Options{})); err != nil || key != "ASIAPOD" {
		t.Errorf("%q, %v", key, err)
	}
	e.file(t, "pod-token", "another")
	if _, err := resolve(t, e.open(t, &Options{})); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a token that is refused: %v", err)
	}
}

// TestNoFallback: with canaries in the environment of the process and of the provider, in the shared files and at the
// metadata services, no explicit credential uses one, also when it fails itself.
func TestNoFallback(t *testing.T) {
	imds := newIMDS(t, "worker")
	canaries := map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIACANARY", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_SESSION_TOKEN": "canary-token", "AWS_PROFILE": "canary",
		"AWS_REGION": "canary-1", "AWS_DEFAULT_REGION": "canary-2", "AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/canary",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": imds.URL + "/canary", "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.URL, "AWS_EC2_METADATA_DISABLED": "",
		"AWS_ENDPOINT_URL": imds.URL, "AWS_ENDPOINT_URL_STS": imds.URL,
	}
	e := newEnv(t, canaries)
	getenv, asked := e.Getenv, map[string]bool{}
	e.Getenv = func(n string) string { asked[n] = true; return getenv(n) }
	conf := "[default]\nregion = canary-3\n[profile canary]\nregion = canary-4\n[profile empty]\nregion = eu-west-1\n[profile mine]\nregion = eu-west-1\n"
	cred := "[default]\naws_access_key_id = AKIACANARY2\naws_secret_access_key = canary-secret\n[canary]\naws_access_key_id = AKIACANARY3\naws_secret_access_key = canary-secret\n" +
		"[mine]\naws_access_key_id = AKIAMINE\naws_secret_access_key = mine-secret\n"
	e.file(t, ".aws/config", conf)
	e.file(t, ".aws/credentials", cred)
	for n, v := range canaries {
		t.Setenv(n, v)
	}
	t.Setenv("HOME", e.home)
	refusing := newFake(t, func(_ int, _ call, w http.ResponseWriter) { stsError(w, 403, "AccessDenied", "no") })
	sts := newSTS(t, e.clock.Now)
	base := e.static(t, "AKIABASE", "base-secret")
	e.CredentialOf = func(schema.Ref) (credential.Source, error) { return base, nil }
	ref := schema.Ref{Kind: "credential", Type: "aws", Name: "base"}
	jwt := e.file(t, "jwt", "jwt-text")
	for name, c := range map[string]struct {
		o    Options
		key  string // "" when logging in fails
		file bool   // may ask where the shared files are
	}{
		"static":               {Options{Method: methodStatic, AccessKeyID: "AKIAONE", SecretAccessKey: secret.New("one-secret")}, "AKIAONE", false},
		"profile":              {Options{Method: methodProfile, Profile: "mine"}, "AKIAMINE", true},
		"profile without keys": {Options{Method: methodProfile, Profile: "empty"}, "", true},
		"no such profile":      {Options{Method: methodProfile, Profile: "none"}, "", true},
		"role":                 {Options{Method: methodAssumeRole, RoleARN: arn, Source: ref, STSEndpoint: sts.URL}, "ASIASESSION", false},
		"role refused":         {Options{Method: methodAssumeRole, RoleARN: arn, Source: ref, STSEndpoint: refusing.URL}, "", false},
		"web identity":         {Options{Method: methodWebIdentity, RoleARN: arn, TokenFile: jwt, STSEndpoint: sts.URL}, "ASIASESSION", false},
		"web identity refused": {Options{Method: methodWebIdentity, RoleARN: arn, TokenFile: jwt, STSEndpoint: refusing.URL}, "", false},
	} {
		clear(asked)
		s := e.open(t, &c.o)
		key, err := resolve(t, s)
		if (err == nil) != (c.key != "") || !strings.HasPrefix(key, c.key) || strings.Contains(key, "CANARY") {
			t.Errorf("%s: %q, %v", name, key, err)
		}
		if r := Region(t.Context(), s); strings.Contains(r, "canary") {
			t.Errorf("%s: the region is %s", name, r)
		}
		for n := range asked {
			if !c.file || n != "HOME" && n != "AWS_CONFIG_FILE" && n != "AWS_SHARED_CREDENTIALS_FILE" {
				t.Errorf("%s: the environment was asked for %s", name, n)
			}
		}
		for _, step := range s.Explain(t.Context()) {
			if strings.Contains(step.Source, "AWS_") || strings.Contains(step.Source, "metadata") {
				t.Errorf("%s: explained with %q", name, step.Source)
			}
		}
	}
	anon := e.open(t, &Options{Method: methodAnonymous})
	if key, err := resolve(t, anon); key != "" || err != nil || !Anonymous(anon) {
		t.Errorf("anonymous: %q, %v", key, err)
	}
	if n := len(imds.seen()); n != 0 {
		t.Errorf("the metadata service was asked %d times", n)
	}
	for _, f := range []*fake{sts, refusing} {
		for _, c := range f.seen() {
			if text := fmt.Sprint(c); strings.Contains(strings.ToLower(text), "canary") {
				t.Errorf("a canary is on the wire: %s", text)
			}
		}
	}
}
