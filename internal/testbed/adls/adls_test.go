package adls_test

import (
	"encoding/base64"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/adls"
)

const program = `
import sys, datetime
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError, ResourceModifiedError, ClientAuthenticationError
from azure.core import MatchConditions
from azure.storage.filedatalake import *
url, key = sys.argv[1:3]
account = "judged"
cred = {"account_name": account, "account_key": key}
svc = DataLakeServiceClient(url, credential=cred)
def refused(kind, code, call, *a, **k):
    try:
        call(*a, **k)
    except kind as e:
        assert e.error_code is not None and str(getattr(e.error_code, "value", e.error_code)) == code, (code, e.error_code, e)
        return
    raise AssertionError("not refused: " + code)

fs = svc.create_file_system("lake")
assert fs.exists()
refused(ResourceExistsError, "ContainerAlreadyExists", svc.create_file_system, "lake")
f = fs.get_file_client("a/b c/ü+%.txt")
f.create_file(content_settings=ContentSettings(content_type="text/x", cache_control="no-store"), metadata={"one": "1", "a_b": "x y"})
f.append_data(b"hello ", 0, 6, validate_content=True)
assert f.get_file_properties().size == 0, "appended bytes show before the flush"
f.append_data(b"world", 6, 5)
refused(HttpResponseError, "InvalidFlushPosition", f.flush_data, 12)
f.flush_data(11, close=True)
p = f.get_file_properties()
assert p.size == 11 and p.content_settings.content_type == "text/x" and p.content_settings.cache_control == "no-store" and p.metadata["a_b"] == "x y", p
assert f.download_file().readall() == b"hello world"
assert f.download_file(offset=2, length=3, validate_content=True).readall() == b"llo"
# appends in any order; a gap cannot be flushed
g = fs.get_file_client("a/g")
g.create_file()
g.append_data(b"2222", 4, 4)
refused(HttpResponseError, "InvalidFlushPosition", g.flush_data, 8)
g.append_data(b"1111", 0, 4)
g.flush_data(8)
assert g.download_file().readall() == b"11112222"
refused(HttpResponseError, "InvalidQueryParameterValue", g.append_data, b"x", 3, 1)
# conditions
refused(ResourceExistsError, "PathAlreadyExists", g.create_file, match_condition=MatchConditions.IfMissing)
refused(ResourceModifiedError, "ConditionNotMet", g.delete_file, etag='"0x0"', match_condition=MatchConditions.IfNotModified)
refused(HttpResponseError, "PathConflict", fs.get_file_client("a/g/below").create_file)
refused(HttpResponseError, "PathConflict", fs.get_file_client("a").create_file)
refused(ResourceNotFoundError, "PathNotFound", fs.get_file_client("none").delete_file)
# rename keeps the ETag, replaces the target, and knows conditions
before = g.get_file_properties().etag
h = g.rename_file("lake/a/h")
assert h.get_file_properties().etag == before and h.download_file().readall() == b"11112222"
refused(HttpResponseError, "RenameDestinationParentPathNotFound", h.rename_file, "lake/nowhere/h")
refused(ResourceExistsError, "PathAlreadyExists", h.rename_file, "lake/a/b c/ü+%.txt", match_condition=MatchConditions.IfMissing)
fs.get_file_client("x").upload_data(b"x" * 3000000, overwrite=True, chunk_size=1000000)
assert fs.get_file_client("x").get_file_properties().size == 3000000
h = h.rename_file("lake/x")
assert h.download_file().readall() == b"11112222"
# listings
for i in range(25):
    fs.get_file_client("many/d%d/f%02d" % (i % 3, i)).create_file()
names = [p.name for p in fs.get_paths("many", max_results=7)]
assert len(names) == 28 and len(set(names)) == 28, names
assert [(p.name, p.is_directory) for p in fs.get_paths("many", recursive=False)] == [("many/d0", True), ("many/d1", True), ("many/d2", True)]
assert [p.content_length for p in fs.get_paths("a/b c")] == [11]
refused(ResourceNotFoundError, "PathNotFound", lambda: list(fs.get_paths("none")))
# directories
d = fs.get_directory_client("many")
assert d.get_directory_properties().metadata["hdi_isfolder"] == "true"
d.set_access_control(acl="user::rwx,group::r-x,other::---,default:user::rwx,default:group::rwx,default:other::---")
assert "default:group::rwx" in d.get_access_control()["acl"]
k = fs.get_file_client("many/new")
k.create_file()
assert "group::rwx" in k.get_access_control()["acl"], k.get_access_control()
refused(HttpResponseError, "InvalidAclEntry", k.set_access_control, acl="user::zzz")
d.rename_directory("lake/moved")
assert fs.get_file_client("moved/d0/f00").exists() and not fs.get_file_client("many/d0/f00").exists()
fs.get_directory_client("moved").delete_directory()
assert [p.name for p in fs.get_paths(recursive=False)] == ["a", "x"]
# logins
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
wrong = DataLakeServiceClient(url, credential={"account_name": account, "account_key": "d3Jvbmc="}).get_file_system_client("lake")
refused(ClientAuthenticationError, "AuthenticationFailed", lambda: list(wrong.get_paths()))
def by(sas): return DataLakeServiceClient(url, credential=sas).get_file_system_client("lake")
sas = by(generate_account_sas(account, key, ResourceTypes(file_system=True, object=True), AccountSasPermissions(read=True, list=True, write=True, delete=True), end))
assert sas.get_file_client("x").download_file().readall() == b"11112222"
sas.get_file_client("y").create_file()
sas.get_file_client("y").rename_file("lake/z")
ro = by(generate_file_system_sas(account, "lake", key, FileSystemSasPermissions(read=True, list=True), end))
assert [p.name for p in ro.get_paths(recursive=False)] == ["a", "x", "z"]
refused(HttpResponseError, "AuthorizationPermissionMismatch", ro.get_file_client("z").delete_file)
fsas = by(generate_file_sas(account, "lake", "a/b c", "ü+%.txt", key, FileSasPermissions(read=True), end))
assert fsas.get_file_client("a/b c/ü+%.txt").download_file().readall() == b"hello world"
refused(HttpResponseError, "AuthenticationFailed", fsas.get_file_client("x").get_access_control)
dsas = by(generate_directory_sas(account, "lake", "a/b c", key, DirectorySasPermissions(read=True), end))
assert dsas.get_file_client("a/b c/ü+%.txt").download_file().readall() == b"hello world"
old = by(generate_file_system_sas(account, "lake", key, FileSystemSasPermissions(read=True, list=True), end - datetime.timedelta(hours=2)))
refused(HttpResponseError, "AuthenticationFailed", lambda: list(old.get_paths()))
svc.delete_file_system("lake")
assert not fs.exists()
print("judged")
`

// Microsoft's client for data lakes takes the stand-in for the service: its requests are understood, its signatures hold,
// and the refusals are those that it knows.
func TestJudge(t *testing.T) {
	t.Parallel()
	judge := testbed.Program(t, "judge-azure")
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("testbed-key/+", 4)))
	srv := httptest.NewServer(adls.New("judged", key))
	defer srv.Close()
	out, err := exec.CommandContext(t.Context(), judge, "-c", program, srv.URL+"/judged", key).CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "judged") {
		t.Fatalf("%v: %s", err, out)
	}
}
