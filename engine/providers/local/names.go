package local

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
)

// passBytes bounds the memory of the names of one pass over a folder. The garbage collector doubles it, and a copy reads
// two folders at once.
const passBytes = 8 << 20

// names keeps the smallest of the names that are added to it, as many as fit into limit bytes.
type names struct {
	limit int
	text  []byte // all names, one after another
	refs  []ref
	next  int    // refs before it are popped
	bound []byte // names from here on were dropped; nil: none
}

// ref is a name in the text.
type ref struct {
	off uint32
	len uint16
	dir bool
}

const refSize = 8

func (l *names) at(r ref) []byte { return l.text[r.off : r.off+uint32(r.len)] }

func (l *names) reset() {
	l.text, l.refs, l.next, l.bound = l.text[:0], l.refs[:0], 0, nil
}

// add adds a name, with "/" for a folder, unless it is less than from or among those that do not fit.
func (l *names) add(name []byte, dir bool, from string) {
	off := len(l.text)
	if off+len(name)+1 > cap(l.text) { // in large steps: what is outgrown is garbage for a while
		l.text = slices.Grow(l.text, max(4<<10, min(3*off, l.limit*3/4-off), len(name)+1))
	}
	l.text = append(l.text, name...)
	if dir {
		l.text = append(l.text, '/')
	}
	whole := l.text[off:]
	if string(whole) < from || l.bound != nil && bytes.Compare(whole, l.bound) >= 0 {
		l.text = l.text[:off]
		return
	}
	if len(l.refs) == cap(l.refs) {
		l.refs = slices.Grow(l.refs, max(256, min(3*len(l.refs), l.limit/2/refSize-len(l.refs))))
	}
	l.refs = append(l.refs, ref{uint32(off), uint16(len(whole)), dir})
	if len(l.text)+refSize*len(l.refs) > l.limit && len(l.refs) > 1 {
		l.halve()
	}
}

// halve drops the greater half and moves the names that stay together, in the order in which they lie.
func (l *names) halve() {
	keep := l.refs[:len(l.refs)/2]
	l.part(len(keep))
	l.bound = bytes.Clone(l.at(l.refs[len(keep)]))
	slices.SortFunc(keep, func(a, b ref) int { return cmp.Compare(a.off, b.off) })
	end := 0
	for i, r := range keep {
		keep[i].off = uint32(end)
		end += copy(l.text[end:], l.at(r))
	}
	l.refs, l.text = keep, l.text[:end]
}

// part puts the k smallest names first and the next one behind them, in no other order (Hoare's selection, with pivots
// at random so that no folder can make it slow).
func (l *names) part(k int) {
	for a := l.refs; len(a) > 1; {
		pivot := l.at(a[rand.IntN(len(a))])
		i, j := 0, len(a)-1
		for i <= j {
			for bytes.Compare(l.at(a[i]), pivot) < 0 {
				i++
			}
			for bytes.Compare(l.at(a[j]), pivot) > 0 {
				j--
			}
			if i <= j {
				a[i], a[j] = a[j], a[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			a = a[:j+1]
		case k >= i:
			a, k = a[i:], k-i
		default: // what lies between is the pivot
			return
		}
	}
}

func (l *names) sort() {
	slices.SortFunc(l.refs, func(a, b ref) int { return bytes.Compare(l.at(a), l.at(b)) })
}

// finish ends a pass and reports whether names were dropped. A name that was renamed while the folder was read may have
// been added twice.
func (l *names) finish() (dropped bool) {
	l.sort()
	l.refs = slices.CompactFunc(l.refs, func(a, b ref) bool { return bytes.Equal(l.at(a), l.at(b)) })
	return l.bound != nil
}

func (l *names) len() int { return len(l.refs) - l.next }

// pop returns the smallest name left, which is valid until the next reset.
func (l *names) pop() (name []byte, dir bool) {
	r := l.refs[l.next]
	l.next++
	return l.at(r), r.dir
}

// last returns the greatest name.
func (l *names) last() string { return string(l.at(l.refs[len(l.refs)-1])) }
