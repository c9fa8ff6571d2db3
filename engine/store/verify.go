package store

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"hash"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

// newHash returns the hash of a Sum.Algo, or nil for one that is not known here.
func newHash(algo string) hash.Hash {
	switch algo {
	case "crc64nvme":
		return crc64nvme.New()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "sha256":
		return sha256.New()
	case "md5":
		return md5.New()
	}
	return nil
}

// sumOrder lists the algorithms from cheap to dear: any one of them shows altered bytes.
var sumOrder = []string{"crc64nvme", "crc32c", "sha256", "md5"}

// sumOf returns the cheapest sum of whole bytes that can be checked here. A sum of parts' sums cannot.
func sumOf(sums []Sum) (Sum, bool) {
	for _, algo := range sumOrder {
		for _, s := range sums {
			if s.Algo == algo && s.Parts == 0 && len(s.Value) > 0 {
				return s, true
			}
		}
	}
	return Sum{}, false
}

// equalSums compares two objects by the sums they share: known says whether they share one.
func equalSums(a, b []Sum) (equal, known bool) {
	for _, x := range a {
		for _, y := range b {
			if x.Algo == y.Algo && x.Parts == y.Parts && len(x.Value) > 0 && len(y.Value) > 0 {
				if !bytes.Equal(x.Value, y.Value) {
					return false, true
				}
				equal, known = true, true
			}
		}
	}
	return equal, known
}
