"""Oracle's own client against the fake: what it takes and refuses must be what the service does.

Arguments: endpoint, key file, tenancy, user, fingerprint. Prints "ok" and the number of checks.
"""
import base64
import datetime
import hashlib
import io
import os
import sys
import tempfile

import oci
from oci._vendor import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from oci.object_storage import ObjectStorageClient, UploadManager, models

endpoint, key_file, tenancy, user, fingerprint = sys.argv[1:6]
config = {"tenancy": tenancy, "user": user, "fingerprint": fingerprint, "key_file": key_file, "region": "us-ashburn-1"}
client = ObjectStorageClient(config, service_endpoint=endpoint, retry_strategy=oci.retry.NoneRetryStrategy())
checks = 0


def same(got, want):
    global checks
    checks += 1
    if got != want:
        raise SystemExit("check %d: got %r, want %r" % (checks, got, want))


def refused(status, code, call, *args, **kwargs):
    global checks
    checks += 1
    try:
        call(*args, **kwargs)
    except oci.exceptions.ServiceError as e:
        if (e.status, e.code) != (status, code) or not e.request_id:
            raise SystemExit("check %d: got %s %s, want %s %s" % (checks, e.status, e.code, status, code))
        return
    raise SystemExit("check %d: not refused" % checks)


ns = client.get_namespace().data
same(ns, "examplens")
same(client.create_bucket(ns, models.CreateBucketDetails(name="judged", compartment_id=tenancy)).data.name, "judged")
refused(409, "BucketAlreadyExists", client.create_bucket, ns, models.CreateBucketDetails(name="judged", compartment_id=tenancy))
refused(404, "BucketNotFound", client.list_objects, ns, "none")
refused(404, "NamespaceNotFound", client.list_objects, "elsewhere", "judged")
refused(404, "ObjectNotFound", client.get_object, ns, "judged", "none")

data = b"0123456789" * 100
md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
odd = "dir//./a b+\u00fc%41?#.txt"
put = client.put_object(ns, "judged", odd, data, content_md5=md5, content_type="text/x-judged", opc_meta={"origin": "judge"}, cache_control="max-age=1")
same(put.headers["opc-content-md5"], md5)
refused(400, "UnmatchedContentMD5", client.put_object, ns, "judged", "bad", data, content_md5=base64.b64encode(b"0" * 16).decode())
got = client.get_object(ns, "judged", odd)
same(got.data.content, data)
same(got.headers["content-md5"], md5)
same(got.headers["opc-meta-origin"], "judge")
same((got.headers["content-type"], got.headers["cache-control"]), ("text/x-judged", "max-age=1"))
part = client.get_object(ns, "judged", odd, range="bytes=5-9")
same((part.status, part.data.content, part.headers["content-range"]), (206, b"56789", "bytes 5-9/1000"))
same(client.get_object(ns, "judged", odd, range="bytes=-3").data.content, b"789")
etag = got.headers["etag"]
same(client.head_object(ns, "judged", odd, if_match=etag).headers["etag"], etag)
refused(412, "IfMatchFailed", client.get_object, ns, "judged", odd, if_match="other")
refused(412, "IfNoneMatchFailed", client.put_object, ns, "judged", odd, b"x", if_none_match="*")
refused(412, "IfMatchFailed", client.put_object, ns, "judged", odd, b"x", if_match="other")
refused(412, "IfMatchFailed", client.delete_object, ns, "judged", odd, if_match="other")

for i in range(7):
    client.put_object(ns, "judged", "many/%d/x" % i, b"x")
names, start = [], None
while True:
    page = client.list_objects(ns, "judged", prefix="many/", limit=3, start=start, fields="name,size,etag,md5,timeCreated,timeModified").data
    names += [o.name for o in page.objects]
    same(all(o.size == 1 and o.etag and o.md5 and o.time_created for o in page.objects), True)
    start = page.next_start_with
    if start is None:
        break
same(names, ["many/%d/x" % i for i in range(7)])
same(client.list_objects(ns, "judged", prefix="many/", delimiter="/").data.prefixes, ["many/%d/" % i for i in range(7)])
same([o.name for o in oci.pagination.list_call_get_all_results(client.list_objects, ns, "judged").data.objects], sorted(names + [odd]))
same([o.name for o in client.list_objects(ns, "judged", start_after="many/4/x", end="many/6/x").data.objects], ["many/5/x"])

with tempfile.NamedTemporaryFile(delete=False) as f:
    big = os.urandom(25 << 20)
    f.write(big)
manager = UploadManager(client, allow_multipart_uploads=True)
up = manager.upload_file(ns, "judged", "big", f.name, part_size=10 << 20, metadata={"origin": "judge"})
os.unlink(f.name)
digests = b"".join(hashlib.md5(big[i:i + (10 << 20)]).digest() for i in range(0, len(big), 10 << 20))
want = base64.b64encode(hashlib.md5(digests).digest()).decode() + "-3"
same(up.headers["opc-multipart-md5"], want)
head = client.head_object(ns, "judged", "big").headers
same((head["content-length"], head["opc-multipart-md5"], head["opc-meta-origin"]), (str(len(big)), want, "judge"))
same(hashlib.md5(client.get_object(ns, "judged", "big").data.content).digest(), hashlib.md5(big).digest())

u = client.create_multipart_upload(ns, "judged", models.CreateMultipartUploadDetails(object="left")).data
p = client.upload_part(ns, "judged", "left", u.upload_id, 1, io.BytesIO(b"part"))
same([(x.part_number, x.size, x.etag) for x in client.list_multipart_upload_parts(ns, "judged", "left", u.upload_id).data], [(1, 4, p.headers["etag"])])
same([x.object for x in client.list_multipart_uploads(ns, "judged").data], ["left"])
refused(400, "InvalidUploadPart", client.commit_multipart_upload, ns, "judged", "left", u.upload_id,
        models.CommitMultipartUploadDetails(parts_to_commit=[models.CommitMultipartUploadPartDetails(part_num=1, etag="other")]))
client.abort_multipart_upload(ns, "judged", "left", u.upload_id)
refused(404, "NoSuchUpload", client.list_multipart_upload_parts, ns, "judged", "left", u.upload_id)

end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
par = client.create_preauthenticated_request(ns, "judged", models.CreatePreauthenticatedRequestDetails(name="p", object_name=odd, access_type="ObjectRead", time_expires=end)).data
same(requests.get(endpoint + par.access_uri).content, data)
same(requests.put(endpoint + par.access_uri, data=b"x").status_code, 404)
same(requests.get(endpoint + "/n/examplens/b/judged/o/big").status_code, 401)

client.delete_object(ns, "judged", odd)
refused(404, "ObjectNotFound", client.delete_object, ns, "judged", odd)

# The identity of an instance, by way of the metadata service and the federation endpoint.
os.environ["OCI_METADATA_BASE_URL"] = endpoint + "/opc/v2"
from oci.auth.signers import InstancePrincipalsSecurityTokenSigner
signer = InstancePrincipalsSecurityTokenSigner(federation_endpoint=endpoint + "/v1/x509")
mine = ObjectStorageClient({}, signer=signer, service_endpoint=endpoint, retry_strategy=oci.retry.NoneRetryStrategy())
same(mine.get_namespace().data, "examplens")

# Somebody who is not known.
other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()).decode()
bad = oci.Signer(tenancy, user, fingerprint, None, private_key_content=other)
refused(401, "NotAuthenticated", ObjectStorageClient(config, signer=bad, service_endpoint=endpoint, retry_strategy=oci.retry.NoneRetryStrategy()).get_namespace)
print("ok", checks)
