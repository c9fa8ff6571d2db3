package starlib

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"

	"github.com/cespare/xxhash/v2"
	"go.starlark.net/starlark"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var hashModule = NewModule("hash", "Checksums of strings and bytes, in lower-case hexadecimal.", nil,
	declareHash("md5", "The MD5 of data: for comparing with what others computed, not against forgery.", "900150983cd24fb0d6963f7d28e17f72", md5.New),
	declareHash("sha1", "The SHA-1 of data: for comparing with what others computed, not against forgery.", "a9993e364706816aba3e25717850c26c9cd0d89d", sha1.New),
	declareHash("sha256", "The SHA-256 of data.", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", sha256.New),
	declareHash("sha512", "The SHA-512 of data.", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f", sha512.New),
	declareHash("crc32", "The CRC-32 (IEEE, as in gzip and zip) of data.", "352441c2", func() hash.Hash { return crc32.NewIEEE() }),
	declareHash("crc32c", "The CRC-32C (Castagnoli, as object stores use it) of data.", "364b3fb7", func() hash.Hash { return crc32.New(castagnoli) }),
	declareHash("xxh64", "The XXH64 of data: fast, for sharding and deduplication.", "44bc2cf5ad770999", func() hash.Hash { return xxhash.New() }),
)

func declareHash(word, doc, ofABC string, newHash func() hash.Hash) *Function {
	return Declare(Func{Name: "hash." + word, Doc: doc, Returns: "string", Example: `hash.` + word + `("abc")  # -> "` + ofABC + `"`},
		func(p *Params) Impl {
			data := p.Bytes("data", "What to hash.")
			return func(c *Call) (starlark.Value, error) {
				h := newHash()
				_, _ = io.WriteString(h, data.Get(c)) // hashes do not fail
				return starlark.String(hex.EncodeToString(h.Sum(nil))), nil
			}
		})
}
