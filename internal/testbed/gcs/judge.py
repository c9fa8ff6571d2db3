"""Google's own client against the front: what it takes and refuses must be what the service does.

Arguments: endpoint, token, bucket, e-mail address and key file (PEM) of a service account. Prints "ok" and the number of
checks.
"""
import base64
import datetime
import os
import sys
import tempfile

import google_crc32c
import requests
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2 import credentials, service_account

endpoint, token, name, email, key_file = sys.argv[1:6]
checks = 0


def client(tok):
    return storage.Client(project="judged", credentials=credentials.Credentials(token=tok), client_options={"api_endpoint": endpoint})


def same(got, want):
    global checks
    checks += 1
    if got != want:
        raise SystemExit("check %d: got %r, want %r" % (checks, got, want))


def refused(kind, call, *args, **kwargs):
    global checks
    checks += 1
    try:
        call(*args, **kwargs)
    except kind:
        return
    raise SystemExit("check %d: not refused" % checks)


c = client(token)
b = c.bucket(name)
same(b.exists(), False)
refused(exceptions.NotFound, lambda: list(b.list_blobs(retry=None)))
c.create_bucket(name)
same(b.exists(), True)
refused(exceptions.Conflict, c.create_bucket, name)

# Objects, with their conditions.
odd = "dir//a b+\u00fc%41?#.txt"
x = b.blob(odd)
x.metadata, x.cache_control = {"origin": "judge"}, "max-age=1"
x.upload_from_string(b"0123456789", content_type="text/x-judged", if_generation_match=0, checksum="crc32c")
refused(exceptions.PreconditionFailed, b.blob(odd).upload_from_string, b"other", if_generation_match=0, retry=None)
got = b.get_blob(odd)
same((got.size, got.content_type, got.metadata, got.cache_control), (10, "text/x-judged", {"origin": "judge"}, "max-age=1"))
same(got.crc32c, base64.b64encode(google_crc32c.Checksum(b"0123456789").digest()).decode())
same(got.download_as_bytes(), b"0123456789")
same(got.download_as_bytes(start=2, end=4), b"234")
same(got.download_as_bytes(if_generation_match=got.generation), b"0123456789")
for wrong in (got.generation + 1, 1):
    refused(exceptions.PreconditionFailed, got.download_as_bytes, if_generation_match=wrong, retry=None)
    refused(exceptions.PreconditionFailed, got.reload, if_generation_match=wrong, retry=None)
    refused(exceptions.PreconditionFailed, b.delete_blob, odd, if_generation_match=wrong, retry=None)
same(b.get_blob(odd).generation, got.generation)
auth = {"Authorization": "Bearer " + token}
frame = b'--x\r\nContent-Type: application/json\r\n\r\n{"name": "bad", "crc32c": "AAAAAA=="}\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--'
same(requests.post(endpoint + "/upload/storage/v1/b/" + name + "/o?uploadType=multipart", data=frame, headers=dict(auth, **{"Content-Type": "multipart/related; boundary=x"})).status_code, 400)
same(b.get_blob("bad"), None)

# Copies and renames.
y = b.blob("copied")
same(y.rewrite(got, if_generation_match=0)[1], 10)
refused(exceptions.PreconditionFailed, y.rewrite, got, if_generation_match=0, retry=None)
refused(exceptions.PreconditionFailed, y.rewrite, got, if_source_generation_match=1, retry=None)
there = b.get_blob("copied")
refused(exceptions.PreconditionFailed, b.move_blob, there, odd, if_generation_match=0, retry=None)
refused(exceptions.PreconditionFailed, b.move_blob, there, "renamed", if_source_generation_match=1, retry=None)
same(b.move_blob(there, "renamed", if_generation_match=0).name, "renamed")
same((b.get_blob("copied"), b.get_blob("renamed").size), (None, 10))
refused(exceptions.NotFound, b.move_blob, b.blob("copied"), "again", retry=None)

# Listings: prefixes count and come once, pages go on where the last ended.
for n in ("a", "d/1", "d/2", "e", "f/1", "g"):
    b.blob("list/" + n).upload_from_string(n)
pages, seen = [], set()
it = b.list_blobs(prefix="list/", delimiter="/", page_size=2)
for page in it.pages:
    names = [o.name for o in page]
    pages.append(len(names) + len(page.prefixes))
    seen.update(names)
    seen.update(page.prefixes)
same((pages, sorted(seen)), ([2, 2, 1], ["list/a", "list/d/", "list/e", "list/f/", "list/g"]))
same([o.name for o in b.list_blobs(prefix="list/", start_offset="list/d/2", end_offset="list/g")], ["list/d/2", "list/e", "list/f/1"])

# Uploads in parts: the client checks the MD5 of each part by its reply.
data = os.urandom(11 << 20)
with tempfile.NamedTemporaryFile() as f:
    f.write(data)
    f.flush()
    z = b.blob("in parts")
    z.metadata = {"run": "7"}
    transfer_manager.upload_chunks_concurrently(f.name, z, content_type="text/x-parts", chunk_size=5 << 20, worker_type=transfer_manager.THREAD, max_workers=2, checksum="crc32c")
    refused(Exception, transfer_manager.upload_chunks_concurrently, f.name, b.blob("too small"), chunk_size=1 << 20, worker_type=transfer_manager.THREAD, max_workers=2)
got = b.get_blob("in parts")
same((got.size, got.content_type, got.metadata), (len(data), "text/x-parts", {"run": "7"}))
same(got.download_as_bytes(checksum="crc32c"), data)
same(b.get_blob("too small"), None)
url = endpoint + "/" + name + "/conditional?uploads"
same(requests.post(url, headers=dict(auth, **{"x-goog-if-generation-match": "0"})).status_code, 400)
same("NotImplemented" in requests.post(url, headers=dict(auth, **{"x-goog-if-generation-match": "0"})).text, True)

# Signed URLs, by the client's own signature.
signer = service_account.Credentials.from_service_account_info({"type": "service_account", "client_email": email, "token_uri": "https://oauth2.googleapis.com/token",
                                                                "private_key": open(key_file).read(), "private_key_id": "kid", "project_id": "judged"})
for key in ("renamed", odd):
    at = dict(version="v4", expiration=datetime.timedelta(minutes=1), credentials=signer, api_access_endpoint=endpoint)
    good = b.blob(key).generate_signed_url(method="GET", **at)
    same(requests.get(good).content, b"0123456789")
    same(requests.get(good[:-4] + "0000").status_code, 403)
    same(requests.delete(good).status_code, 403)
    put = b.blob(key).generate_signed_url(method="PUT", **at)
    same(requests.put(put, data=b"9876543210").status_code, 200)
    same(b.blob(key).download_as_bytes(), b"9876543210")
    b.blob(key).upload_from_string(b"0123456789")

# Who may not.
refused(auth_exceptions.RefreshError, client("another").bucket(name).blob(odd).reload, retry=None)
same(requests.get(endpoint + "/storage/v1/b/" + name + "/o").status_code, 401)
b.delete_blob(odd)
same(b.get_blob(odd), None)
refused(exceptions.NotFound, b.delete_blob, odd)
print("ok", checks)
