package store

import (
	"cmp"
	"maps"
	"slices"
)

// Planned is what a dry run made of one key in the end, whatever was done to it on the way.
type Planned struct {
	Key   string // with the store's prefix, as the driver sees it
	Base  *Entry // what the driver below holds; nil: nothing
	Gone  bool   // it is deleted
	Entry Entry  // the new object, with its attributes
	Data  []byte // its content, unless From is set; it must not be changed
	From  *CopySource
	Seq   int64 // order of the last change, over all overlays of the process
}

// CopySource is an object that another one is a copy of, in the state that was copied.
type CopySource struct {
	Driver Driver // as given to CopyFrom
	Key    string
	Entry  Entry
}

// Final returns the keys that differ from what the driver below holds, in the order of their last changes.
func (o *OverlayDriver) Final() []Planned {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Planned
	for _, key := range slices.Sorted(maps.Keys(o.nodes)) {
		n := o.nodes[key]
		if n.gone && n.base == nil {
			continue // made and deleted
		}
		p := Planned{Key: key, Base: n.base, Gone: n.gone, Entry: n.entry, Data: n.data, Seq: n.seq}
		if n.from != nil {
			p.From = &CopySource{n.from.d, n.from.key, n.from.entry}
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Planned) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}
