package gcs

import (
	"compress/gzip"
	"crypto/md5"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strings"

	"github.com/dsrun/dsrun/engine/store"
)

// The checksums that the service declares, by the names that store.Sum uses.
const (
	algoCRC32C = "crc32c"
	algoMD5    = "md5"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newHash(algo string) hash.Hash {
	switch algo {
	case algoCRC32C:
		return crc32.New(castagnoli)
	case algoMD5:
		return md5.New()
	}
	return nil
}

func crcOf(b []byte) []byte {
	h := crc32.New(castagnoli)
	h.Write(b)
	return h.Sum(nil)
}

func base64Of(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

func parseSum(algo, text string) (store.Sum, bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if h := newHash(algo); err != nil || h == nil || len(b) != h.Size() {
		return store.Sum{}, false
	}
	return store.Sum{Algo: algo, Value: b}, true
}

// sumsOf returns the checksums of X-Goog-Hash, "crc32c=...,md5=..." in one header or several, the cheapest first.
func sumsOf(h http.Header) (out []store.Sum) {
	for _, algo := range []string{algoCRC32C, algoMD5} {
		for _, line := range h["X-Goog-Hash"] {
			for _, part := range strings.Split(line, ",") {
				name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
				if s, ok := parseSum(algo, text); ok && name == algo {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

func sumOf(sums []store.Sum, algo string) (store.Sum, bool) {
	for _, s := range sums {
		if s.Algo == algo {
			return s, true
		}
	}
	return store.Sum{}, false
}

func gunzip(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
