package config

import (
	"fmt"
	"slices"
	"strings"
)

// merge replaces attributes of blocks by those of override files, the last file winning. An override changes only what
// is there: a block or local that no other file declares is a mistake, most often in its name.
func (l *loader) merge(base, over []*block) {
	for _, o := range over {
		if o.typ == "locals" {
			l.mergeLocals(base, o)
			continue
		}
		found := false
		for _, b := range base {
			if b.typ == o.typ && slices.Equal(b.labels, o.labels) {
				found = true
				override(b, o)
				break
			}
		}
		if !found && !l.broken {
			var same []string
			for _, b := range base {
				if b.typ == o.typ {
					same = append(same, strings.Join(b.labels, " "))
				}
			}
			l.add(errorAt(o.header, "Nothing to override", fmt.Sprintf("No other file declares %s.%s", o, didYouMean(strings.Join(o.labels, " "), same))))
		}
	}
}

func (l *loader) mergeLocals(base []*block, o *block) {
	for _, a := range o.sorted() {
		found := false
		var names []string
		for _, b := range base {
			if b.typ != "locals" {
				continue
			}
			names = append(names, sortedKeys(b.attrs)...)
			if _, ok := b.attrs[a.name]; ok {
				b.attrs[a.name] = a
				found = true
			}
		}
		if !found && !l.broken {
			l.add(errorAt(a.nameRange, "Nothing to override", fmt.Sprintf("No other file defines the local %q.%s", a.name, didYouMean(a.name, names))))
		}
	}
}

// override merges one block into another. Of nested blocks, those of the same type and labels are replaced whole; the
// validations of a variable are replaced together.
func override(b, o *block) {
	for name, a := range o.attrs {
		b.attrs[name] = a
	}
	for _, n := range o.blocks {
		b.blocks = slices.DeleteFunc(b.blocks, func(x *block) bool {
			return x.typ == n.typ && slices.Equal(x.labels, n.labels) && !slices.Contains(o.blocks, x)
		})
	}
	b.blocks = append(b.blocks, o.blocks...)
}
