package oci

import (
	"crypto/md5"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/store"
)

// The checksums that are verified, by the names that store.Sum uses.
const (
	algoMD5    = "md5"
	algoCRC32C = "crc32c"
)

func newHash(algo string) hash.Hash {
	switch algo {
	case algoMD5:
		return md5.New()
	case algoCRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	}
	return nil
}

func base64Of(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// parseSum reads a checksum in base64, with "-N" behind it when it is of N parts' checksums.
func parseSum(algo, text string) (store.Sum, bool) {
	text, of, composite := strings.Cut(text, "-")
	b, err := base64.StdEncoding.DecodeString(text)
	if h := newHash(algo); err != nil || h == nil || len(b) != h.Size() {
		return store.Sum{}, false
	}
	s := store.Sum{Algo: algo, Value: b}
	if composite {
		if s.Parts, err = strconv.Atoi(of); err != nil || s.Parts < 1 {
			return store.Sum{}, false
		}
	}
	return s, true
}

// sumsOf returns the checksums that a reply declares, the cheapest first.
func sumsOf(h http.Header) (out []store.Sum) {
	for _, x := range [][2]string{{algoCRC32C, "Opc-Content-Crc32c"}, {algoMD5, "Content-Md5"}, {algoMD5, "Opc-Multipart-Md5"}} {
		if s, ok := parseSum(x[0], h.Get(x[1])); ok && h.Get(x[1]) != "" {
			out = append(out, s)
		}
	}
	return out
}

// wholeSum returns the cheapest checksum of the whole bytes.
func wholeSum(sums []store.Sum) (store.Sum, bool) {
	for _, s := range sums {
		if s.Parts == 0 {
			return s, true
		}
	}
	return store.Sum{}, false
}
