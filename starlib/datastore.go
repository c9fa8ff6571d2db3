package starlib

import (
	"fmt"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

// datastore is an object store as scripts see it.
type datastore struct {
	*store.Store
	run *Run // for what has no thread: lazy attributes
}

var _ starlark.HasAttrs = (*datastore)(nil)

func openDatastore(r *Run, name string) (starlark.Value, error) {
	s, err := r.Host.Store(r.Ctx, name)
	if err != nil {
		return nil, err
	}
	return &datastore{Store: s, run: r}, nil
}

func (d *datastore) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(d.Name()), nil
	case "kind":
		return starlark.String(d.Kind()), nil
	}
	return storeMethods.Bind(d, name), nil
}

func (d *datastore) AttrNames() []string   { return storeMethods.Names() }
func (d *datastore) String() string        { return fmt.Sprintf("<store %s (%s)>", d.Name(), d.Kind()) }
func (*datastore) Type() string            { return "store" }
func (*datastore) Freeze()                 {}
func (*datastore) Truth() starlark.Bool    { return true }
func (d *datastore) Hash() (uint32, error) { return starlark.String(d.Name()).Hash() }

// fail is an error of the store in the form of the portable layer's own.
func (d *datastore) fail(op, key string, code fault.Code, hint, format string, args ...any) error {
	e := fault.Hinted(code, hint, format, args...)
	e.Op, e.Resource, e.Key = op, d.Name(), key
	return e
}

// thisStore is the receiver of a store's method.
func thisStore(c *Call) *datastore { return c.Recv.(*datastore) }

// sinceOf reads a point in time: a time, RFC 3339 text or a date, or how long ago (a duration or "24h").
func sinceOf(c *Call, param string, v starlark.Value) (time.Time, error) {
	const want = "time, RFC 3339 text such as \"2026-01-31T00:00:00Z\", or how long ago such as \"24h\""
	switch v := v.(type) {
	case startime.Time:
		return time.Time(v), nil
	case startime.Duration:
		return c.Run.Clock().Now().Add(-time.Duration(v)), nil
	case starlark.String:
		s := string(v)
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, s); err == nil {
				return t, nil
			}
		}
		if d, err := parseDuration(s); err == nil {
			return c.Run.Clock().Now().Add(-d), nil
		}
		return time.Time{}, c.Errorf("for parameter %s: got %s, want %s", param, repr(v, 80), want)
	}
	return time.Time{}, c.Bad(param, v, want)
}

var storeList = Declare(Func{
	Name: "store.list", Returns: "stream[object]",
	Doc: "The objects whose paths match a pattern, in key order where the store lists so. `*` matches within a segment of the path, `**` across. " +
		"The stream is lazy: nothing is listed before a loop or another consumer asks for it.",
	Example: `[o.path for o in ds.lake.list("raw/*.csv")]  # -> ["raw/a.csv", "raw/b.csv"]`,
}, func(p *Params) Impl {
	pattern := p.String("pattern", "Glob over whole paths.").Default("**")
	since := p.Value("since", "Only objects modified at or after this time, or within this time until now (\"24h\").", "time", "duration", "string").Optional()
	limit := p.Int("limit", "At most so many objects.").Optional()
	return func(c *Call) (starlark.Value, error) {
		d := thisStore(c)
		src := PlanSource{Op: "list", Store: d.Name(), Pattern: pattern.Get(c), store: d}
		if since.Set(c) {
			t, err := sinceOf(c, "since", since.Get(c))
			if err != nil {
				return nil, err
			}
			src.Since = &t
		}
		if limit.Set(c) {
			n := limit.Get(c)
			if n < 0 {
				return nil, c.Errorf("for parameter limit: got %d, want 0 or more", n)
			}
			if n == 0 {
				return newStream(c.Run, &Plan{Source: PlanSource{Op: "concat"}}), nil
			}
			src.Limit = int(n)
		}
		return newStream(c.Run, &Plan{Source: src}), nil
	}
})

var storeStat = Declare(Func{
	Name: "store.stat", Returns: "object",
	Doc:     "The object at a path. An absent one is an error of code not_found, or None with missing_ok.",
	Example: `ds.lake.stat("raw/a.csv").size  # -> 15`,
}, func(p *Params) Impl {
	path := p.String("path", "The object's path.")
	missingOK := p.Bool("missing_ok", "Return None when there is no such object.").Default(false)
	return func(c *Call) (starlark.Value, error) {
		d := thisStore(c)
		e, err := d.Stat(c.Run.Ctx, path.Get(c), store.Cond{})
		if err != nil {
			if missingOK.Get(c) && fault.Is(err, fault.NotFound) {
				return starlark.None, nil
			}
			return nil, err
		}
		return newObject(d, e), nil
	}
})

var storeExists = Declare(Func{
	Name: "store.exists", Returns: "bool",
	Doc:     "Whether there is an object at a path. Only a clear answer counts: a store that cannot be asked is an error.",
	Example: `ds.lake.exists("raw/none.csv")  # -> False`,
}, func(p *Params) Impl {
	path := p.String("path", "The object's path.")
	return func(c *Call) (starlark.Value, error) {
		_, err := thisStore(c).Stat(c.Run.Ctx, path.Get(c), store.Cond{})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		return starlark.Bool(err == nil), nil
	}
})

var storeURI = Declare(Func{
	Name: "store.uri", Returns: "string",
	Doc:     "The address of a path in the store's own form, such as s3://bucket/key. It holds no secret.",
	Example: `ds.lake.uri("raw/a.csv")`,
}, func(p *Params) Impl {
	path := p.String("path", "A path.").Default("")
	return func(c *Call) (starlark.Value, error) {
		return starlark.String(thisStore(c).URI(path.Get(c))), nil
	}
})

var storePresign = Declare(Func{
	Name: "store.presign", Returns: "string",
	Doc:     "A URL that works without credentials for a time. Whoever has it can use it: do not log it. Stores that cannot sign say unimplemented.",
	Example: `catch(ds.lake.presign, "raw/a.csv", expires = "15m")`,
}, func(p *Params) Impl {
	path := p.String("path", "The object's path.")
	expires := p.Duration("expires", "How long the URL works.").Default(time.Hour)
	method := p.OneOf("method", "What the URL allows.", "GET", "HEAD", "PUT", "DELETE").Default("GET")
	return func(c *Call) (starlark.Value, error) {
		if d := expires.Get(c); d <= 0 {
			return nil, c.Errorf("for parameter expires: got %s, want more than zero", d)
		}
		u, err := thisStore(c).SignURL(c.Run.Ctx, path.Get(c), store.SignOptions{Method: method.Get(c), Expires: expires.Get(c)})
		if err != nil {
			return nil, err
		}
		return starlark.String(u), nil
	}
})
