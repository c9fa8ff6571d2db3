package starlib

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format"
	"github.com/dsrun/dsrun/engine/rows"
	"github.com/dsrun/dsrun/engine/store"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// listCursor yields the objects of a listing, page by page.
type listCursor struct {
	x  *exec
	d  *datastore
	ls *store.Listing
}

func openList(x *exec, s *PlanSource) (cursor, error) {
	return &listCursor{x: x, d: s.store, ls: s.store.List(x.ctx, s.listOptions())}, nil
}

func (s *PlanSource) listOptions() store.ListOptions {
	o := store.ListOptions{Pattern: s.Pattern, After: s.After, Before: s.Before, Limit: s.Limit}
	if s.Since != nil {
		o.Since = *s.Since
	}
	return o
}

func (c *listCursor) next(int) (chunk, error) {
	page, err := c.ls.Next(c.x.ctx)
	if err != nil {
		return chunk{}, err
	}
	if err := c.x.run.Charge(int64(len(page)) * 256); err != nil {
		return chunk{}, err
	}
	// One allocation a page; the page itself is the listing's and may be overwritten.
	objects := make([]object, len(page))
	vals := make([]starlark.Value, len(page))
	for i := range page {
		objects[i].ds, objects[i].e = c.d, page[i]
		vals[i] = &objects[i]
	}
	return chunk{vals: vals}, nil
}

func (c *listCursor) close() error { return c.ls.Close() }

// keySource yields the objects to read, in key order.
type keySource struct {
	x       *exec
	s       *PlanSource
	ls      *store.Listing
	page    []store.Entry
	matched bool
	done    bool
}

// isGlob reports whether a path is a pattern. Objects whose own names hold these characters are reached by stat.
func isGlob(path string) bool { return strings.ContainsAny(path, `*?[{\`) }

// next returns the next object, or io.EOF. Nothing at all is not_found.
func (k *keySource) next() (store.Entry, error) {
	if k.s.Exact {
		if k.done {
			return store.Entry{}, io.EOF
		}
		k.done = true
		if k.s.Pin != nil {
			return *k.s.Pin, nil
		}
		return store.Entry{Key: k.s.Pattern, Size: -1}, nil
	}
	for len(k.page) == 0 {
		if k.done {
			return store.Entry{}, io.EOF
		}
		if err := k.more(); err != nil {
			return store.Entry{}, err
		}
	}
	k.matched = true
	e := k.page[0]
	k.page = k.page[1:]
	return e, nil
}

// more lists on. Where the store keeps no order, all names are gathered and sorted.
func (k *keySource) more() error {
	d := k.s.store
	if k.ls == nil {
		k.ls = d.List(k.x.ctx, k.s.listOptions())
	}
	sorted := d.Caps().Order == store.OrderByKey
	for {
		page, err := k.ls.Next(k.x.ctx)
		if err == io.EOF {
			k.done = true
			if !k.matched && len(k.page) == 0 {
				return d.fail("read", k.s.Pattern, fault.NotFound,
					fmt.Sprintf("See what is there with ds.%s.list(); a path that holds * ? [ { is read with ds.%s.stat(path).read().", d.Name(), d.Name()),
					"nothing matches")
			}
			if !sorted {
				slices.SortFunc(k.page, func(a, b store.Entry) int { return strings.Compare(a.Key, b.Key) })
			}
			return nil
		}
		if err != nil {
			return err
		}
		if err := k.x.run.Charge(int64(len(page)) * 256); err != nil {
			return err
		}
		k.page = append(k.page, page...)
		if sorted {
			return nil
		}
	}
}

func (k *keySource) close() error {
	k.done, k.page = true, nil
	if k.ls == nil {
		return nil
	}
	return k.ls.Close()
}

// readCursor yields the rows of objects, one object after another.
type readCursor struct {
	x        *exec
	s        *PlanSource
	objects  *opener
	opts     format.ReadOptions
	onBad    *fnCall
	key      string // of the object under way
	body     io.ReadCloser
	src      rows.Source
	bad      int64
	firstBad string
	badErr   error // what on_bad's function returned
	err      error
}

func openRead(x *exec, s *PlanSource) (cursor, error) {
	c := &readCursor{x: x, s: s}
	header := s.Read.Header
	c.opts = format.ReadOptions{Columns: s.Read.Columns, Header: &header}
	for name, typ := range s.Read.Types {
		t, ok := rows.TypeNamed(typ)
		if !ok {
			return nil, fault.New(fault.InvalidArgument, "the type %q of column %q is not known", typ, name)
		}
		if c.opts.Types == nil {
			c.opts.Types = map[string]rows.Type{}
		}
		c.opts.Types[name] = t
	}
	if s.Read.OnBad != "fail" {
		c.opts.OnBad = c.badRow
	}
	if s.Read.OnBadFn != nil {
		c.onBad = x.fn(s.Read.OnBadFn)
	}
	c.objects = newOpener(x, s)
	return c, nil
}

func (c *readCursor) next(int) (chunk, error) {
	for c.err == nil {
		if c.src == nil {
			if c.err = c.open(); c.err != nil {
				break
			}
		}
		b, err := c.src.Next(c.x.ctx)
		if err == nil {
			if c.err = c.x.run.Charge(b.Size()); c.err != nil {
				break
			}
			if b.N == 0 {
				continue
			}
			c.s.store.Stats().RowsRead.Add(int64(b.N))
			return chunk{batch: b}, nil
		}
		if err != io.EOF {
			c.err = c.wrap(err)
			break
		}
		c.err = c.wrap(c.closeObject())
	}
	return chunk{}, c.err
}

// open opens the next object.
func (c *readCursor) open() error {
	key, body, size, err := c.objects.next()
	if err != nil {
		return err
	}
	c.key = key
	src, err := format.Open(c.x.ctx, c.s.Read.Format, format.Input{Name: key, Size: size, Body: body}, c.opts)
	if err != nil {
		body.Close()
		return c.wrap(err)
	}
	c.body, c.src = body, src
	return nil
}

// closeObject closes the object under way.
func (c *readCursor) closeObject() error {
	if c.src == nil {
		return nil
	}
	err := c.src.Close()
	if e := c.body.Close(); err == nil {
		err = e
	}
	c.src, c.body = nil, nil
	return err
}

// wrap names the store and the object in what a format says.
func (c *readCursor) wrap(err error) error {
	if err == nil {
		return nil
	}
	if c.badErr != nil && errors.Is(err, c.badErr) {
		return c.badErr // the script's own
	}
	class := fault.ClassOf(err)
	var bad *format.BadRow
	if errors.As(err, &bad) {
		b := *bad
		b.Name = "" // the key says it
		err = &b
	}
	return fault.Wrap("read", c.s.store.Name(), c.key, class, err)
}

// badRow is told of each record that is skipped.
func (c *readCursor) badRow(b *format.BadRow) error {
	c.bad++
	if c.bad == 1 {
		c.firstBad = b.Error()
	}
	if c.onBad == nil {
		return nil
	}
	_, c.badErr = c.onBad.call(starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
		"store": starlark.String(c.s.store.Name()), "path": starlark.String(c.key),
		"line": starlark.MakeInt64(b.Line), "record": starlark.MakeInt64(b.Record), "column": starlark.String(b.Column),
		"text": starlark.String(b.Text), "reason": starlark.String(b.Reason),
	}))
	return c.badErr
}

// close closes what is open and says how many records were left out.
func (c *readCursor) close() error {
	if c.err == nil {
		c.err = errClosed
	}
	if c.bad > 0 && c.onBad == nil {
		c.x.run.Host.Log(c.x.ctx, "warn", "bad rows skipped", []Field{{"store", c.s.store.Name()}, {"path", c.s.Pattern},
			{"rows", c.bad}, {"first", c.firstBad}})
	}
	c.bad = 0
	err := c.closeObject()
	if e := c.objects.close(); err == nil {
		err = e
	}
	return err
}

// linesCursor yields the first column of each row as a string.
type linesCursor struct{ *readCursor }

func openLines(x *exec, s *PlanSource) (cursor, error) {
	c, err := openRead(x, s)
	if err != nil {
		return nil, err
	}
	return &linesCursor{c.(*readCursor)}, nil
}

func (c *linesCursor) next(max int) (chunk, error) {
	k, err := c.readCursor.next(max)
	if err != nil {
		return chunk{}, err
	}
	vals := make([]starlark.Value, k.batch.N)
	for i := range vals {
		vals[i] = cell(&k.batch.Cols[0], i)
	}
	return chunk{vals: vals}, nil
}
