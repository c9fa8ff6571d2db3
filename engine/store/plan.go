package store

import (
	"github.com/dsrun/dsrun/engine/fault"
)

const (
	maxPart  = 5 << 30 // bounds parts where a store does not say
	maxParts = 10_000  // bounds their number where a store does not say
)

// tuning are the sizes, in bytes, that decide how an object goes up.
type tuning struct {
	// head is the size up to which a source that can be read once is held in memory whole where there are no parts, so
	// that its upload can be tried again. Where there are parts, it is the first part.
	head int64
	// unknown is the size of the first parts where the whole size is unknown. It doubles after each tenth of the parts
	// that an upload may have: with the 10,000 of S3 every 1000 parts, which reaches 7.8 TiB.
	unknown int64
	// known is the least size of a part that is streamed from a source of known size.
	known int64
	// from is the size above which an object goes up in parts.
	from int64
}

var defaultTuning = tuning{head: 1 << 20, unknown: 8 << 20, known: 16 << 20, from: 16 << 20}

// partPlan says how an object is cut into parts. It is a pure function of its inputs.
type partPlan struct {
	total int64 // bytes; -1 unknown
	part  int64 // size of every part but the last; where total is unknown, of the first ones
	max   int64
	count int
	step  int // parts after which the size doubles where total is unknown
}

// planParts cuts total bytes (-1: unknown) into parts of at least want bytes within the limits of a store.
func planParts(l PartLimits, total, want int64) (partPlan, error) {
	align := max(l.Align, 1)
	p := partPlan{total: total, max: l.Max, count: l.Count}
	if p.max <= 0 {
		p.max = maxPart
	}
	if p.count <= 0 {
		p.count = maxParts
	}
	p.max -= p.max % align
	if p.max < max(l.Min, 1) {
		return p, fault.New(fault.Internal, "the store's part limits allow no part: at least %d and at most %d bytes, aligned to %d", l.Min, l.Max, align)
	}
	up := func(n, to int64) int64 { return (n + to - 1) / to * to }
	p.part = max(want, l.Min)
	if total > 0 {
		if need := (total + int64(p.count) - 1) / int64(p.count); need > p.part {
			p.part = up(need, 1<<20)
		}
	}
	p.part = min(up(p.part, align), p.max)
	p.step = max(p.count/10, 1)
	if total >= 0 && p.parts() > p.count {
		return p, fault.New(fault.InvalidArgument, "the source is %d bytes, the store takes at most %d parts of %d bytes", total, p.count, p.max)
	}
	return p, nil
}

// parts returns the number of parts of a known total; an empty object is one part.
func (p partPlan) parts() int {
	return int(max((p.total+p.part-1)/p.part, 1))
}

// sizeOf returns the most bytes of part n, from 1.
func (p partPlan) sizeOf(n int) int64 {
	if p.total >= 0 {
		return p.part
	}
	size := p.part
	for range (n - 1) / p.step {
		if size >= p.max/2 {
			return p.max
		}
		size *= 2
	}
	return size
}
