package rows

import "math/bits"

// Count is the number of bits set.
func (b Bits) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// All calls yield with each set bit, ascending, until it returns false.
func (b Bits) All(yield func(int) bool) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			if !yield(i<<6 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// clear drops bit n and all above it. It works in place.
func (b Bits) clear(n int) Bits {
	w := n >> 6
	if w >= len(b) {
		return b
	}
	if n&63 == 0 {
		return b[:w]
	}
	b = b[:w+1]
	b[w] &= 1<<(n&63) - 1
	return b
}

// slice returns bits i to j as bits 0 to j-i, nil when none is set.
func (b Bits) slice(i, j int) Bits {
	if b == nil {
		return nil
	}
	var out Bits
	words := (j - i + 63) >> 6
	for k := range words {
		at := i>>6 + k
		var w uint64
		if at < len(b) {
			w = b[at] >> (i & 63)
		}
		if s := i & 63; s != 0 && at+1 < len(b) {
			w |= b[at+1] << (64 - s)
		}
		if k == words-1 && (j-i)&63 != 0 {
			w &= 1<<((j-i)&63) - 1
		}
		if w != 0 && out == nil {
			out = make(Bits, words)
		}
		if w != 0 {
			out[k] = w
		}
	}
	return out
}
