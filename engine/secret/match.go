package secret

import (
	"sort"
	"unsafe"
)

// matcher finds any of a fixed set of needles, each at least minLen bytes. It is immutable.
//
// A position is looked at closer only when a hash of its first four bytes is in a bit set, so that text without secrets
// costs about a nanosecond a byte however many needles there are.
type matcher struct {
	n      int
	bits   [1 << 11]uint32         // 65,536 bits, indexed by hash4
	byHead map[uint32][]string     // needles by their first four bytes, the longest first
	heads  [minLen]map[string]bool // heads[k]: the first k bytes of every needle, for k = 1, 2, 3
	first  [256]bool
}

func newMatcher(forms map[string]bool) *matcher {
	m := &matcher{n: len(forms), byHead: make(map[uint32][]string)}
	for k := 1; k < minLen; k++ {
		m.heads[k] = map[string]bool{}
	}
	for f := range forms {
		h := head4(f)
		m.byHead[h] = append(m.byHead[h], f)
		b := hash4(h)
		m.bits[b>>5] |= 1 << (b & 31)
		for k := 1; k < minLen; k++ {
			m.heads[k][f[:k]] = true
		}
		m.first[f[0]] = true
	}
	for _, list := range m.byHead {
		sort.Slice(list, func(i, j int) bool { return len(list[i]) > len(list[j]) })
	}
	return m
}

func head4(s string) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// hash4 spreads four bytes over 16 bits (Fibonacci hashing: the top bits of a product with 2^32 divided by the golden ratio).
func hash4(h uint32) uint32 { return h * 2654435769 >> 16 }

func (m *matcher) maybe(h uint32) bool {
	b := hash4(h)
	return m.bits[b>>5]>>(b&31)&1 != 0
}

// any reports whether s holds a needle.
func (m *matcher) any(s string) bool {
	if m.n == 0 {
		return false
	}
	for i := 0; i+minLen <= len(s); i++ {
		if h := head4(s[i:]); m.maybe(h) && m.longest(h, s[i:]) > 0 {
			return true
		}
	}
	return false
}

// longest returns the length of the longest needle that s starts with, or 0.
func (m *matcher) longest(h uint32, s string) int {
	for _, n := range m.byHead[h] {
		if len(n) <= len(s) && s[:len(n)] == n {
			return len(n)
		}
	}
	return 0
}

// starts reports whether s is the beginning of a longer needle.
func (m *matcher) starts(s string) bool {
	if len(s) < minLen {
		return m.first[s[0]] && m.heads[len(s)][s]
	}
	h := head4(s)
	if !m.maybe(h) {
		return false
	}
	for _, n := range m.byHead[h] {
		if len(n) <= len(s) {
			return false
		}
		if n[:len(s)] == s {
			return true
		}
	}
	return false
}

// mask appends s to out with every needle replaced by Mask. The first covered bytes of s belong to a mask that was
// written before; a needle that begins in them makes that mask longer. Unless final, what could be the beginning of a
// needle is left: mask returns how many bytes of s are done, and how many of those after that are covered by a mask
// that was written.
func (m *matcher) mask(out []byte, s string, covered int, final bool) (_ []byte, done, stillCovered int) {
	if m.n == 0 {
		return append(out, s[covered:]...), len(s), 0
	}
	end := covered // all before it is written or masked
	hold := -1
	for i := 0; i < len(s); i++ {
		if hold >= 0 && i >= end {
			break // from here on nothing can be written yet
		}
		rest := s[i:]
		if len(rest) >= minLen {
			h := head4(rest)
			if !m.maybe(h) {
				continue
			}
			if n := m.longest(h, rest); n > 0 {
				if i >= end {
					out = append(out, s[end:i]...)
					out = append(out, Mask...)
				}
				end = max(end, i+n)
			}
		}
		if !final && hold < 0 && m.starts(rest) {
			hold = i
		}
	}
	switch {
	case hold < 0:
		return append(out, s[end:]...), len(s), 0
	case hold >= end:
		return append(out, s[end:hold]...), hold, 0
	}
	return out, hold, end - hold
}

// text views b as a string for the time of a call.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
