package s3

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
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

// combine returns the checksum of two pieces from the checksum of each and the length of the second, without their
// bytes. It advances a through n zero bytes by repeated squaring of the matrix of one zero bit, the method of zlib's
// crc32_combine; the polynomials are the reflected ones of CRC-64/NVME and CRC-32C. ok is false for a hash that has no
// such structure.
func combine(algo string, a, b []byte, n int64) (sum []byte, ok bool) {
	var poly uint64
	var bits int
	switch {
	case algo == algoCRC64 && len(a) == 8 && len(b) == 8:
		poly, bits = 0x9a6c9329ac4bc9b5, 64
	case algo == algoCRC32C && len(a) == 4 && len(b) == 4:
		poly, bits = crc32.Castagnoli, 32
	default:
		return nil, false
	}
	crc := number(a)
	odd := make([]uint64, bits) // the operator of one zero bit
	odd[0] = poly
	for i := 1; i < bits; i++ {
		odd[i] = 1 << (i - 1)
	}
	op := square(square(square(odd))) // of one zero byte
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			crc = times(op, crc)
		}
		op = square(op)
	}
	crc ^= number(b)
	if bits == 32 {
		return binary.BigEndian.AppendUint32(nil, uint32(crc)), true
	}
	return binary.BigEndian.AppendUint64(nil, crc), true
}

func number(b []byte) (x uint64) {
	for _, c := range b {
		x = x<<8 | uint64(c)
	}
	return x
}

// times multiplies a vector with a matrix over GF(2).
func times(m []uint64, v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 == 1 {
			sum ^= m[i]
		}
	}
	return sum
}

func square(m []uint64) []uint64 {
	out := make([]uint64, len(m))
	for i := range m {
		out[i] = times(m, m[i])
	}
	return out
}
