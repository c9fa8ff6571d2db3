package azurefiles

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
from azure.storage.fileshare import *
url, account, key, name = sys.argv[1:5]
sh = ShareClient(url, name, credential={"account_name": account, "account_key": key})
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
`

// The SDK of Azure reads what was written here, and the other way round; SAS of both kinds that it makes work here.
func TestJudge(t *testing.T) {
	t.Parallel()
	_, o := serve(t)
	c := client(t, httpclient.Options{})
	d := openWith(t, c, byKey(t), o)
	defer d.Close()
	long := strings.Repeat("0123456789abcdef", rangeSize/8)
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for key, text := range map[string]string{"small ü&+%.txt": "hello", "dir/long": long, "dir/empty": ""} {
		if _, err := d.Put(t.Context(), key, held(text), store.PutOptions{Attrs: store.Attributes{ContentType: "text/x", User: map[string]string{"a_b": "c"}, Modified: when}}); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{o.Endpoint, account, accountKey, o.Share}
	out := judge(t, sdk+`
for n in ("dir/empty", "dir/long", "small ü&+%.txt"):
    f = sh.get_file_client(n)
    x = f.get_file_properties()
    data = f.download_file().readall()
    assert x.content_settings.content_type == "text/x" and x.metadata == {"a_b": "c"} and x.last_write_time.year == 2001, x
    assert hashlib.md5(data).digest() == bytes(x.content_settings.content_md5), n
    print(n, len(data))
sh.get_file_client("from the sdk").upload_file(b"theirs", metadata={"x": "y"})
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
		"account": `generate_account_sas(account, key, ResourceTypes(container=True, object=True), AccountSasPermissions(read=True, list=True, write=True, delete=True), end)`,
		"share":   `generate_share_sas(account, name, key, ShareSasPermissions(read=True, list=True, create=True), end)`,
	} {
		sas := judge(t, sdk+"print("+expr+")", args...)
		s := openWith(t, c, login(t, azureauth.Options{Method: "sas", SASToken: secret.New(sas)}), o)
		defer s.Close()
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("%s SAS: check: %v", what, err)
		}
		if got := content(t, s, "from the sdk"); got != "theirs" {
			t.Errorf("%s SAS: %q", what, got)
		}
		_, err := s.Put(t.Context(), "sas", held("x"), store.PutOptions{})
		if what == "account" {
			if err = errors.Join(err, s.Delete(t.Context(), "sas", store.Cond{})); err != nil {
				t.Errorf("%s SAS: %v", what, err)
			}
		} else if class := s.Classify(err); class.Code != fault.PermissionDenied || !strings.Contains(class.Hint, "Storage File Data Privileged Contributor") {
			t.Errorf("%s SAS without the permission: %+v: %v", what, class, err)
		} else if sig := sas[strings.Index(sas, "sig=")+4:]; strings.Contains(err.Error()+class.Hint, sig) {
			t.Errorf("the signature is shown: %v", err)
		}
	}
}

// rclone reads what was written here, and the other way round, with the times of files.
func TestRclone(t *testing.T) {
	t.Parallel()
	program := testbed.Program(t, "rclone")
	_, o := serve(t)
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, k := range []string{"top.txt", "dir/a b ü", "dir/sub/x"} {
		if _, err := d.Put(t.Context(), k, held("of dsrun: "+k), store.PutOptions{Attrs: store.Attributes{Modified: when}}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append(args, "--azurefiles-share-name", o.Share, "--config", filepath.Join(dir, "none"), "--retries", "1",
			"--azurefiles-connection-string", "DefaultEndpointsProtocol=http;AccountName="+account+";AccountKey="+accountKey+";FileEndpoint="+o.Endpoint)...)
		cmd.Env = []string{"HOME=" + dir, "PATH=/nonexistent", "TZ=UTC"}
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			errors.As(err, &exit)
			t.Fatalf("rclone %s: %v: %s", args[0], err, exit.Stderr)
		}
		return strings.TrimSpace(string(out))
	}
	got := strings.Split(run("lsf", "-R", "--files-only", "--format", "tsp", ":azurefiles:"), "\n")
	slices.Sort(got)
	want := []string{"2001-02-03 04:05:06;19;dir/a b ü", "2001-02-03 04:05:06;19;dir/sub/x", "2001-02-03 04:05:06;17;top.txt"}
	want[0] = fmt.Sprintf("2001-02-03 04:05:06;%d;dir/a b ü", len("of dsrun: dir/a b ü"))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("rclone lists %q, not %q", got, want)
	}
	if out := run("cat", ":azurefiles:dir/a b ü"); out != "of dsrun: dir/a b ü" {
		t.Errorf("rclone reads %q", out)
	}
	file := filepath.Join(dir, "theirs")
	big := strings.Repeat("of rclone ", 1_000_000)
	if err := os.WriteFile(file, []byte(big), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, when, when); err != nil {
		t.Fatal(err)
	}
	run("copyto", file, ":azurefiles:their/own")
	if content(t, d, "their/own") != big {
		t.Error("of rclone's file: other bytes")
	}
	if e, err := d.Stat(t.Context(), "their/own", store.Cond{}); err != nil || !e.Modified.Equal(when) || len(e.Sums) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	run("deletefile", ":azurefiles:their/own")
	if _, err := d.Stat(t.Context(), "their/own", store.Cond{}); d.Classify(err).Code != fault.NotFound {
		t.Errorf("what rclone deleted: %v", err)
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
	d := openWith(t, c, bearer("ey.token"), o) // the stand-in refuses tokens without the header of the intent
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
	o.Share = "no-such"
	w := openWith(t, c, byKey(t), o)
	defer w.Close()
	_, err := w.List(t.Context(), store.Query{Prefix: "k"})
	_, err2 := w.Put(t.Context(), "k", held("x"), store.PutOptions{})
	for what, err := range map[string]error{"check": w.Check(t.Context()), "list": err, "put": err2, "delete": w.Delete(t.Context(), "k", store.Cond{})} {
		if class := w.Classify(err); class.Code != fault.NotFound || !strings.Contains(class.Hint, "az storage share-rm create") {
			t.Errorf("%s of no share: %+v: %v", what, class, err)
		}
	}
}

// No secret shows in an error, whatever the service or the network does.
func TestCanary(t *testing.T) {
	t.Parallel()
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
