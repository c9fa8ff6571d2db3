package azurefiles_test

import (
	"encoding/base64"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/azurefiles"
)

const program = `
import sys, datetime
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError, ClientAuthenticationError
from azure.core.credentials import AccessToken
from azure.storage.fileshare import *
url, key = sys.argv[1:3]
account = "judged"
svc = ShareServiceClient(url, credential={"account_name": account, "account_key": key})
def refused(kind, code, call, *a, **k):
    try:
        call(*a, **k)
    except kind as e:
        assert e.error_code is not None and str(getattr(e.error_code, "value", e.error_code)) == code, (code, e.error_code, e)
        return
    raise AssertionError("not refused: " + code)

sh = svc.create_share("share")
refused(ResourceExistsError, "ShareAlreadyExists", svc.create_share, "share")
f = sh.get_file_client("a/b c/ü+%25.txt")
refused(ResourceNotFoundError, "ParentNotFound", f.create_file, 3)
sh.create_directory("a")
sh.create_directory("a/b c")
refused(ResourceExistsError, "ResourceAlreadyExists", sh.create_directory, "A")
when = datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
f.create_file(11, content_settings=ContentSettings(content_type="text/x", cache_control="no-store"), metadata={"one": "1", "a_b": "x y"}, file_last_write_time=when)
f.upload_range(b"hello ", 0, 6, validate_content=True, file_last_write_mode="preserve")
f.upload_range(b"world", 6, 5, file_last_write_mode="preserve")
p = f.get_file_properties()
assert p.size == 11 and p.content_settings.content_type == "text/x" and p.content_settings.cache_control == "no-store" and p.metadata["a_b"] == "x y", p
assert p.last_write_time.replace(tzinfo=datetime.timezone.utc) == when, p.last_write_time
assert f.download_file().readall() == b"hello world"
assert f.download_file(offset=2, length=3, validate_content=True).readall() == b"llo"
refused(HttpResponseError, "InvalidRange", f.upload_range, b"x", 11, 1)
refused(HttpResponseError, "RequestBodyTooLarge", lambda: sh.get_file_client("a/big").create_file(8 << 20) and sh.get_file_client("a/big").upload_range(b"x" * (5 << 20), 0, 5 << 20))
f.resize_file(5)
assert f.download_file().readall() == b"hello"
f.resize_file(7)
assert f.download_file().readall() == b"hello\0\0"
# names
assert sh.get_file_client("A/B C/Ü+%25.TXT").get_file_properties().size == 7, "case matters"
refused(ResourceExistsError, "ResourceTypeMismatch", sh.get_file_client("a/b c").create_file, 1)
refused(HttpResponseError, "ResourceTypeMismatch", sh.get_directory_client("a/big").delete_directory)
for bad in ("a/x:y", "a/NUL", "a/x*y", "a/" + "n" * 256):
    refused(HttpResponseError, "InvalidFileOrDirectoryPathName", sh.get_file_client(bad).create_file, 1)
refused(HttpResponseError, "DirectoryNotEmpty", sh.get_directory_client("a").delete_directory)
refused(ResourceNotFoundError, "ResourceNotFound", sh.get_file_client("a/none").delete_file)
# rename
g = sh.get_file_client("a/g")
g.upload_file(b"x" * 3000000, max_concurrency=2)
id = g.get_file_properties().file_id
refused(ResourceExistsError, "ResourceAlreadyExists", g.rename_file, "a/big")
h = g.rename_file("a/big", overwrite=True)
assert h.get_file_properties().file_id == id and h.get_file_properties().size == 3000000
refused(ResourceNotFoundError, "ParentNotFound", h.rename_file, "nowhere/h")
# listings
d = sh.create_directory("many")
for i in range(25):
    d.get_file_client("f%02d" % i).create_file(i)
d.create_subdirectory("sub")
names = [x.name for x in d.list_directories_and_files(results_per_page=7, include=["timestamps", "Etag", "Attributes"], include_extended_info=True)]
assert sorted(names) == ["f%02d" % i for i in range(25)] + ["sub"], names
one = list(d.list_directories_and_files("F07", include=["timestamps", "Etag"], include_extended_info=True))
assert len(one) == 1 and one[0].size == 7 and one[0].etag and one[0].last_write_time and not one[0].is_directory, one
refused(ResourceNotFoundError, "ResourceNotFound", lambda: list(sh.list_directories_and_files("none")))
# logins
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
refused(ClientAuthenticationError, "AuthenticationFailed", ShareClient(url, "share", credential={"account_name": account, "account_key": "d3Jvbmc="}).get_share_properties)
sas = ShareClient(url, "share", credential=generate_account_sas(account, key, ResourceTypes(container=True, object=True), AccountSasPermissions(read=True, list=True, write=True, delete=True), end))
assert sas.get_file_client("a/b c/ü+%25.txt").download_file().readall() == b"hello\0\0"
sas.get_file_client("y").create_file(0)
sas.get_file_client("y").rename_file("z")
ro = ShareClient(url, "share", credential=generate_share_sas(account, "share", key, ShareSasPermissions(read=True, list=True), end))
assert sorted(x.name for x in ro.list_directories_and_files()) == ["a", "many", "z"]
refused(HttpResponseError, "AuthorizationPermissionMismatch", ro.get_file_client("z").delete_file)
fsas = ShareClient(url, "share", credential=generate_file_sas(account, "share", ["a", "b c", "ü+%25.txt"], key, FileSasPermissions(read=True), end))
assert fsas.get_file_client("a/b c/ü+%25.txt").download_file().readall() == b"hello\0\0"
refused(HttpResponseError, "AuthenticationFailed", fsas.get_file_client("z").get_file_properties)
svc.delete_share("share")
refused(ResourceNotFoundError, "ShareNotFound", sh.get_share_properties)
print("judged")
`

var key = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("testbed-key/+", 4)))

// Microsoft's client for shares takes the stand-in for the service: its requests are understood, its signatures hold, and
// the refusals are those that it knows.
func TestJudge(t *testing.T) {
	t.Parallel()
	judge := testbed.Program(t, "judge-azure")
	srv := httptest.NewServer(azurefiles.New("judged", key))
	defer srv.Close()
	out, err := exec.CommandContext(t.Context(), judge, "-c", program, srv.URL+"/judged", key).CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "judged") {
		t.Fatalf("%v: %s", err, out)
	}
}
