package rows

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// AppendKey appends bytes that are the same for two values exactly when Equal holds, and that no other value's bytes
// begin with, so that keys of several columns can stand behind one another. They are for maps and hashes, not for
// files: their form may change.
func AppendKey(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, 0)
	case bool:
		if v {
			return append(dst, 2)
		}
		return append(dst, 1)
	case int64:
		return binary.BigEndian.AppendUint64(append(dst, 'i'), uint64(v))
	case float64:
		return appendFloatKey(dst, v)
	case *big.Int:
		if v.IsInt64() {
			return AppendKey(dst, v.Int64())
		}
		return appendTextKey(dst, 'n', v.Bytes(), byte(v.Sign()))
	case string:
		dst = binary.AppendUvarint(append(dst, 's'), uint64(len(v)))
		return append(dst, v...)
	case []byte:
		dst = binary.AppendUvarint(append(dst, 'b'), uint64(len(v)))
		return append(dst, v...)
	case time.Time:
		dst = binary.BigEndian.AppendUint64(append(dst, 't'), uint64(v.Unix()))
		return binary.BigEndian.AppendUint32(dst, uint32(v.Nanosecond()))
	case []any:
		dst = binary.AppendUvarint(append(dst, 'l'), uint64(len(v)))
		for _, e := range v {
			dst = AppendKey(dst, e)
		}
	case *Object:
		dst = binary.AppendUvarint(append(dst, 'o'), uint64(len(v.Keys)))
		for i, k := range v.Keys {
			dst = AppendKey(AppendKey(dst, k), v.Vals[i])
		}
	default:
		dst = append(dst, '?')
	}
	return dst
}

// appendFloatKey gives whole floats the key of the integer that they equal.
func appendFloatKey(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, 'N')
	case f == math.Trunc(f) && f >= -1<<63 && f < 1<<63:
		return AppendKey(dst, int64(f))
	case f == math.Trunc(f) && !math.IsInf(f, 0):
		b, _ := big.NewFloat(f).Int(nil)
		return appendTextKey(dst, 'n', b.Bytes(), byte(b.Sign()))
	}
	return binary.BigEndian.AppendUint64(append(dst, 'f'), math.Float64bits(f))
}

func appendTextKey(dst []byte, tag byte, text []byte, sign byte) []byte {
	dst = binary.AppendUvarint(append(dst, tag, sign), uint64(len(text)))
	return append(dst, text...)
}

// appendCellKey is AppendKey of cell i.
func appendCellKey(dst []byte, c *Column, i int) []byte {
	if c.Type == String && !c.IsNull(i) {
		s := c.Str(i)
		dst = binary.AppendUvarint(append(dst, 's'), uint64(len(s)))
		return append(dst, s...)
	}
	return AppendKey(dst, c.Value(i))
}

// Hash returns a 64 bit hash (xxHash) of a value. Equal values have equal hashes, in every process.
func Hash(v any) uint64 { return xxhash.Sum64(AppendKey(nil, v)) }

// HashRow returns a hash of the given columns of row i.
func HashRow(b *Batch, i int, cols []int) uint64 {
	var key []byte
	for _, c := range cols {
		key = appendCellKey(key, &b.Cols[c], i)
	}
	return xxhash.Sum64(key)
}

// keyer makes keys of the named columns of batch after batch; a column that an open schema lacks counts as null.
type keyer struct {
	names  []string // nil: the row as a whole, by name, without regard to the order of columns
	schema *Schema
	cols   []int
	tags   [][]byte // keys of names, for whole rows
	buf    []byte
}

func (k *keyer) use(s *Schema) error {
	if k.schema == s {
		return nil
	}
	k.schema, k.cols, k.tags = s, k.cols[:0], k.tags[:0]
	if k.names == nil {
		for i := range s.Names {
			k.cols = append(k.cols, i)
		}
		slices.SortFunc(k.cols, func(a, b int) int { return Compare(s.Names[a], s.Names[b]) })
		for _, c := range k.cols {
			k.tags = append(k.tags, AppendKey(nil, s.Names[c]))
		}
		return nil
	}
	for _, n := range k.names {
		c := s.Index(n)
		if c < 0 && !s.Open {
			return UnknownColumn(n, s)
		}
		k.cols = append(k.cols, c)
	}
	return nil
}

// key returns the key of row i, valid until the next call, and whether one of its cells is null.
func (k *keyer) key(b *Batch, i int) (key []byte, null bool) {
	k.buf = k.buf[:0]
	for n, c := range k.cols {
		if c < 0 || b.Cols[c].IsNull(i) {
			null = true
			if k.names != nil {
				k.buf = append(k.buf, 0)
			}
			continue
		}
		if k.names == nil {
			k.buf = append(k.buf, k.tags[n]...)
		}
		k.buf = appendCellKey(k.buf, &b.Cols[c], i)
	}
	return k.buf, null
}
