package rows

// Distinct returns the first row of each set of rows that are alike in the named columns, or as a whole when there are
// none: then columns count by name whatever their order, and a null is like an absent field. It passes rows on as
// they come, holds a key of each different one, and fails with limit when they need more than limit bytes; 0 is no
// limit. Closing it closes src.
func Distinct(src Source, columns []string, limit int64) Source {
	k := &keyer{names: columns}
	if len(columns) == 0 {
		k.names = nil
	}
	m := &meter{op: "distinct", limit: limit}
	seen := map[string]struct{}{}
	return Map(src, func(b *Batch) (*Batch, error) {
		if err := k.use(b.Schema); err != nil {
			return nil, err
		}
		idx := make([]int32, 0, b.N)
		for i := range b.N {
			key, _ := k.key(b, i)
			if _, ok := seen[string(key)]; ok {
				continue
			}
			if err := m.add(int64(len(key)) + mapEntry); err != nil {
				return nil, err
			}
			seen[string(key)] = struct{}{}
			idx = append(idx, int32(i))
		}
		return Gather(b, idx), nil
	})
}

// mapEntry is about what one entry of a map with string keys costs besides the key's text, while the map grows.
const mapEntry = 64
