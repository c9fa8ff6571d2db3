package starlib

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	"github.com/dsrun/dsrun/engine/store"
	"go.starlark.net/starlark"
)

// maxOpenParts is how many objects write_parts has open at once: each is an upload with buffers of its own.
const maxOpenParts = 64

// partWriter spreads rows over objects.
type partWriter struct {
	run     *Run
	d       *datastore
	pattern string
	format  string
	opts    store.WriteOptions
	column  string  // the key, or
	fn      *fnCall // what makes it; neither: one series of parts
	max     int64   // rows of a part; 0 means no bound

	open   []*part // least recently used first
	byKey  map[string]*part
	closed map[string]int // by key, how many parts are complete
	done   []*object
	to     batcher
	hs     headers
}

// part is an object under way.
type part struct {
	*rowWriter
	key string
	n   int64 // rows
}

// name fills the placeholders in.
func (w *partWriter) name(key string, n int) string {
	s := strings.ReplaceAll(w.pattern, "{n}", fmt.Sprintf("%05d", n))
	return strings.ReplaceAll(s, "{key}", key) // last: a key may hold {n}
}

// keyText is a key as a segment of a path. Different texts stay different, and no key can leave its place: slashes,
// control characters and names of dots are escaped as in URLs.
func keyText(v starlark.Value) string {
	var s string
	switch v := v.(type) {
	case starlark.NoneType:
		return "__none__"
	case starlark.String:
		s = string(v)
	default:
		s = v.String()
	}
	switch s {
	case "":
		return "__empty__"
	case "__none__", "__empty__":
		return "%5F" + s[1:]
	case ".", "..":
		return strings.ReplaceAll(s, ".", "%2E")
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c == 0x7f || strings.IndexByte(`/\%{}`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// write spreads a chunk.
func (w *partWriter) write(k chunk) error {
	b, err := w.to.of(k)
	if err != nil {
		return err
	}
	if w.column == "" && w.fn == nil {
		return w.append("", b)
	}
	keys, err := w.keys(b)
	if err != nil {
		return err
	}
	groups := map[string][]int32{}
	var order []string
	for i, k := range keys {
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], int32(i))
	}
	for _, k := range order {
		sub := b
		if len(order) > 1 {
			sub = rows.Gather(b, groups[k])
		}
		if err := w.append(k, sub); err != nil {
			return err
		}
	}
	return nil
}

// keys returns the key of each row.
func (w *partWriter) keys(b *rows.Batch) ([]string, error) {
	out := make([]string, b.N)
	if w.fn != nil {
		rs := rowsOf(w.hs.of(b.Schema), b)
		for i := range rs {
			v, err := w.fn.call(&rs[i])
			if err != nil {
				return nil, err
			}
			out[i] = keyText(v)
		}
		return out, nil
	}
	if err := haveColumns("write_parts", b.Schema, []string{w.column}); err != nil {
		return nil, err
	}
	i := b.Schema.Index(w.column)
	for r := range out {
		if i < 0 {
			out[r] = keyText(starlark.None)
		} else {
			out[r] = keyText(cell(&b.Cols[i], r))
		}
	}
	return out, nil
}

// append adds rows to the part of a key.
func (w *partWriter) append(key string, b *rows.Batch) error {
	for b.N > 0 {
		p, err := w.part(key)
		if err != nil {
			return err
		}
		sub := b
		if w.max > 0 && p.n+int64(b.N) > w.max {
			sub = rows.Slice(b, 0, int(w.max-p.n))
		}
		if err := p.write(chunk{batch: sub}); err != nil {
			return err
		}
		p.n += int64(sub.N)
		if p.n == w.max {
			if err := w.finish(p); err != nil {
				return err
			}
		}
		b = rows.Slice(b, sub.N, b.N)
	}
	return nil
}

// part returns the open part of a key, opening one when there is none.
func (w *partWriter) part(key string) (*part, error) {
	if p := w.byKey[key]; p != nil {
		if n := len(w.open) - 1; w.open[n] != p {
			i := slices.Index(w.open, p)
			copy(w.open[i:], w.open[i+1:])
			w.open[n] = p
		}
		return p, nil
	}
	n := w.closed[key]
	if n > 0 && !strings.Contains(w.pattern, "{n}") {
		return nil, w.d.fail("write", w.name(key, n), fault.Limit,
			"Sort the rows by the key first, or put {n} into the pattern, so that a key may have several objects.",
			"the key comes again after its object was completed, because only %d objects are open at once", maxOpenParts)
	}
	if len(w.open) >= maxOpenParts {
		if err := w.finish(w.open[0]); err != nil {
			return nil, err
		}
	}
	rw, err := newRowWriter(w.run, w.d, "write_parts", w.name(key, n), w.format, w.opts)
	if err != nil {
		return nil, err
	}
	p := &part{rowWriter: rw, key: key}
	w.open = append(w.open, p)
	w.byKey[key] = p
	return p, nil
}

// finish completes a part.
func (w *partWriter) finish(p *part) error {
	w.open = slices.DeleteFunc(w.open, func(o *part) bool { return o == p })
	delete(w.byKey, p.key)
	if err := w.run.Charge(int64(len(p.key)) + 400); err != nil {
		p.abort()
		return err
	}
	o, err := p.commit()
	if err != nil {
		return err
	}
	w.closed[p.key]++
	w.done = append(w.done, o)
	return nil
}

// abort drops the parts that are not complete.
func (w *partWriter) abort() {
	for _, p := range w.open {
		p.abort()
	}
	w.open = nil
}

var storeWriteParts = Declare(Func{
	Name: "store.write_parts", Returns: "list[object]",
	Doc: "Writes rows as several objects: one for each key with by=, at most so many rows each with max_rows=, or both. In the pattern {key} stands for the key, " +
		"as a segment of a path with / and the like escaped, and {n} for the number of the part, from 00000. " +
		"Each object becomes visible when it is complete and never before; when the rows fail, those that were complete stay. " +
		"At most 64 objects are open at once: with more keys, sort by the key first or use {n}.",
	Example: `[o.path for o in ds.lake.write_parts("by/{key}.csv", [{"k": "a", "n": 1}, {"k": "b", "n": 2}], by = "k")]  # -> ["by/a.csv", "by/b.csv"]`,
}, func(p *Params) Impl {
	pattern := p.String("pattern", "Where to write, such as \"out/{key}/part-{n}.csv\".")
	from := p.Iterable("rows", "A stream, or a list of dicts, structs or rows.")
	by := p.Value("by", "A column, or a function of a row.", "string", "function").Optional()
	maxRows := p.Int("max_rows", "The most rows of an object.").Optional()
	f := p.String("format", formatDoc).Default("auto")
	o := declareWrite(p)
	return func(c *Call) (_ starlark.Value, err error) {
		if err := checkFormat(c, f.Get(c)); err != nil {
			return nil, err
		}
		w := &partWriter{run: c.Run, d: thisStore(c), pattern: pattern.Get(c), format: f.Get(c), max: maxRows.Get(c),
			byKey: map[string]*part{}, closed: map[string]int{}, to: batcher{op: "write_parts"}}
		if w.opts, err = o.options(c); err != nil {
			return nil, err
		}
		x := newExec(c.Run, c.Thread)
		switch v := by.Get(c).(type) {
		case nil:
			if !maxRows.Set(c) {
				return nil, c.Errorf("missing argument: give by=, max_rows= or both")
			}
		case starlark.String:
			w.column = string(v)
		case starlark.Callable:
			w.fn = x.fn(refTo(v))
		default:
			return nil, c.Bad("by", v, "string or function")
		}
		switch {
		case maxRows.Set(c) && w.max < 1:
			return nil, c.Errorf("for parameter max_rows: got %d, want 1 or more", w.max)
		case maxRows.Set(c) && !strings.Contains(w.pattern, "{n}"):
			return nil, c.Errorf("for parameter pattern: max_rows needs {n} in it, such as \"out/part-{n}.csv\"")
		case by.Set(c) && !strings.Contains(w.pattern, "{key}"):
			return nil, c.Errorf("for parameter pattern: by needs {key} in it, such as \"out/{key}.csv\"")
		}
		if err := x.drain(streamOf(c, from.Get(c)).plan, w.write); err != nil {
			w.abort()
			return nil, err
		}
		for len(w.open) > 0 {
			if err := w.finish(w.open[0]); err != nil {
				w.abort()
				return nil, err
			}
		}
		slices.SortFunc(w.done, func(a, b *object) int { return strings.Compare(a.e.Key, b.e.Key) })
		out := make([]starlark.Value, len(w.done))
		for i, o := range w.done {
			out[i] = o
		}
		return starlark.NewList(out), nil
	}
})
