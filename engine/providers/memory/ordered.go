package memory

import "sort"

// leafSize is the most keys of one leaf. A leaf is searched by halves and shifted on insertion, so that it should fit
// into a few cache lines of pointers.
const leafSize = 512

// ordered is a map from keys to objects in ascending byte order of keys: a sorted list of sorted leaves. Finding a key
// costs O(log n), the next one O(1), inserting O(log n + leafSize + n/leafSize pointer moves every leafSize/2 keys).
// It is not safe for concurrent use. The zero value is empty.
type ordered struct {
	leaves [][]*object // none is empty
	n      int
}

// position is a place between two keys; it is valid until the next change.
type position struct{ leaf, i int }

// seek returns the position of the first key >= key.
func (o *ordered) seek(key string) position {
	// The leaf that may hold key is the last one whose first key is <= key.
	l := sort.Search(len(o.leaves), func(i int) bool { return o.leaves[i][0].key > key }) - 1
	if l < 0 {
		return position{}
	}
	leaf := o.leaves[l]
	i := sort.Search(len(leaf), func(i int) bool { return leaf[i].key >= key })
	if i == len(leaf) {
		return position{l + 1, 0}
	}
	return position{l, i}
}

// at returns the object at p, or nil past the end.
func (o *ordered) at(p position) *object {
	if p.leaf >= len(o.leaves) {
		return nil
	}
	return o.leaves[p.leaf][p.i]
}

// after returns the position that follows p.
func (o *ordered) after(p position) position {
	if p.i+1 < len(o.leaves[p.leaf]) {
		return position{p.leaf, p.i + 1}
	}
	return position{p.leaf + 1, 0}
}

// get returns the object of a key, or nil.
func (o *ordered) get(key string) *object {
	if x := o.at(o.seek(key)); x != nil && x.key == key {
		return x
	}
	return nil
}

// put inserts an object, or replaces the one of the same key and returns it.
func (o *ordered) put(x *object) (old *object) {
	p := o.seek(x.key)
	if old = o.at(p); old != nil && old.key == x.key {
		o.leaves[p.leaf][p.i] = x
		return old
	}
	o.n++
	switch {
	case len(o.leaves) == 0:
		o.leaves = append(o.leaves, append(make([]*object, 0, leafSize), x))
		return nil
	case p.i == 0 && p.leaf > 0: // past the last key of the leaf before: append there
		p.leaf--
		p.i = len(o.leaves[p.leaf])
	}
	leaf := append(o.leaves[p.leaf], nil)
	copy(leaf[p.i+1:], leaf[p.i:])
	leaf[p.i] = x
	o.leaves[p.leaf] = leaf
	if len(leaf) < leafSize {
		return nil
	}
	// Ascending insertion is the common case: then the full leaf stays full and only its end moves on.
	cut := leafSize / 2
	if p.leaf == len(o.leaves)-1 && p.i == leafSize-1 {
		cut = leafSize - 1
	}
	right := append(make([]*object, 0, leafSize), leaf[cut:]...)
	clear(leaf[cut:])
	o.leaves[p.leaf] = leaf[:cut:cut]
	o.leaves = append(o.leaves, nil)
	copy(o.leaves[p.leaf+2:], o.leaves[p.leaf+1:])
	o.leaves[p.leaf+1] = right
	return nil
}

// delete removes a key and returns its object, or nil.
func (o *ordered) delete(key string) *object {
	p := o.seek(key)
	x := o.at(p)
	if x == nil || x.key != key {
		return nil
	}
	o.n--
	leaf := o.leaves[p.leaf]
	copy(leaf[p.i:], leaf[p.i+1:])
	leaf[len(leaf)-1] = nil
	if leaf = leaf[:len(leaf)-1]; len(leaf) > 0 {
		o.leaves[p.leaf] = leaf
		return x
	}
	o.leaves = append(o.leaves[:p.leaf], o.leaves[p.leaf+1:]...)
	return x
}
