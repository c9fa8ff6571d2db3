"""Makes openssl.json: what OpenSSL and AliPCS-Py 0.8.1 give, to be compared with.

The streams come from the program openssl: later versions of package cryptography (50.0 does) refuse a counter that runs
over, and AliPCS-Py with them; earlier ones leave it to OpenSSL, so that files with such counters exist.

Run with a Python that has alipcs-py: python make.py > openssl.json
"""
import json
import struct
import subprocess

from alipcs_py.common import io as aio
from alipcs_py.common.crypto import ChaCha20Cryptography, SimpleCryptography, AES256CBCCryptography, aes256cbc_encrypt, padding_key, pkcs7_padding, random_bytes

key = bytes(range(32))
streams = []
for counter in (0, 2**32 - 2, 2**33 - 1, 2**64 - 1):
    iv = struct.pack("<Q", counter) + b"12345678"
    streams.append({"key": key.hex(), "iv": iv.hex(), "stream": subprocess.run(["openssl", "enc", "-chacha20", "-K", key.hex(), "-iv", iv.hex()], input=bytes(256), capture_output=True, check=True).stdout.hex()})

old = []  # heads of version 1, which AliPCS-Py reads and does not write
password = b"old password"
pad = padding_key(password, 32)
plain = b"a file of the first version"
for code, name in ((b"\0", "Simple"), (b"\1", "ChaCha20"), (b"\2", "AES256CBC")):
    iv = bytes(range(100, 116))
    head = aes256cbc_encrypt(aio.BAIDUPCS_PY_CRYPTO_MAGIC_CODE, pad, random_bytes(16, pad)) + code + iv + struct.pack(">Q", len(plain))
    body = {"Simple": lambda: SimpleCryptography(pad).encrypt(plain), "ChaCha20": lambda: ChaCha20Cryptography(pad, iv).encrypt(plain),
            "AES256CBC": lambda: AES256CBCCryptography(pad, iv).encrypt(pkcs7_padding(plain, 16))}[name]()
    assert aio.to_decryptio(__import__("io").BytesIO(head + body), password).read() == plain
    old.append({"type": name, "password": password.decode(), "plaintext_hex": plain.hex(), "ciphertext_hex": (head + body).hex()})

print(json.dumps({"streams": streams, "old": old}, indent=1))
