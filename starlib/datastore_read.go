package starlib

import (
	"errors"
	"io"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format"
	"github.com/dsrun/dsrun/engine/rows"
	"github.com/dsrun/dsrun/engine/store"
	"go.starlark.net/starlark"
)

// maxWhole is how many bytes read_text and its like take by default.
const maxWhole = 64 << 20

const maxWholeDoc = "The most bytes that are accepted; a larger object is an error of code limit."

// readParams are the parameters of read for stores and objects.
type readParams struct {
	format  *Arg[string]
	types   *Arg[starlark.IterableMapping]
	columns *Arg[[]string]
	header  *Arg[bool]
	onBad   *Arg[starlark.Value]
}

func declareRead(p *Params) readParams {
	return readParams{
		format:  p.String("format", "One of csv, tsv, jsonl and lines; auto goes by the suffix and the first bytes. Compressed objects are unpacked.").Default("auto"),
		types:   p.Dict("types", "Columns to types: any, bool, int, float, string, bytes or time. Cells of CSV are strings unless a type is given.").Optional(),
		columns: p.Strings("columns", "Only these columns, in this order.").Optional(),
		header:  p.Bool("header", "The first record names the columns; else they are c0, c1, ...").Default(true),
		onBad: p.Value("on_bad", "A record that does not fit: \"fail\" ends with an error of code bad_row, \"skip\" leaves it out and logs how many, "+
			"a function is called with a struct (store, path, line, record, column, text, reason) and the record is left out.", "string", "function").Default(starlark.String("fail")),
	}
}

// spec returns the arguments of a call as data.
func (r *readParams) spec(c *Call) (*ReadSpec, error) {
	s := &ReadSpec{Format: r.format.Get(c), Columns: r.columns.Get(c), Header: r.header.Get(c)}
	if s.Format != "auto" {
		if _, err := format.Lookup(s.Format); err != nil {
			return nil, c.Errorf("for parameter format: %w%s", plainError(err), didYouMean(s.Format, append(format.Names(), "auto"), `"`))
		}
	}
	if m := r.types.Get(c); m != nil {
		s.Types = map[string]string{}
		for _, kv := range m.Items() {
			k, ok := starlark.AsString(kv[0])
			v, ok2 := starlark.AsString(kv[1])
			if !ok || !ok2 {
				return nil, c.Errorf("for parameter types: got %s: %s, want the name of a column and of a type", kv[0].Type(), kv[1].Type())
			}
			if err := checkTypes(c, [][2]string{{k, v}}); err != nil {
				return nil, err
			}
			s.Types[k] = v
		}
	}
	switch v := r.onBad.Get(c).(type) {
	case starlark.Callable:
		s.OnBad, s.OnBadFn = "call", refTo(v)
	case starlark.String:
		s.OnBad = string(v)
		if s.OnBad != "fail" && s.OnBad != "skip" {
			return nil, c.Errorf("for parameter on_bad: got %s, want \"fail\", \"skip\" or a function", repr(v, 80))
		}
	default:
		return nil, c.Bad("on_bad", v, "\"fail\", \"skip\" or a function")
	}
	return s, nil
}

var storeRead = Declare(Func{
	Name: "store.read", Returns: "stream[row]",
	Doc: "The rows of one object, or of all that match a pattern, one after another in the order of their paths. Nothing is read before a loop " +
		"or another consumer asks for rows. When nothing matches, that is an error of code not_found.",
	Example: `[r.name for r in ds.lake.read("raw/*.csv", types = {"n": "int"}) if r.n > 1]  # -> ["b", "c"]`,
}, func(p *Params) Impl {
	path := p.String("path", "A path, or a glob such as \"raw/**/*.csv\".")
	r := declareRead(p)
	return func(c *Call) (starlark.Value, error) {
		spec, err := r.spec(c)
		if err != nil {
			return nil, err
		}
		d := thisStore(c)
		return newStream(c.Run, &Plan{Source: PlanSource{Op: "read", Store: d.Name(), Pattern: path.Get(c), Exact: !isGlob(path.Get(c)), Read: spec, store: d}}), nil
	}
})

var objectRead = Declare(Func{
	Name: "object.read", Returns: "stream[row]",
	Doc:     "The rows of the object. It is an error of code failed_precondition when the object has changed since it was listed, where the store can tell.",
	Example: `ds.lake.stat("raw/a.csv").read().count()  # -> 2`,
}, func(p *Params) Impl {
	r := declareRead(p)
	return func(c *Call) (starlark.Value, error) {
		spec, err := r.spec(c)
		if err != nil {
			return nil, err
		}
		o := thisObject(c)
		return newStream(c.Run, &Plan{Source: PlanSource{Op: "read", Store: o.ds.Name(), Pattern: o.e.Key, Exact: true, Pin: &o.e, Read: spec, store: o.ds}}), nil
	}
})

// lines returns the stream of the lines of a source.
func lines(c *Call, src PlanSource) starlark.Value {
	src.Op, src.Read = "lines", &ReadSpec{Format: "lines", OnBad: "fail"}
	src.Store = src.store.Name()
	return newStream(c.Run, &Plan{Source: src})
}

var storeReadLines = Declare(Func{
	Name: "store.read_lines", Returns: "stream[string]",
	Doc:     "The lines of one object, or of all that match a pattern, without their line ends. Compressed objects are unpacked.",
	Example: `ds.lake.read_lines("notes.txt").collect()  # -> ["one", "two"]`,
}, func(p *Params) Impl {
	path := p.String("path", "A path or a glob.")
	return func(c *Call) (starlark.Value, error) {
		return lines(c, PlanSource{Pattern: path.Get(c), Exact: !isGlob(path.Get(c)), store: thisStore(c)}), nil
	}
})

var objectReadLines = Declare(Func{
	Name: "object.read_lines", Returns: "stream[string]",
	Doc:     "The lines of the object without their line ends. Compressed objects are unpacked.",
	Example: `ds.lake.stat("notes.txt").read_lines().first()  # -> "one"`,
}, func(*Params) Impl {
	return func(c *Call) (starlark.Value, error) {
		o := thisObject(c)
		return lines(c, PlanSource{Pattern: o.e.Key, Exact: true, Pin: &o.e, store: o.ds}), nil
	}
})

// readWhole reads an object of at most max bytes.
func readWhole(r *Run, d *datastore, key string, pin store.Cond, max int64) ([]byte, error) {
	body, err := d.Open(r.Ctx, key, store.ReadOptions{IfMatch: pin.IfMatch, Version: pin.Version})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	tooLarge := func(what string) error {
		return d.fail("read", key, fault.Limit, "Read it as a stream with read() or read_lines(), or raise max=.", "the object has %s, %s are accepted", what, formatBytes(max))
	}
	size := body.Entry().Size
	if size > max {
		return nil, tooLarge(formatBytes(size))
	}
	var buf []byte
	if size >= 0 {
		if err := r.Charge(2 * size); err != nil { // the bytes and the script's copy
			return nil, err
		}
		buf = make([]byte, 0, size+1) // a byte more, so that the end is seen without growing
	} else {
		buf = make([]byte, 0, 64<<10)
	}
	for {
		if len(buf) == cap(buf) {
			if err := r.Charge(int64(cap(buf))); err != nil {
				return nil, err
			}
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > max {
			return nil, tooLarge("more than " + formatBytes(max))
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// asText refuses bytes that are no text.
func asText(d *datastore, key string, b []byte) (starlark.Value, error) {
	if !utf8.Valid(b) {
		at := 0
		for rest := b; ; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError && n <= 1 {
				break
			}
			rest, at = rest[n:], at+n
		}
		return nil, d.fail("read", key, fault.InvalidArgument, "Use read_bytes() for data that is not text.", "the object is not UTF-8 at byte %d", at)
	}
	return starlark.String(b), nil
}

// asJSON decodes an object.
func asJSON(r *Run, d *datastore, key string, b []byte) (starlark.Value, error) {
	v, err := decodeJSON(r, rows.Text(b))
	var bad *jsonError
	if errors.As(err, &bad) {
		return nil, d.fail("read", key, fault.InvalidArgument, "", "not JSON: %w", err)
	}
	return v, err
}

// whole declares a method that reads all of an object, for stores and for objects.
func whole(word, returns, doc string, example [2]string, as func(*Run, *datastore, string, []byte) (starlark.Value, error)) (ofStore, ofObject *Function) {
	ofStore = Declare(Func{Name: "store." + word, Returns: returns, Doc: doc, Example: example[0]}, func(p *Params) Impl {
		path := p.String("path", "The object's path.")
		max := p.Size("max", maxWholeDoc).Default(maxWhole)
		return func(c *Call) (starlark.Value, error) {
			d := thisStore(c)
			b, err := readWhole(c.Run, d, path.Get(c), store.Cond{}, max.Get(c))
			if err != nil {
				return nil, err
			}
			return as(c.Run, d, path.Get(c), b)
		}
	})
	ofObject = Declare(Func{Name: "object." + word, Returns: returns, Doc: doc, Example: example[1]}, func(p *Params) Impl {
		max := p.Size("max", maxWholeDoc).Default(maxWhole)
		return func(c *Call) (starlark.Value, error) {
			o := thisObject(c)
			b, err := readWhole(c.Run, o.ds, o.e.Key, o.pin(), max.Get(c))
			if err != nil {
				return nil, err
			}
			return as(c.Run, o.ds, o.e.Key, b)
		}
	})
	return ofStore, ofObject
}

var storeReadText, objectReadText = whole("read_text", "string", "The whole object as text, which must be UTF-8. It is not unpacked.",
	[2]string{`ds.lake.read_text("notes.txt")  # -> "one\ntwo\n"`, `ds.lake.stat("notes.txt").read_text()  # -> "one\ntwo\n"`},
	func(_ *Run, d *datastore, key string, b []byte) (starlark.Value, error) { return asText(d, key, b) })

var storeReadBytes, objectReadBytes = whole("read_bytes", "bytes", "The whole object as bytes. It is not unpacked.",
	[2]string{`len(ds.lake.read_bytes("notes.txt"))  # -> 8`, `len(ds.lake.stat("notes.txt").read_bytes())  # -> 8`},
	func(_ *Run, _ *datastore, _ string, b []byte) (starlark.Value, error) { return starlark.Bytes(b), nil })

var storeReadJSON, objectReadJSON = whole("read_json", "any", "The whole object as the value that its JSON stands for.",
	[2]string{`ds.lake.read_json("conf.json")["limit"]  # -> 3`, `ds.lake.stat("conf.json").read_json()["limit"]  # -> 3`}, asJSON)
