package awsauth

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
)

func profile(t testing.TB, e *testEnv, name, sts string) credential.Source {
	t.Helper()
	return e.open(t, &Options{Method: methodProfile, Profile: name, STSEndpoint: sts})
}

// TestConfigure reads what `aws configure` writes, in its usual place and where the environment says.
func TestConfigure(t *testing.T) {
	conf := "[default]\nregion = us-west-2\noutput = json\n\n[profile other]\nregion = eu-north-1\n"
	cred := "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = default/secret+=\n\n[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other-secret\naws_session_token = other-token\n"
	e := newEnv(t, nil)
	e.file(t, ".aws/config", conf)
	e.file(t, ".aws/credentials", cred)
	moved := newEnv(t, nil)
	moved.Getenv = func(vars map[string]string) func(string) string { return func(n string) string { return vars[n] } }(map[string]string{
		"AWS_CONFIG_FILE": moved.file(t, "mounted/config", conf), "AWS_SHARED_CREDENTIALS_FILE": moved.file(t, "mounted/credentials", cred), "AWS_EC2_METADATA_DISABLED": "true"})
	for place, e := range map[string]*testEnv{"home": e, "mounted": moved} {
		s := e.open(t, &Options{})
		c, err := Credentials(s).Retrieve(t.Context())
		if err != nil || c.AccessKeyID != "AKIADEFAULT" || c.SecretAccessKey != "default/secret+=" || c.CanExpire {
			t.Errorf("%s: %+v, %v", place, c, err)
		}
		if r := Region(t.Context(), s); r != "us-west-2" {
			t.Errorf("%s: region %q", place, r)
		}
		if _, detail := used(t, s); detail != "access key" {
			t.Errorf("%s: %q", place, detail)
		}
	}
	other := profile(t, e, "other", "")
	if c, err := Credentials(other).Retrieve(t.Context()); err != nil || c.AccessKeyID != "AKIAOTHER" || c.SessionToken != "other-token" || Region(t.Context(), other) != "eu-north-1" {
		t.Errorf("%+v, %v", c, err)
	}
	getenv := e.Getenv
	e.Getenv = func(n string) string {
		if v := map[string]string{"AWS_PROFILE": "other", "AWS_DEFAULT_REGION": "ap-south-1"}[n]; v != "" {
			return v
		}
		return getenv(n)
	}
	s := e.open(t, &Options{})
	if key, err := resolve(t, s); err != nil || key != "AKIAOTHER" || Region(t.Context(), s) != "ap-south-1" {
		t.Errorf("AWS_PROFILE: %q, %v, %s", key, err, Region(t.Context(), s))
	}
	if r := Region(t.Context(), e.open(t, &Options{Region: "sa-east-1"})); r != "sa-east-1" {
		t.Errorf("the block's own region: %s", r)
	}
}

func TestProfileErrors(t *testing.T) {
	e := newEnv(t, map[string]string{"AWS_PROFILE": "nobody"})
	e.file(t, ".aws/credentials", "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s\n")
	for name, s := range map[string]credential.Source{"environment": e.open(t, &Options{}), "block": profile(t, e, "nobody", "")} {
		if _, err := resolve(t, s); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), `no profile "nobody" in ~/.aws/config and ~/.aws/credentials`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"mfa":         "[profile p]\nrole_arn = " + arn + "\nsource_profile = default\nmfa_serial = arn:aws:iam::1:mfa/x\n",
		"no source":   "[profile p]\nrole_arn = " + arn + "\nsource_profile = nobody\n",
		"bad source":  "[profile p]\nrole_arn = " + arn + "\ncredential_source = Moon\n",
		"empty env":   "[profile p]\nrole_arn = " + arn + "\ncredential_source = Environment\n",
		"no session":  "[profile p]\nsso_session = none\nsso_account_id = 1\nsso_role_name = r\n",
		"process":     "[profile p]\ncredential_process = exit 3\n",
		"not logged":  "[profile p]\nlogin_session = arn:aws:iam::1:user/x\nregion = us-east-1\n",
		"no response": "[profile p]\ncredential_process = echo '{}'\n",
	} {
		e.file(t, ".aws/config", text)
		_, err := resolve(t, profile(t, e, "p", "http://127.0.0.1:1"))
		if c := fault.CodeOf(err); c != fault.Unauthenticated && c != fault.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(e.home+"/.aws/credentials", 0o644); err != nil {
			t.Fatal(err)
		}
		resolve(t, profile(t, e, "default", ""))
		if !strings.Contains(e.log.String(), "other users of this machine can read") {
			t.Error("no warning of a file of keys that others can read")
		}
	}
	if err := os.Remove(e.home + "/.aws/credentials"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(e.home+"/.aws/credentials", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := resolve(t, profile(t, e, "default", "")); err == nil {
		t.Error("a folder in place of the file")
	}
}

func TestProfileRole(t *testing.T) {
	e := newEnv(t, nil)
	f := newSTS(t, e.clock.Now)
	e.file(t, ".aws/config", "[profile dev]\nrole_arn = "+arn+"\nsource_profile = default\nexternal_id = ext-12345\nrole_session_name = me\nduration_seconds = 900\nregion = eu-west-3\n")
	e.file(t, ".aws/credentials", "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = default-secret\n")
	s := profile(t, e, "dev", f.URL)
	if key, err := resolve(t, s); err != nil || key != "ASIASESSION0000" {
		t.Fatal(key, err)
	}
	c := f.seen()[0]
	if c.form.Get("ExternalId") != "ext-12345" || c.form.Get("RoleSessionName") != "me" || c.form.Get("DurationSeconds") != "900" ||
		!strings.Contains(c.auth, "Credential=AKIADEFAULT/") || !strings.Contains(c.auth, "/eu-west-3/sts/") {
		t.Errorf("%v %s", c.form, c.auth)
	}
	for _, sec := range []string{"default-secret", "ext-12345", "session-secret-0"} {
		if strings.Contains(e.Redactor.Redact(sec), sec) {
			t.Errorf("the redactor does not know %s", sec)
		}
	}
	if _, detail := used(t, s); detail != "profile default, then role "+arn {
		t.Errorf("%q", detail)
	}
}

func TestSSO(t *testing.T) {
	const start = "https://example.awsapps.com/start"
	for name, conf := range map[string]struct{ text, key string }{
		"session": {"[profile p]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Reader\n[sso-session corp]\nsso_region = us-east-1\nsso_start_url = " + start + "\n", "corp"},
		"legacy":  {"[profile p]\nsso_start_url = " + start + "\nsso_region = us-east-1\nsso_account_id = 111122223333\nsso_role_name = Reader\n", start},
	} {
		t.Run(name, func(t *testing.T) {
			portal := newFake(t, func(_ int, c call, w http.ResponseWriter) {
				if c.path != "/federation/credentials" || c.header.Get("X-Amz-Sso_bearer_token") != "sso-access-token" || c.auth != "" {
					w.WriteHeader(401)
					return
				}
				fmt.Fprintf(w, `{"roleCredentials":{"accessKeyId":"ASIASSO","secretAccessKey":"sso-secret","sessionToken":"sso-session","expiration":%d}}`, begin.Add(time.Hour).UnixMilli())
			})
			e := newEnv(t, nil)
			e.file(t, ".aws/config", "[services local]\nsso =\n  endpoint_url = "+portal.URL+"\n"+strings.Replace(conf.text, "[profile p]\n", "[profile p]\nservices = local\n", 1))
			s := profile(t, e, "p", "")
			_, err := resolve(t, s)
			if c := Classify(err); c.Code != fault.Unauthenticated || !strings.Contains(c.Hint, "aws sso login --profile p") {
				t.Errorf("not logged in: %v, %q", err, c.Hint)
			}
			sum := sha1.Sum([]byte(conf.key))
			token := func(until time.Time) {
				e.file(t, ".aws/sso/cache/"+hex.EncodeToString(sum[:])+".json", fmt.Sprintf(`{"accessToken":"sso-access-token","expiresAt":%q,"region":"us-east-1","startUrl":%q}`, until.UTC().Format(time.RFC3339), start))
			}
			token(time.Now().Add(-time.Hour))
			if _, err := resolve(t, s); Classify(err).Code != fault.Unauthenticated {
				t.Errorf("an expired token: %v", err)
			}
			token(time.Now().Add(time.Hour))
			if key, err := resolve(t, s); err != nil || key != "ASIASSO" {
				t.Errorf("%q, %v", key, err)
			}
			if _, detail := used(t, s); detail != "SSO" {
				t.Errorf("%q", detail)
			}
		})
	}
}

func TestProcess(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the command is for a POSIX shell")
	}
	e := newEnv(t, nil)
	e.file(t, ".aws/config", `[profile p]
credential_process = printf '{"Version":1,"AccessKeyId":"ASIAPROC","SecretAccessKey":"process-secret","SessionToken":"process-token","Expiration":"2099-01-01T00:00:00Z"}'
`)
	c, err := Credentials(profile(t, e, "p", "")).Retrieve(t.Context())
	if err != nil || c.AccessKeyID != "ASIAPROC" || !c.CanExpire {
		t.Fatal(c, err)
	}
	if strings.Contains(e.Redactor.Redact("process-secret"), "process-secret") {
		t.Error("the redactor does not know the secret")
	}
}
