package starlib

import (
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format"
	"github.com/dsrun/dsrun/engine/store"
	"go.starlark.net/starlark"
)

// rowWriter writes the elements of a stream as one object, which becomes visible when commit returns and never before.
type rowWriter struct {
	d       *datastore
	key     string
	w       *store.Writer
	f       format.Writer // made with the first rows, unless the format must be known before
	to      batcher
	untrack func()
}

// contentTypes are the MIME types of what is written, by format.
var contentTypes = map[string]string{
	"csv": "text/csv; charset=utf-8", "tsv": "text/tab-separated-values; charset=utf-8",
	"jsonl": "application/x-ndjson", "lines": "text/plain; charset=utf-8",
}

// newRowWriter begins an object. It checks the format before the store is asked for anything.
func newRowWriter(r *Run, d *datastore, op, key, formatName string, o store.WriteOptions) (*rowWriter, error) {
	var f format.Format
	c, _ := format.SuffixCompression(key)
	var err error
	if formatName == "auto" {
		f, c, err = format.Choose(key, nil)
	} else {
		f, err = format.Lookup(formatName)
	}
	if err != nil {
		return nil, err
	}
	if o.Attrs.ContentType == "" {
		switch c {
		case format.Gzip:
			o.Attrs.ContentType = "application/gzip"
		case format.Zstd:
			o.Attrs.ContentType = "application/zstd"
		default:
			o.Attrs.ContentType = contentTypes[f.Name()]
		}
	}
	w, err := d.Create(r.Ctx, key, o)
	if err != nil {
		return nil, err
	}
	out := &rowWriter{d: d, key: key, w: w, to: batcher{op: op}, untrack: r.Track(w)}
	if f.Name() == "lines" {
		out.to.wrap = "line"
	}
	if out.f, err = format.Create(f.Name(), key, w, format.WriteOptions{}); err != nil {
		out.abort()
		return nil, err
	}
	return out, nil
}

// write appends elements.
func (w *rowWriter) write(k chunk) error {
	b, err := w.to.of(k)
	if err != nil {
		return err
	}
	if err := w.f.Write(b); err != nil {
		return w.wrap(err)
	}
	w.d.Stats().RowsWritten.Add(int64(b.N))
	return nil
}

// wrap names the object in what a format says.
func (w *rowWriter) wrap(err error) error {
	return fault.Wrap("write", w.d.Name(), w.key, fault.ClassOf(err), err)
}

// commit completes the object.
func (w *rowWriter) commit() (*object, error) {
	if err := w.wrap(w.f.Close()); err != nil {
		w.abort()
		return nil, err
	}
	w.untrack()
	e, err := w.w.Commit()
	if err != nil {
		return nil, err
	}
	return newObject(w.d, e), nil
}

// abort drops what was written.
func (w *rowWriter) abort() {
	w.untrack()
	w.w.Abort() // the failure that led here is the one to report
}

// writeParams are the parameters that writing methods share.
type writeParams struct {
	overwrite *Arg[bool]
	metadata  *Arg[starlark.IterableMapping]
	ctype     *Arg[string]
	ifMatch   *Arg[string]
}

func declareWrite(p *Params) (w writeParams) {
	w.overwrite = p.Bool("overwrite", "Replace an object that is there; else one is an error of code already_exists.").Default(false)
	w.metadata = p.Dict("metadata", "User metadata, strings to strings.").Optional()
	w.ctype = p.String("content_type", "The MIME type; by default that of the format.").Default("")
	w.ifMatch = p.String("if_match", "Only when the object that is there has this etag; else it is an error of code failed_precondition.").Optional()
	return w
}

func (w *writeParams) options(c *Call) (store.WriteOptions, error) {
	o := store.WriteOptions{Overwrite: w.overwrite.Get(c) || w.ifMatch.Set(c), IfMatch: w.ifMatch.Get(c)}
	o.Attrs.ContentType = w.ctype.Get(c)
	if m := w.metadata.Get(c); m != nil {
		o.Attrs.User = map[string]string{}
		for _, kv := range m.Items() {
			k, ok := starlark.AsString(kv[0])
			v, ok2 := starlark.AsString(kv[1])
			if !ok || !ok2 {
				return o, c.Errorf("for parameter metadata: got %s: %s, want string: string", kv[0].Type(), kv[1].Type())
			}
			o.Attrs.User[k] = v
		}
	}
	return o, nil
}

const formatDoc = "One of csv, tsv, jsonl and lines; auto goes by the suffix. A suffix .gz or .zst packs the object."

// checkFormat refuses an unknown format before anything is done.
func checkFormat(c *Call, name string) error {
	if name == "auto" {
		return nil
	}
	if _, err := format.Lookup(name); err != nil {
		return c.Errorf("for parameter format: %w%s", plainError(err), didYouMean(name, append(format.Names(), "auto"), `"`))
	}
	return nil
}

var storeWrite = Declare(Func{
	Name: "store.write", Returns: "object",
	Doc: "Writes rows (or lines of text) as one object. It becomes visible when it is complete and never before: when the rows fail half-way, nothing is written " +
		"and what was there stays. A stream is written as it comes, however long it is.",
	Example: `ds.lake.write("out.csv", [{"a": 1, "b": "x"}]).size  # -> 8`,
}, func(p *Params) Impl {
	path := p.String("path", "Where to write.")
	from := p.Iterable("rows", "A stream, or a list of dicts, structs or rows; strings for the format lines.")
	f := p.String("format", formatDoc).Default("auto")
	w := declareWrite(p)
	return func(c *Call) (starlark.Value, error) {
		if err := checkFormat(c, f.Get(c)); err != nil {
			return nil, err
		}
		o, err := w.options(c)
		if err != nil {
			return nil, err
		}
		out, err := newRowWriter(c.Run, thisStore(c), "write", path.Get(c), f.Get(c), o)
		if err != nil {
			return nil, err
		}
		if err := newExec(c.Run, c.Thread).drain(streamOf(c, from.Get(c)).plan, out.write); err != nil {
			out.abort()
			return nil, err
		}
		return out.commit()
	}
})

// put writes bytes as one object.
func put(c *Call, d *datastore, key, data string, o store.WriteOptions) (starlark.Value, error) {
	e, err := d.Put(c.Run.Ctx, key, store.BytesBody([]byte(data)), o)
	if err != nil {
		return nil, err
	}
	return newObject(d, e), nil
}

// putWhole declares a method that writes a value as one object.
func putWhole(word, doc, example, ctype string, param func(p *Params) func(*Call) (string, error)) *Function {
	return Declare(Func{Name: "store." + word, Returns: "object", Doc: doc, Example: example}, func(p *Params) Impl {
		path := p.String("path", "Where to write.")
		data := param(p)
		w := declareWrite(p)
		return func(c *Call) (starlark.Value, error) {
			o, err := w.options(c)
			if err != nil {
				return nil, err
			}
			s, err := data(c)
			if err != nil {
				return nil, err
			}
			if o.Attrs.ContentType == "" {
				o.Attrs.ContentType = ctype
			}
			if err := c.Run.Charge(int64(len(s))); err != nil {
				return nil, err
			}
			return put(c, thisStore(c), path.Get(c), s, o)
		}
	})
}

var storeWriteText = putWhole("write_text", "Writes text as one object.", `ds.lake.write_text("a.txt", "hello").size  # -> 5`,
	"text/plain; charset=utf-8", func(p *Params) func(*Call) (string, error) {
		text := p.String("text", "The content.")
		return func(c *Call) (string, error) { return text.Get(c), nil }
	})

var storeWriteBytes = putWhole("write_bytes", "Writes bytes as one object.", `ds.lake.write_bytes("a.bin", b"\x00\x01").size  # -> 2`,
	"application/octet-stream", func(p *Params) func(*Call) (string, error) {
		data := p.Bytes("data", "The content.")
		return func(c *Call) (string, error) { return data.Get(c), nil }
	})

var storeWriteJSON = putWhole("write_json", "Writes a value as JSON, with a line end after it.", `ds.lake.write_json("a.json", {"n": [1, 2]}).size  # -> 12`,
	"application/json", func(p *Params) func(*Call) (string, error) {
		value := p.Value("value", "The content: None, bools, numbers, strings, lists and dicts with string keys; rows and structs too.")
		indent := p.Int("indent", "Spaces of an indent; 0 puts all on one line.").Default(0)
		return func(c *Call) (string, error) {
			if n := indent.Get(c); n < 0 || n > 16 {
				return "", c.Errorf("for parameter indent: got %d, want 0 to 16", n)
			}
			s, err := encodeJSON(c.Thread, value.Get(c), strings.Repeat(" ", int(indent.Get(c))))
			if err != nil {
				return "", c.jsonFault(err)
			}
			return s + "\n", nil
		}
	})

var storeDelete = Declare(Func{
	Name: "store.delete", Returns: "None",
	Doc:     "Removes the object at a path.",
	Example: `ds.lake.delete("raw/none.csv")`,
}, func(p *Params) Impl {
	path := p.String("path", "The object's path.")
	missingOK := p.Bool("missing_ok", "An absent object is no error.").Default(true)
	return func(c *Call) (starlark.Value, error) {
		return nil, thisStore(c).Delete(c.Run.Ctx, path.Get(c), missingOK.Get(c))
	}
})

// failures returns the failures of many objects as a list of structs, and charges for it.
func failures(d *datastore, failed []store.KeyError) starlark.Value {
	out := make([]starlark.Value, len(failed))
	for i, f := range failed {
		out[i] = newStruct(starlark.StringDict{"path": starlark.String(f.Key), "code": starlark.String(fault.CodeOf(f.Err)), "message": starlark.String(f.Err.Error())})
	}
	return starlark.NewList(out)
}

var storeDeleteAll = Declare(Func{
	Name: "store.delete_all", Returns: "struct(deleted, failed)",
	Doc: "Removes the objects that match a pattern. The listing is completed first: when it fails, nothing is removed. " +
		"failed is a list of structs (path, code, message) and not empty only with on_error = \"collect\".",
	Example: `ds.lake.delete_all("tmp/**").deleted  # -> 0`,
}, func(p *Params) Impl {
	pattern := p.String("pattern", "Glob over whole paths.")
	onError := p.OneOf("on_error", "With fail the first failure is raised; collect goes on and returns them.", "fail", "collect").Default("fail")
	return func(c *Call) (starlark.Value, error) {
		d := thisStore(c)
		var keys []string
		err := newExec(c.Run, c.Thread).drain(&Plan{Source: PlanSource{Op: "list", Pattern: pattern.Get(c), store: d}}, func(k chunk) error {
			n := int64(0)
			for _, v := range k.vals {
				key := strings.Clone(v.(*object).e.Key)
				keys = append(keys, key)
				n += 32 + int64(len(key))
			}
			return c.Run.Charge(n)
		})
		if err != nil {
			return nil, err
		}
		const some = 10_000
		deleted := 0
		var failed []store.KeyError
		for len(keys) > 0 {
			n := min(some, len(keys))
			f, err := d.DeleteKeys(c.Run.Ctx, keys[:n])
			if err != nil {
				return nil, err
			}
			if len(f) > 0 && onError.Get(c) == "fail" {
				return nil, f[0].Err
			}
			failed = append(failed, f...)
			deleted += n - len(f)
			keys = keys[n:]
		}
		return newStruct(starlark.StringDict{"deleted": starlark.MakeInt(deleted), "failed": failures(d, failed)}), nil
	}
})

var storeCopy = Declare(Func{
	Name: "store.copy", Returns: "struct(copied, skipped, deleted, failed, bytes, client_bytes)",
	Doc: "Copies the objects that match a pattern to another store, or elsewhere in this one, several at a time and on the servers' side where they can. " +
		"Content type, encoding, disposition, cache control, user metadata and time of modification are kept. " +
		"failed is a list of structs (path, code, message) and not empty only with on_error = \"collect\"; client_bytes passed through this machine.",
	Example: `ds.lake.copy("raw/*.csv", ds.out, prefix = "copy/").copied  # -> 2`,
}, func(p *Params) Impl {
	pattern := p.String("pattern", "Glob over whole paths, or one path.")
	to := p.Value("to", "The store that receives them.", "store")
	prefix := p.String("prefix", "Put before each path.").Default("")
	overwrite := p.OneOf("overwrite", "What happens to an object that is there: never leaves it, if_changed replaces it when it differs.", "never", "if_changed", "always").Default("never")
	deleteExtra := p.Bool("delete_extra", "Then delete what the target has below the prefix, of what the pattern matches, and the source has not; only after a complete listing without failures.").Default(false)
	workers := p.Int("workers", "Objects at a time; 0: as many as make it faster.").Default(0)
	onError := p.OneOf("on_error", "With fail the first failure is raised; collect goes on and returns them.", "fail", "collect").Default("fail")
	return func(c *Call) (starlark.Value, error) {
		dst, ok := to.Get(c).(*datastore)
		if !ok {
			return nil, c.Bad("to", to.Get(c), "store such as ds.NAME")
		}
		n := workers.Get(c)
		if n < 0 || n > 1024 {
			return nil, c.Errorf("for parameter workers: got %d, want 0 to 1024", n)
		}
		job := store.CopyJob{List: store.ListOptions{Pattern: pattern.Get(c)}, Prefix: prefix.Get(c), DeleteExtra: deleteExtra.Get(c),
			Workers: int(n), Collect: onError.Get(c) == "collect"}
		switch overwrite.Get(c) {
		case "if_changed":
			job.Overwrite = store.OverwriteIfChanged
		case "always":
			job.Overwrite = store.OverwriteAlways
		}
		res, err := store.Copy(c.Run.Ctx, thisStore(c).Store, dst.Store, job)
		if err != nil {
			return nil, err
		}
		return newStruct(starlark.StringDict{
			"copied": starlark.MakeInt64(res.Copied), "skipped": starlark.MakeInt64(res.Skipped), "deleted": starlark.MakeInt64(res.Deleted),
			"failed": failures(dst, res.Failed), "bytes": starlark.MakeInt64(res.Bytes), "client_bytes": starlark.MakeInt64(res.ClientBytes),
		}), nil
	}
})

var storeMethods = NewMethods("store", "An object store, such as a bucket, a container or a folder.", []AttrDoc{
	{"name", "string", "The declared name."},
	{"kind", "string", "The kind of store, such as local or s3."},
}, storeURI, storeList, storeStat, storeExists, storeRead, storeReadText, storeReadBytes, storeReadJSON, storeReadLines,
	storeWrite, storeWriteText, storeWriteBytes, storeWriteJSON, storeWriteParts, storeCreate, storeCopy, storeDelete, storeDeleteAll, storePresign)
