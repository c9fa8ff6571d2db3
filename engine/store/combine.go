package store

import (
	"encoding/binary"
	"hash/crc32"
)

// CombineSums returns the checksum of two pieces from the checksum of each and the length of the second, without their
// bytes. It advances a through n zero bytes by repeated squaring of the matrix of one zero bit, the method of zlib's
// crc32_combine; the polynomials are the reflected ones of CRC-64/NVME and CRC-32C. ok is false for a hash that has no
// such structure.
func CombineSums(algo string, a, b []byte, n int64) (sum []byte, ok bool) {
	var poly uint64
	var bits int
	switch {
	case algo == "crc64nvme" && len(a) == 8 && len(b) == 8:
		poly, bits = 0x9a6c9329ac4bc9b5, 64
	case algo == "crc32c" && len(a) == 4 && len(b) == 4:
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
