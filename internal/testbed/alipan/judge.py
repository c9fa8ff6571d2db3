"""AliPCS-Py against the fake: what it takes and refuses must be what the service does. Writes by the open API, for which
AliPCS-Py has no call, are made with requests in the way of OpenDAL and AList.

Arguments: endpoint, refresh token of the web API, refresh token of the open API, client id, client secret. Prints "ok" and
the number of checks.
"""
import hashlib
import io
import sys
import time

import requests
from alipcs_py.alipcs import api as high
from alipcs_py.alipcs import pcs
from alipcs_py.alipcs.errors import AliPCSError
from alipcs_py.common.crypto import calc_proof_code, calc_sha1

endpoint, web_token, open_token, client_id, client_secret = sys.argv[1:6]
pcs.ALIYUNDRIVE_COM_API = pcs.ALIYUNDRIVE_OPENAPI_DOMAIN = endpoint
checks = 0


def same(got, want):
    global checks
    checks += 1
    if got != want:
        raise SystemExit("check %d: got %r, want %r" % (checks, got, want))


def refused(code, call, *args, **kwargs):
    global checks
    checks += 1
    try:
        call(*args, **kwargs)
    except AliPCSError as e:
        if e.error_code != code:
            raise SystemExit("check %d: got %s, want %s" % (checks, e.error_code, code))
        return
    raise SystemExit("check %d: not refused" % checks)


# The web API: tokens, the session of the device, folders.
api = high.AliPCSApi(refresh_token=web_token)
web = api._alipcs
same(api.meta_by_path("/").file_id, "root")
same(api.refresh_token == web_token, False)
same(len(web.signature), 130)
refused("InvalidParameter.RefreshToken", pcs.AliPCS(refresh_token=web_token).refresh)
folder = api.makedir("root", "judged \u00fc")
same((folder.is_dir, api.makedir("root", "judged \u00fc").file_id), (True, folder.file_id))
same(api.exists("none"), False)
refused("NotFound.File", web.meta, "none")
web._signature = "00" * 65  # AliPCS-Py makes a new session when its signature is refused
same([f.name for f in api.list_iter("root")], ["judged \u00fc"])
web._access_token = "another"  # and new tokens when its token is
web._expire_time = time.time() + 7200
same(api.is_dir(folder.file_id), True)

# Files: parts in order, none twice; rapid uploads with a proof.
data = bytes(range(256)) * 4096 + b"end"
cut = 512 << 10
prepared = api.create_file("a.bin", folder.file_id, len(data), part_number=3)
same((prepared.can_rapid_upload(), len(prepared.upload_urls()), [p.is_expired() for p in prepared.part_info_list]), (False, 3, [False] * 3))
urls = prepared.upload_urls()
same(requests.put(urls[1], data=b"x").text.count("PartNotSequential"), 1)
api.upload_slice(io.BytesIO(data[:cut]), urls[0])
same(requests.put(urls[0], data=data[:cut]).status_code, 409)
same(requests.put(urls[1], data=data[cut : 2 * cut], headers={"Content-Type": "text/plain"}).status_code, 403)
same(requests.put(urls[1].replace("signature=", "signature=0"), data=data[cut : 2 * cut]).text.count("SignatureDoesNotMatch"), 1)
same(api.exists(prepared.file_id) and [f.name for f in api.list_iter(folder.file_id)], [])
put = requests.put(api.get_upload_url(prepared.upload_id, prepared.file_id, 3).upload_urls()[1], data=data[cut : 2 * cut])
same(put.headers["ETag"].strip('"'), hashlib.md5(data[cut : 2 * cut]).hexdigest().upper())
refused("InvalidParameter.SizeNotMatch", web.upload_complete, prepared.file_id, prepared.upload_id)
api.upload_slice(io.BytesIO(data[2 * cut :]), urls[2])
done = api.upload_complete(prepared.file_id, prepared.upload_id)
same((done.size, done.rapid_upload_info.content_hash.lower()), (len(data), calc_sha1(data)))
refused("NotFound.UploadId", web.upload_complete, prepared.file_id, prepared.upload_id)
same(api.prepare_file("b.bin", folder.file_id, len(data), calc_sha1(data[:1024])).can_rapid_upload(), True)
proof = calc_proof_code(io.BytesIO(data), len(data), api.access_token)
rapid = api.rapid_upload_file("b.bin", folder.file_id, len(data), calc_sha1(data), proof)
same(api.meta_by_path("/judged \u00fc/b.bin").size, len(data))
refused("InvalidParameter.ProofCode", web.rapid_upload_file, "c.bin", folder.file_id, len(data), calc_sha1(data), "AAAAAAAAAAA=")

# Reading, with the referring page and without; addresses of both kinds.
same(api.file_stream(done.file_id).read(), data)
stream = api.file_stream(done.file_id)
stream.seek(1000)
same(stream.read(5000), data[1000:6000])
link = api.download_link(done.file_id)
address = link.download_url or link.url
same(link.expires(), False)
same(requests.get(address).status_code, 403)
page = {"Referer": "https://www.aliyundrive.com/"}
same(requests.get(address, headers=dict(page, Range="bytes=2000000-")).status_code, 416)
same(requests.get(address, headers=dict(page, Authorization="Bearer x")).status_code, 400)

# Names: the oldest of one name is found; moves, copies, the recycle bin.
sub = api.makedir(folder.file_id, "sub")
api.copy(done.file_id, sub.file_id)
same([(f.name, f.size) for f in api.list_iter(sub.file_id)], [("a.bin", len(data))])
refused("AlreadyExist.File", web.rename, done.file_id, "b.bin")
same(api.rename(done.file_id, "c.bin").name, "c.bin")
same(api.move(done.file_id, sub.file_id), [True])
same(sorted(f.name for f in api.list_iter(sub.file_id)), ["a.bin", "c.bin"])
same(api.remove(done.file_id), [True])
same((api.exists(done.file_id), api.exists_in_trash(done.file_id)), (False, True))
refused("NotFound.File", web.meta_by_path, "/judged \u00fc/sub/c.bin")
first = api.create_file("twice", sub.file_id, 1, check_name_mode="ignore")
second = api.create_file("twice", sub.file_id, 1, check_name_mode="ignore")
for p, b in ((first, b"1"), (second, b"2")):
    api.upload_slice(io.BytesIO(b), p.upload_urls()[0])
    api.upload_complete(p.file_id, p.upload_id)
same((api.meta_by_path("/judged \u00fc/sub/twice").file_id, [f.name for f in api.list_iter(sub.file_id)].count("twice")), (first.file_id, 2))

# More bytes than one request gives.
big = bytes(51 << 20)
p = api.create_file("big", folder.file_id, len(big))
same(requests.put(p.upload_urls()[0], data=big).status_code, 200)  # upload_slice gives up after 9 seconds
api.upload_complete(p.file_id, p.upload_id)
link = api.download_link(p.file_id)
r = requests.get(link.download_url or link.url, headers=page)
same((r.status_code, len(r.content), r.headers["Content-Range"]), (206, 50 << 20, "bytes 0-52428799/53477376"))
stream = api.file_stream(p.file_id)
stream.seek((50 << 20) - 10)
same(len(stream.read(20)), 20)

# The open API: AliPCS-Py reads.
opened = high.AliOpenPCSApi(refresh_token=open_token, client_id=client_id, client_secret=client_secret)
same(opened.path("/judged \u00fc/big").size, len(big))
same(sorted(f.name for f in opened.list_iter(folder.file_id)), ["b.bin", "big", "sub"])
b_id = opened.path("/judged \u00fc/b.bin").file_id
same(opened.file_stream(b_id).read(), data)
refused("RefreshTokenInvalid", pcs.AliOpenPCS(refresh_token=open_token, client_id=client_id, client_secret=client_secret)._update_refresh_token)
refused("InvalidClientIdOrSecret", pcs.AliOpenPCS(refresh_token=opened.refresh_token, client_id=client_id, client_secret="x")._update_refresh_token)


# ... and requests writes.
def call(path, want=200, token=None, **body):
    body.setdefault("drive_id", opened.default_drive_id)
    r = requests.post(endpoint + "/adrive/v1.0/openFile/" + path, json=body, headers={"Authorization": "Bearer " + (token or opened.access_token)})
    if r.status_code != want:
        raise SystemExit("%s: %s %s" % (path, r.status_code, r.text))
    return r.json()


same(call("get_by_path", 401, "none", file_path="/")["code"], "AccessTokenInvalid")
same(call("get_by_path", 401, api.access_token, file_path="/")["code"], "AccessTokenInvalid")  # a token of the web API
d = call("create", 201, parent_file_id="root", name="opened", type="folder", check_name_mode="refuse")["file_id"]
same(call("create", 201, parent_file_id="root", name="opened", type="folder", check_name_mode="refuse")["exist"], True)
f = call("create", 201, parent_file_id=d, name="f", type="file", check_name_mode="refuse")
for n in range(5):
    u = call("getUploadUrl", file_id=f["file_id"], upload_id=f["upload_id"], part_info_list=[{"part_number": n + 1}])
    same(requests.put(u["part_info_list"][0]["upload_url"], data=bytes([n]) * (100 << 10)).status_code, 200)
parts, marker = [], ""
while True:
    page = call("listUploadedParts", file_id=f["file_id"], upload_id=f["upload_id"], part_number_marker=marker)
    parts += [(p["part_number"], p["part_size"]) for p in page["uploaded_parts"]]
    marker = page["next_part_number_marker"]
    if not marker:
        break
same(parts, [(n + 1, 100 << 10) for n in range(5)])
same(call("complete", file_id=f["file_id"], upload_id=f["upload_id"])["size"], 500 << 10)
same(call("create", 201, parent_file_id=d, name="f", type="file", check_name_mode="refuse")["exist"], True)
same(call("get_by_path", file_path="/opened/f")["file_id"], f["file_id"])
u = call("getDownloadUrl", file_id=f["file_id"], expire_sec=60)["url"]
same(requests.get(u, headers={"Range": "bytes=102399-102400"}).content, b"\x00\x01")  # no referring page is wanted here
same(call("copy", 201, file_id=f["file_id"], to_parent_file_id="root", auto_rename=True)["file_id"] == f["file_id"], False)
same(call("update", file_id=f["file_id"], name="g", check_name_mode="refuse")["name"], "g")
call("move", file_id=f["file_id"], to_parent_file_id="root", check_name_mode="refuse")
same(call("update", 409, file_id=f["file_id"], name="f", check_name_mode="refuse")["code"], "AlreadyExist.File")
call("recyclebin/trash", file_id=f["file_id"])
same(call("get_by_path", 404, file_path="/g")["code"], "NotFound.File")
call("delete", file_id=f["file_id"])
same(call("get", 404, file_id=f["file_id"])["code"], "NotFound.File")
same(call("list", 400, parent_file_id="root", limit=201)["code"], "InvalidParameter.Limit")
print("ok", checks)
