"""Databricks's SDK uses the fake as it would a workspace. Arguments: URL, token, client id, secret, and what the fake is
set to: "multipart", "resumable", "blocked" or "disabled"."""
import io
import os
import sys
import tempfile

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import AlreadyExists, BadRequest, NotFound, PermissionDenied, ResourceAlreadyExists, ResourceDoesNotExist, Unauthenticated, InvalidParameterValue

url, token, client, secret, mode = sys.argv[1:6]
count = 0


def refused(kind, call, *a, **k):
    global count
    count += 1
    try:
        call(*a, **k)
    except kind:
        return
    raise AssertionError("not refused: %s %s" % (call, a))


def is_(got, want):
    global count
    count += 1
    assert got == want, (got, want)


def config(w):
    c = w.files._config
    c.files_ext_multipart_upload_min_stream_size = 6 << 20
    c.files_ext_parallel_download_min_file_size = 1 << 20
    return w


w = config(WorkspaceClient(host=url, token=token))
vol = "/Volumes/main/default/vol"
f = w.files

# logins
refused(Unauthenticated, WorkspaceClient(host=url, token="wrong").files.get_directory_metadata, vol)
m2m = WorkspaceClient(host=url, client_id=client, client_secret=secret)
is_(m2m.config.auth_type, "oauth-m2m")
m2m.files.get_directory_metadata(vol)
refused(Exception, lambda: WorkspaceClient(host=url, client_id=client, client_secret="wrong").files.get_directory_metadata(vol))

# files and directories
odd = vol + "/a b/ü+%25&#?=.txt"
refused(NotFound, f.upload, odd, io.BytesIO(b"x"))
f.create_directory(vol + "/a b/c/d")
f.create_directory(vol + "/a b/c/d")
f.upload(odd, io.BytesIO(b"hello world"))
is_(f.download(odd).contents.read(), b"hello world")
m = f.get_metadata(odd)
is_((m.content_length, m.content_type), (11, "text/plain; charset=utf-8"))
refused(AlreadyExists, f.upload, odd, io.BytesIO(b"x"), overwrite=False)
f.upload(odd, io.BytesIO(b"again"), overwrite=True)
f.upload(odd, io.BytesIO(b"more"))
is_(f.download(odd).contents.read(), b"more")
f.upload(vol + "/empty", io.BytesIO(b""), use_parallel=False)  # side by side, this SDK completes an upload of no part
is_(f.get_metadata(vol + "/empty").content_length, 0)
is_(f.download(vol + "/empty").contents.read(), b"")
refused(NotFound, f.get_metadata, vol + "/none")
refused(NotFound, f.download, vol + "/none")
refused(NotFound, f.delete, vol + "/none")
refused(NotFound, lambda: list(f.list_directory_contents(vol + "/none")))
refused(BadRequest, f.get_metadata, "/Volumes/main/default")
refused(BadRequest, f.delete_directory, vol + "/a b")
refused(NotFound, f.create_directory, "/Volumes/main/default/other/x")
for i in range(1, 26):
    f.upload("%s/a b/c/f%02d" % (vol, i), io.BytesIO(b"x" * i), use_parallel=False)
got = list(f.list_directory_contents(vol + "/a b/c", page_size=7))
is_([e.name for e in got], ["d"] + ["f%02d" % i for i in range(1, 26)])
is_([e.file_size for e in got if not e.is_directory], list(range(1, 26)))
is_(([e.is_directory for e in got][0], got[1].path, got[1].last_modified > 1e12), (True, vol + "/a b/c/f01", True))
is_(list(f.list_directory_contents(vol + "/a b/c/d")), [])
f.delete_directory(vol + "/a b/c/d")
refused(NotFound, f.get_directory_metadata, vol + "/a b/c/d")
f.delete(vol + "/a b/c/f01")

# large files: uploads in parts, or what stands in for them
big = os.urandom(17 << 20)
for name, parallel in (("one", False), ("many", True)):
    f.upload(vol + "/" + name, io.BytesIO(big), part_size=5 << 20, use_parallel=parallel)
    is_(f.download(vol + "/" + name).contents.read() == big, True)
    refused(AlreadyExists, f.upload, vol + "/" + name, io.BytesIO(big), part_size=5 << 20, use_parallel=parallel, overwrite=False)
    f.upload(vol + "/" + name, io.BytesIO(big[: 12 << 20]), part_size=6 << 20, use_parallel=parallel, overwrite=True)
    is_(f.get_metadata(vol + "/" + name).content_length, 12 << 20)
with tempfile.TemporaryDirectory() as d:
    with open(d + "/in", "wb") as o:
        o.write(big)
    f.upload_from(vol + "/file", d + "/in", part_size=5 << 20)
    f.download_to(vol + "/file", d + "/out", use_parallel=True)
    with open(d + "/out", "rb") as i:
        is_(i.read() == big, True)


class Broken(io.BytesIO):
    def read(self, n=-1):
        if self.tell() > 8 << 20:
            raise OSError("broken")
        return super().read(n)


if mode in ("multipart", "resumable"):
    refused(OSError, f.upload, vol + "/broken", Broken(big), part_size=5 << 20, use_parallel=False)  # is aborted
    refused(NotFound, f.get_metadata, vol + "/broken")

# DBFS
if mode == "multipart":
    b = w.dbfs
    b.mkdirs("/tmp/x")
    with b.open("/tmp/x/data", write=True) as o:
        o.write(big[: (3 << 20) + 17])
    with b.open("/tmp/x/data", read=True) as i:
        is_(i.read() == big[: (3 << 20) + 17], True)
    s = b.get_status("dbfs:/tmp/x/data")
    is_((s.path, s.is_dir, s.file_size), ("/tmp/x/data", False, (3 << 20) + 17))
    is_([(e.path, e.is_dir) for e in b.list("/tmp")], [("/tmp/x", True)])
    is_([e.path for e in b.list("/tmp", recursive=True)], ["/tmp/x/data"])
    refused(ResourceAlreadyExists, lambda: b.open("/tmp/x/data", write=True))
    with b.open("/tmp/x/data", write=True, overwrite=True) as o:
        o.write(b"short")
    is_(b.download("/tmp/x/data").read(), b"short")
    refused(ResourceDoesNotExist, b.get_status, "/tmp/none")
    refused(ResourceDoesNotExist, lambda: list(b.list("/tmp/none")))
    refused(PermissionDenied, w.api_client.do, "GET", "/api/2.0/dbfs/list", query={"path": vol})
    refused(BadRequest, b.read, "/tmp/x/data", length=(1 << 20) + 1)
    refused(InvalidParameterValue, b.read, "/tmp/x")
    h = b.create("/tmp/x/h").handle
    refused(BadRequest, b.add_block, h, "A" * (((1 << 20) + 3) // 3 * 4))
    b.close(h)
    refused(ResourceDoesNotExist, b.add_block, h, "")
    b.put("/tmp/x/put", contents="cHV0")
    is_(b.download("/tmp/x/put").read(), b"put")
    refused(ResourceAlreadyExists, b.move, "/tmp/x/put", "/tmp/x/data")
    b.move("/tmp/x/put", "/tmp/x/moved")
    refused(ResourceDoesNotExist, b.get_status, "/tmp/x/put")
    refused(Exception, w.api_client.do, "POST", "/api/2.0/dbfs/delete", body={"path": "/tmp/x", "recursive": False})
    is_([e.path for e in b.list("/")], ["/tmp"])
    b.move("/tmp/x", "/tmp/y")
    is_([e.path for e in b.list("/tmp", recursive=True)], ["/tmp/y/data", "/tmp/y/h", "/tmp/y/moved"])
    b.delete("/tmp", recursive=True)
    is_(list(b.list("/")), [])
    refused(ResourceDoesNotExist, b.get_status, "/tmp/x/moved")
print("ok", mode, count)
