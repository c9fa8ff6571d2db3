package azureblob

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// judge runs a program of Python with the SDK of Azure and fails t when it fails.
func judge(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), testbed.Program(t, "judge-azure"), append([]string{"-c", program}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func content(t *testing.T, d *Driver, key string) string {
	t.Helper()
	x, err := d.Get(t.Context(), key, store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Body.Close()
	b, err := io.ReadAll(x.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const sdk = `
import sys, base64, datetime
from azure.storage.blob import ContainerClient, generate_account_sas, generate_blob_sas, generate_container_sas, ResourceTypes, AccountSasPermissions, ContainerSasPermissions
url, account, key, name = sys.argv[1:5]
c = ContainerClient(url, name, credential={"account_name": account, "account_key": key})
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
`

// The SDK of Azure reads what was written here, and the other way round; SAS of both kinds that it makes work here.
func TestJudge(t *testing.T) {
	a := testbed.Azurite(t)
	c := client(t, httpclient.Options{})
	o := Options{Account: a.Account, Endpoint: a.Endpoint, Container: container(), CreateIfNotExists: true}
	d := openWith(t, c, keyOf(t, a), o)
	defer d.Close()
	long := strings.Repeat("0123456789abcdef", blockSize/8)
	for key, text := range map[string]string{"small ü&+%.txt": "hello", "long": long} {
		if _, err := d.Put(t.Context(), key, held(text), store.PutOptions{Attrs: store.Attributes{ContentType: "text/x", User: map[string]string{"a_b": "c"}}}); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{a.Endpoint, a.Account, a.Key, o.Container}
	out := judge(t, sdk+`
import hashlib
for b in sorted(x.name for x in c.list_blobs()):
    p = c.get_blob_client(b).get_blob_properties()
    data = c.download_blob(b, validate_content=True).readall()
    assert p.content_settings.content_type == "text/x" and p.metadata == {"a_b": "c"}, p
    assert hashlib.md5(data).digest() == bytes(p.content_settings.content_md5), b
    print(b, len(data))
c.upload_blob("from the sdk", b"theirs", metadata={"x": "y"})
`, args...)
	if want := fmt.Sprintf("long %d\nsmall ü&+%%.txt 5", len(long)); out != want {
		t.Errorf("the SDK reads %q, not %q", out, want)
	}
	if got := content(t, d, "from the sdk"); got != "theirs" {
		t.Errorf("of the SDK's blob: %q", got)
	}
	for what, expr := range map[string]string{
		"account":   `generate_account_sas(account, key, ResourceTypes(container=True, object=True), AccountSasPermissions(read=True, list=True, write=True), expiry=end)`,
		"container": `generate_container_sas(account, name, account_key=key, permission=ContainerSasPermissions(read=True, list=True, write=True), expiry=end)`,
	} {
		sas := judge(t, sdk+"print("+expr+")", args...)
		own := o
		own.CreateIfNotExists = false
		s := openWith(t, c, login(t, azureauth.Options{Method: "sas", SASToken: secret.New(sas)}), own)
		if got := content(t, s, "from the sdk"); got != "theirs" {
			t.Errorf("%s SAS: %q", what, got)
		}
		if _, err := s.Put(t.Context(), "sas", held("x"), store.PutOptions{}); err != nil {
			t.Errorf("%s SAS: %v", what, err)
		}
		if err := s.Delete(t.Context(), "sas", store.Cond{}); s.Classify(err).Code != fault.PermissionDenied {
			t.Errorf("%s SAS without the permission: %v", what, err)
		} else if sig := sas[strings.Index(sas, "sig=")+4:]; strings.Contains(err.Error()+s.Classify(err).Hint, sig) {
			t.Errorf("the signature is shown: %v", err)
		}
		s.Close()
	}
	wrong := openWith(t, c, login(t, azureauth.Options{Method: "account_key", AccountKey: secret.New(base64.StdEncoding.EncodeToString([]byte("another")))}), o)
	defer wrong.Close()
	if _, err := wrong.List(t.Context(), store.Query{}); err == nil || wrong.Classify(err).Retryable() || wrong.Classify(err).Hint == "" {
		t.Errorf("a wrong key: %v", err)
	}
	anonymous := openWith(t, c, login(t, azureauth.Options{Method: "anonymous"}), o)
	defer anonymous.Close()
	if _, err := anonymous.Stat(t.Context(), "long", store.Cond{}); err == nil {
		t.Error("a private container can be read without a credential")
	}
	judge(t, sdk+`c.set_container_access_policy({}, public_access="container")`, args...)
	if got := content(t, anonymous, "from the sdk"); got != "theirs" {
		t.Errorf("public: %q", got)
	}
}

// A signed URL gives what it is signed for, and no more.
func TestSignedURL(t *testing.T) {
	a := testbed.Azurite(t)
	c := client(t, httpclient.Options{})
	d := openWith(t, c, keyOf(t, a), Options{Account: a.Account, Endpoint: a.Endpoint, Container: container(), CreateIfNotExists: true})
	defer d.Close()
	if _, err := d.Put(t.Context(), "a b/ü", held("signed"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	u, err := d.SignURL(t.Context(), "a b/ü", store.SignOptions{Method: "GET", Expires: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]int{"GET": 200, "DELETE": 403} {
		req, _ := http.NewRequest(method, u, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		drain(resp)
		if resp.StatusCode != want {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
}

// jwt is a token as Entra gives it, which the emulator reads and does not verify.
func jwt(t *testing.T, now time.Time) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"aud":"https://storage.azure.com","iss":"https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/","iat":%[1]d,"nbf":%[1]d,"exp":%[2]d,"oid":"23657296-5cd5-45b0-a809-d972a7f4dfe1","tid":"dd0d0df1-06c3-436c-8034-4b9a153097ce"}`,
		now.Add(-time.Minute).Unix(), now.Add(time.Hour).Unix())
	return b64([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64([]byte(claims)) + ".c2ln"
}

// A service principal's token reads, writes, copies, and signs URLs with a user delegation key; one that the service
// refuses is renewed once.
func TestBearer(t *testing.T) {
	a := testbed.AzuriteOAuth(t)
	asked := 0
	entra := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		now := time.Now()
		if asked == 1 {
			now = now.Add(-48 * time.Hour) // the service says that it has ended
		}
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":%q}`, jwt(t, now))
	}))
	defer entra.Close()
	c := client(t, httpclient.Options{CA: a.CA})
	cred := login(t, azureauth.Options{Method: "service_principal", TenantID: "tenant-1", ClientID: "app-1", ClientSecret: secret.New("s3cret-value"), AuthorityURL: entra.URL})
	d := openWith(t, c, cred, Options{Account: a.Account, Endpoint: a.Endpoint, Container: container(), CreateIfNotExists: true})
	defer d.Close()
	if _, err := d.Put(t.Context(), "k", held("by an identity"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if asked != 2 {
		t.Errorf("the authority was asked %d times, not once more after the refusal", asked)
	}
	if got := content(t, d, "k"); got != "by an identity" {
		t.Errorf("%q", got)
	}
	u, err := d.SignURL(t.Context(), "k", store.SignOptions{Method: "GET", Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for want, u := range map[int]string{200: u, 403: strings.Replace(u, "sig=", "sig=AA", 1)} {
		req, _ := http.NewRequest("GET", u, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		drain(resp)
		if resp.StatusCode != want {
			t.Errorf("a user delegation SAS: %s, not %d", resp.Status, want)
		}
	}
}

// No secret shows in an error, whatever the service or the network does.
func TestCanary(t *testing.T) {
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-ms-error-code", "AuthenticationFailed")
		w.WriteHeader(403)
		fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>no.\n%s</Message></Error>", strings.ReplaceAll(r.URL.RawQuery, "&", "&amp;"))
	}))
	sas := "sv=2020-12-06&sp=r&sig=Q2FuYXJ5U2lnbmF0dXJlMDEyMzQ1Njc4OQ%3D%3D"
	for what, x := range map[string]faults.Fault{"a refusal": nil, "a reset": faults.Reset(0), "a page": faults.Portal(), "nothing": faults.Empty(), "a redirect": faults.Redirect("http://127.0.0.1:1/x")} {
		f.Clear()
		if x != nil {
			f.Add(faults.Rule{Fault: x})
		}
		e := provider.Env{Name: "test", Credential: login(t, azureauth.Options{Method: "sas", SASToken: secret.New(sas)}), HTTP: client(t, httpclient.Options{})}
		providertest.Canary(t, Provider(), e, map[string]string{"endpoint": `"` + f.URL + `"`}, func(ctx context.Context, opened any) error {
			d := opened.(*Driver)
			_, err1 := d.Stat(ctx, "k", store.Cond{})
			_, err2 := d.List(ctx, store.Query{})
			_, err3 := d.Get(ctx, "k", store.GetOptions{})
			_, err4 := d.Put(ctx, "k", held("x"), store.PutOptions{})
			for _, err := range []error{err1, err2, err3, err4} {
				if err == nil {
					t.Errorf("%s: no error", what)
				} else if text := err.Error() + d.Classify(err).Hint; strings.Contains(text, "Q2FuYXJ5") {
					t.Errorf("%s: the signature is shown: %s", what, text)
				}
			}
			return errors.Join(err1, err2, err3, err4)
		})
	}
}
