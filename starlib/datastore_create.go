package starlib

import (
	"fmt"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"go.starlark.net/starlark"
)

// creation is what the function of create() gets: an object under way.
type creation struct {
	d      *datastore
	key    string
	run    *Run
	format string
	opts   store.WriteOptions

	rows    *rowWriter    // after the first row
	raw     *store.Writer // after the first write
	untrack func()
	vals    []starlark.Value // rows that wait for company
	done    bool
}

func (w *creation) Attr(name string) (starlark.Value, error) {
	if name == "path" {
		return starlark.String(w.key), nil
	}
	return writerMethods.Bind(w, name), nil
}

func (*creation) AttrNames() []string { return writerMethods.Names() }
func (w *creation) String() string {
	return fmt.Sprintf("<writer of %s:%s>", w.d.Name(), repr(starlark.String(w.key), 300))
}
func (*creation) Type() string            { return "writer" }
func (*creation) Freeze()                 {}
func (*creation) Truth() starlark.Bool    { return true }
func (w *creation) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: writer") }

// row appends a row.
func (w *creation) row(v starlark.Value) error {
	if w.raw != nil {
		return fault.New(fault.InvalidArgument, "row after write: an object is made of rows or of text, not of both")
	}
	if w.rows == nil {
		var err error
		if w.rows, err = newRowWriter(w.run, w.d, "create", w.key, w.format, w.opts); err != nil {
			return err
		}
	}
	w.vals = append(w.vals, v)
	if len(w.vals) < chunkSize {
		return nil
	}
	return w.flush()
}

// flush hands the rows that wait to the format.
func (w *creation) flush() error {
	if len(w.vals) == 0 {
		return nil
	}
	k := chunk{vals: w.vals}
	w.vals = nil
	return w.rows.write(k)
}

// write appends text or bytes as they are.
func (w *creation) write(s string) error {
	if w.rows != nil {
		return fault.New(fault.InvalidArgument, "write after row: an object is made of rows or of text, not of both")
	}
	if w.raw == nil {
		var err error
		if w.raw, err = w.d.Create(w.run.Ctx, w.key, w.opts); err != nil {
			return err
		}
		w.untrack = w.run.Track(w.raw)
	}
	_, err := w.raw.Write([]byte(s))
	return err
}

// commit completes the object; one that got nothing is empty.
func (w *creation) commit() (starlark.Value, error) {
	if w.rows != nil {
		if err := w.flush(); err != nil {
			w.abort()
			return nil, err
		}
		w.done = true
		return w.rows.commit()
	}
	if err := w.write(""); err != nil {
		w.abort()
		return nil, err
	}
	w.done = true
	w.untrack()
	e, err := w.raw.Commit()
	if err != nil {
		return nil, err
	}
	return newObject(w.d, e), nil
}

// abort drops what was written.
func (w *creation) abort() {
	w.done = true
	switch {
	case w.rows != nil:
		w.rows.abort()
	case w.raw != nil:
		w.untrack()
		w.raw.Abort() // the failure that led here is the one to report
	}
}

// thisWriter is the receiver of a writer's method; one that is used after its object was completed is an error.
func thisWriter(c *Call) (*creation, error) {
	w := c.Recv.(*creation)
	if w.done {
		return nil, c.Errorf("the object is complete: a writer works only inside of the function given to create")
	}
	return w, nil
}

var writerRow = Declare(Func{
	Name: "writer.row", Returns: "None",
	Doc:     "Appends a row. The format is that of the path's suffix, or the one given to create.",
	Example: `ds.lake.create("w.csv", lambda w: w.row({"a": 1})).size  # -> 4`,
}, func(p *Params) Impl {
	v := p.Value("row", "A dict, struct or row.", "dict", "struct", "row")
	return func(c *Call) (starlark.Value, error) {
		w, err := thisWriter(c)
		if err != nil {
			return nil, err
		}
		// The columns are taken now: the script may change its dict afterwards.
		var hs headers
		r, ok, err := hs.row(v.Get(c))
		if err != nil {
			return nil, err
		}
		if !ok {
			if _, text := v.Get(c).(starlark.String); !text || w.format != "lines" {
				return nil, c.Bad("row", v.Get(c), "dict, struct or row")
			}
			return nil, w.row(v.Get(c))
		}
		return nil, w.row(r)
	}
})

var writerWrite = Declare(Func{
	Name: "writer.write", Returns: "None",
	Doc:     "Appends text or bytes as they are.",
	Example: `ds.lake.create("w.txt", lambda w: w.write("hello")).size  # -> 5`,
}, func(p *Params) Impl {
	data := p.Bytes("data", "What to append.")
	return func(c *Call) (starlark.Value, error) {
		w, err := thisWriter(c)
		if err != nil {
			return nil, err
		}
		return nil, w.write(data.Get(c))
	}
})

var writerMethods = NewMethods("writer", "An object under way, as the function given to create gets it. It becomes visible when that function returns and never before.",
	[]AttrDoc{{"path", "string", "The path of the object."}}, writerRow, writerWrite)

var storeCreate = Declare(Func{
	Name: "store.create", Returns: "object",
	Doc: "Makes an object of what a function writes: fn(w) calls w.row(dict) or w.write(text). It becomes visible when the function returns; " +
		"when the function fails, nothing is written and what was there stays.",
	Example: `
def fill(w):
    w.write("one\n")
    w.write("two\n")

ds.lake.create("made.txt", fill).size  # -> 8`,
}, func(p *Params) Impl {
	path := p.String("path", "Where to write.")
	fn := p.Callable("fn", "Called with the writer; its result is ignored.")
	f := p.String("format", "Of the rows. "+formatDoc).Default("auto")
	o := declareWrite(p)
	return func(c *Call) (_ starlark.Value, err error) {
		if err := checkFormat(c, f.Get(c)); err != nil {
			return nil, err
		}
		w := &creation{d: thisStore(c), key: path.Get(c), run: c.Run, format: f.Get(c)}
		if w.opts, err = o.options(c); err != nil {
			return nil, err
		}
		defer func() {
			if !w.done {
				w.abort()
			}
		}()
		if _, err := c.Run.Call(c.Thread, fn.Get(c), starlark.Tuple{w}, nil); err != nil {
			return nil, err
		}
		return w.commit()
	}
})
