package adlsgen2

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/credential"
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

const sdk = `
import sys, datetime, hashlib
from azure.storage.filedatalake import *
url, account, key, name = sys.argv[1:5]
fs = DataLakeServiceClient(url, credential={"account_name": account, "account_key": key}).get_file_system_client(name)
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
`

// The SDK of Azure reads what was written here, and the other way round; SAS of both kinds that it makes work here.
func TestJudge(t *testing.T) {
	t.Parallel()
	_, o := serve(t)
	c := client(t, httpclient.Options{})
	d := openWith(t, c, byKey(t), o)
	defer d.Close()
	long := strings.Repeat("0123456789abcdef", appendSize/8)
	for key, text := range map[string]string{"small ü&+%.txt": "hello", "dir/long": long, "dir/empty": ""} {
		if _, err := d.Put(t.Context(), key, held(text), store.PutOptions{Attrs: store.Attributes{ContentType: "text/x", User: map[string]string{"a_b": "c"}}}); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{o.Endpoint, account, accountKey, o.Filesystem}
	out := judge(t, sdk+`
for p in sorted(fs.get_paths(), key=lambda p: p.name):
    if p.is_directory: continue
    f = fs.get_file_client(p.name)
    x = f.get_file_properties()
    data = f.download_file().readall()
    assert x.content_settings.content_type == "text/x" and x.metadata == {"a_b": "c"}, x
    assert not data or hashlib.md5(data).digest() == bytes(x.content_settings.content_md5), p.name
    print(p.name, len(data))
f = fs.get_file_client("from the sdk")
f.upload_data(b"theirs", overwrite=True, metadata={"x": "y"})
`, args...)
	if want := fmt.Sprintf("dir/empty 0\ndir/long %d\nsmall ü&+%%.txt 5", len(long)); out != want {
		t.Errorf("the SDK reads %q, not %q", out, want)
	}
	if got := content(t, d, "from the sdk"); got != "theirs" {
		t.Errorf("of the SDK's file: %q", got)
	}
	if e, err := d.Stat(t.Context(), "from the sdk", store.Cond{}); err != nil || e.Attrs.User["x"] != "y" {
		t.Errorf("%+v, %v", e.Attrs, err)
	}
	o.CreateIfNotExists = false
	for what, expr := range map[string]string{
		"account":     `generate_account_sas(account, key, ResourceTypes(file_system=True, object=True), AccountSasPermissions(read=True, list=True, write=True, delete=True), end)`,
		"file system": `generate_file_system_sas(account, name, key, FileSystemSasPermissions(read=True, list=True, write=True, move=True), end)`,
	} {
		sas := judge(t, sdk+"print("+expr+")", args...)
		s := openWith(t, c, login(t, azureauth.Options{Method: "sas", SASToken: secret.New(sas)}), o)
		defer s.Close()
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("%s SAS: check: %v", what, err)
		}
		if _, err := s.Put(t.Context(), "sas", held("x"), store.PutOptions{}); err != nil {
			t.Errorf("%s SAS: %v", what, err)
		}
		if got := content(t, s, "sas"); got != "x" {
			t.Errorf("%s SAS: %q", what, got)
		}
		err := s.Delete(t.Context(), "sas", store.Cond{})
		if what == "account" && err != nil {
			t.Errorf("%s SAS: %v", what, err)
		}
		if what != "account" {
			if class := s.Classify(err); class.Code != fault.PermissionDenied || !strings.Contains(class.Hint, "Storage Blob Data Contributor") {
				t.Errorf("%s SAS without the permission: %+v: %v", what, class, err)
			} else if sig := sas[strings.Index(sas, "sig=")+4:]; strings.Contains(err.Error()+class.Hint, sig) {
				t.Errorf("the signature is shown: %v", err)
			}
		}
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	s, o := serve(t)
	s.Token = "ey.token"
	c := client(t, httpclient.Options{})
	bearer := func(token string) credential.Source {
		return credential.Static("test", map[string]secret.String{azureauth.FieldToken: secret.New(token)}, secret.NewRedactor())
	}
	d := openWith(t, c, bearer("ey.token"), o)
	defer d.Close()
	if _, err := d.Put(t.Context(), "by/token", held("x"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	o.CreateIfNotExists = false
	for what, x := range map[string]struct {
		cred credential.Source
		code fault.Code
		hint string
	}{
		"another token": {bearer("ey.other"), fault.Unauthenticated, "tenant"},
		"another key":   {login(t, azureauth.Options{Method: "account_key", AccountKey: secret.New(base64.StdEncoding.EncodeToString([]byte("another")))}), fault.Unauthenticated, account},
		"none":          {login(t, azureauth.Options{Method: "anonymous"}), fault.Unauthenticated, "credential"},
	} {
		w := openWith(t, c, x.cred, o)
		defer w.Close()
		_, err := w.List(t.Context(), store.Query{})
		if class := w.Classify(err); err == nil || class.Code != x.code || !strings.Contains(class.Hint, x.hint) {
			t.Errorf("%s: %+v: %v", what, class, err)
		}
		if w.Check(t.Context()) == nil {
			t.Errorf("%s: the check passes", what)
		}
	}
	o.Filesystem = "no-such"
	w := openWith(t, c, byKey(t), o)
	defer w.Close()
	for what, err := range map[string]error{"check": w.Check(t.Context()), "stat": stat(w, t, "k")} {
		class := w.Classify(err)
		if class.Code != fault.NotFound || what == "stat" && !strings.Contains(class.Hint, "az storage fs create") {
			t.Errorf("%s of no file system: %+v: %v", what, class, err)
		}
	}
	s.Flat = true
	if err := d.Check(t.Context()); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "hierarchical") {
		t.Errorf("an account without directories: %v", err)
	}
}

func stat(d *Driver, t *testing.T, key string) error {
	_, err := d.List(t.Context(), store.Query{Prefix: key})
	return err
}

// No secret shows in an error, whatever the service or the network does.
func TestCanary(t *testing.T) {
	t.Parallel()
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-ms-error-code", "AuthenticationFailed")
		w.WriteHeader(403)
		fmt.Fprintf(w, `{"error":{"code":"AuthenticationFailed","message":"no.\n%s"}}`, r.URL.RawQuery)
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
			_, err5 := (&temp{d: d, key: "k", path: "t"}).rename(ctx, store.PutOptions{})
			for _, err := range []error{err1, err2, err3, err4, err5} {
				if err == nil {
					t.Errorf("%s: no error", what)
				} else if text := err.Error() + d.Classify(err).Hint; strings.Contains(text, "Q2FuYXJ5") {
					t.Errorf("%s: the signature is shown: %s", what, text)
				}
			}
			return errors.Join(err1, err2, err3, err4, err5)
		})
	}
}
