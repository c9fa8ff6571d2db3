package s3

import (
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/crc64nvme"

	"github.com/dsrun/dsrun/engine/store"
)

// The checksums that are sent and verified, by the names that store.Sum uses.
const (
	algoCRC64  = "crc64nvme"
	algoCRC32C = "crc32c"
	algoSHA256 = "sha256"
)

// algos lists them in the order in which a reply's checksum is looked for: the cheapest first.
var algos = []string{algoCRC64, algoCRC32C, algoSHA256}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newHash(algo string) hash.Hash {
	switch algo {
	case algoCRC64:
		return crc64nvme.New()
	case algoCRC32C:
		return crc32.New(castagnoli)
	case algoSHA256:
		return sha256.New()
	}
	return nil
}

func sumHeader(algo string) string { return "X-Amz-Checksum-" + algo }

func base64Of(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// parseSum reads a checksum as S3 writes it: base64, with "-N" behind it when it is of N parts' checksums.
func parseSum(algo, text string) (store.Sum, bool) {
	text, of, composite := strings.Cut(text, "-")
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
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

// sumsOf returns the checksums that a reply declares.
func sumsOf(h http.Header) (out []store.Sum) {
	composite := strings.EqualFold(h.Get("X-Amz-Checksum-Type"), "COMPOSITE")
	for _, algo := range algos {
		v := h.Get(sumHeader(algo))
		if v == "" {
			continue
		}
		if s, ok := parseSum(algo, v); ok && (s.Parts > 0 || !composite) {
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
