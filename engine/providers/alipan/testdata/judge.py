"""AliPCS-Py reads what lies in /ours and writes the same files to /theirs, by its own command of uploads.

Arguments: endpoint, refresh token, password, folder with the plain files TYPE-SIZE. Prints "ok" and the number of files.
"""
import os
import sys

from alipcs_py.alipcs import AliPCSApi, pcs
from alipcs_py.commands.upload import EncryptType, upload

endpoint, token, password, folder = sys.argv[1:5]
pcs.ALIYUNDRIVE_COM_API = endpoint
api = AliPCSApi(refresh_token=token)
names = sorted(os.listdir(folder))
for name in names:
    with open(os.path.join(folder, name), "rb") as f:
        want = f.read()
    file = api.meta_by_path("/ours/" + name)
    kind = EncryptType(name.split("-")[0])
    word = b"" if kind == EncryptType.No else password.encode()
    stream = api.file_stream(file.file_id, encrypt_password=word)
    got = b"".join(stream.read_iter())
    if got[: len(want)] != want or len(got) - len(want) not in range(16):
        raise SystemExit("%s: %d bytes, want %d" % (name, len(got), len(want)))
    upload(api, [(os.path.join(folder, name), "/theirs/" + name)], encrypt_password=word, encrypt_type=kind, max_workers=1, slice_size=1 << 20)
print("ok", len(names))
