package store

import (
	"context"
	"slices"
	"strings"
)

// byName returns the name at which a page that starts behind from will probably end, where a survey tells: names such as
// dates lie too unevenly to be counted. It asks for a survey where one would help.
func (w *window) byName(est *estimate, from string) string {
	v := &w.names
	if v.off || est.perName < namesWorth || !strings.HasPrefix(from, est.dir) {
		return ""
	}
	if v.dir != est.dir || v.from == "" || from < v.from || v.upto != "" && from >= v.upto {
		w.survey(est.dir, from)
		return ""
	}
	i, found := slices.BinarySearch(v.names, from)
	if found {
		i++
	}
	i += max(int(0.9*float64(est.keys)/est.perName), 1) - 1
	if i < len(v.names) {
		return v.names[i]
	}
	if v.upto > from {
		return v.upto
	}
	return ""
}

// survey asks for a page of the names in dir behind from. It only helps to choose cuts, so that its failure is none of
// the listing's.
func (w *window) survey(dir, from string) {
	v := &w.names
	if v.flying {
		return
	}
	v.flying = true
	w.flying++
	q := Query{Prefix: dir, Delimiter: "/", After: from, Before: w.l.q.Before}
	w.wg.Go(func() {
		var page Page
		err := w.l.s.do(w.ctx, w.l.call(), func(ctx context.Context) (err error) {
			page, err = w.l.s.d.List(ctx, q)
			return err
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flying--
		v.flying = false
		names := make([]string, 0, len(page.Entries)+len(page.Prefixes))
		for _, e := range page.Entries {
			names = append(names, e.Key)
		}
		names = append(names, page.Prefixes...)
		slices.Sort(names)
		if v.off = err != nil || len(names) == 0; !v.off {
			v.dir, v.from, v.names, v.upto = dir, from, names, ""
			if page.Next != "" {
				v.upto = names[len(names)-1]
			}
		}
		w.schedule()
		w.wake()
	})
}
