package starlib

import (
	"fmt"
	"sync/atomic"

	"github.com/dsrun/dsrun/engine/rows"
	"github.com/dsrun/dsrun/engine/store"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// object is one state of an object in a store, as a listing or stat has seen it. It never changes; what a listing does
// not carry is asked for when it is wanted, of that very state where the store can pin it.
type object struct {
	ds   *datastore
	e    store.Entry
	full atomic.Pointer[store.Entry] // from stat, when e lacked attributes
}

var (
	_ starlark.HasAttrs   = (*object)(nil)
	_ starlark.Comparable = (*object)(nil)
	_ dataValue           = (*object)(nil)
)

func newObject(d *datastore, e store.Entry) *object { return &object{ds: d, e: e} }

// objectHeader names the columns of an object as a row.
var objectHeader = newHeader([]string{"path", "size", "modified", "etag", "version", "uri", "store"})

// Attr returns an attribute or a method.
func (o *object) Attr(name string) (starlark.Value, error) {
	switch name {
	case "path":
		return starlark.String(o.e.Key), nil
	case "size":
		if o.e.Size < 0 {
			return starlark.None, nil
		}
		return starlark.MakeInt64(o.e.Size), nil
	case "modified":
		if o.e.Modified.IsZero() {
			return starlark.None, nil
		}
		return startime.Time(o.e.Modified.UTC()), nil
	case "etag":
		return starlark.String(o.e.ETag), nil
	case "version":
		return starlark.String(o.e.Version), nil
	case "uri":
		return starlark.String(o.ds.URI(o.e.Key)), nil
	case "store":
		return o.ds, nil
	case "content_type", "content_encoding", "metadata":
		a, err := o.attributes()
		if err != nil {
			return nil, err
		}
		switch name {
		case "content_type":
			return starlark.String(a.ContentType), nil
		case "content_encoding":
			return starlark.String(a.ContentEncoding), nil
		}
		return dictOf(a.User), nil
	}
	return objectMethods.Bind(o, name), nil
}

// attributes are what a listing does not carry.
func (o *object) attributes() (*store.Attributes, error) {
	e := &o.e
	if f := o.full.Load(); f != nil {
		e = f
	}
	if e.Attrs == nil {
		got, err := o.ds.Stat(o.ds.run.Ctx, o.e.Key, store.Cond(o.pin()))
		if err != nil {
			return nil, err
		}
		if got.Attrs == nil {
			got.Attrs = &store.Attributes{}
		}
		o.full.Store(&got)
		e = &got
	}
	return e.Attrs, nil
}

// pin is the condition that reads see this state of the object; the zero value where the store cannot pin.
func (o *object) pin() store.Cond {
	if !o.ds.Caps().Pin {
		return store.Cond{}
	}
	return store.Cond{IfMatch: o.e.ETag, Version: o.e.Version}
}

// cellAt returns column i of objectHeader.
func (o *object) cellAt(i int) starlark.Value {
	if name := objectHeader.names[i]; name != "store" {
		v, _ := o.Attr(name) // these need no request, so there is no error
		return v
	}
	return starlark.String(o.ds.Name())
}

// row is the object as a row: its path, size, modified, etag, version, uri and the store's name.
func (o *object) row() *Row {
	cells := make([]starlark.Value, len(objectHeader.names))
	for i := range cells {
		cells[i] = o.cellAt(i)
	}
	return newRow(objectHeader, cells)
}

// data is the object as a record.
func (o *object) data() (any, error) {
	out := &rows.Object{Keys: objectHeader.names, Vals: make([]any, len(objectHeader.names))}
	for i := range out.Vals {
		var err error
		if out.Vals[i], err = toGo(o.cellAt(i)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (*object) AttrNames() []string     { return objectMethods.Names() }
func (*object) Type() string            { return "object" }
func (*object) Freeze()                 {}
func (*object) Truth() starlark.Bool    { return true }
func (o *object) Hash() (uint32, error) { return starlark.String(o.e.Key + "\x00" + o.e.ETag).Hash() }

// String names the store, the path and the size.
func (o *object) String() string {
	return fmt.Sprintf("<object %s:%s (%s)>", o.ds.Name(), repr(starlark.String(o.e.Key), 300), formatBytes(o.e.Size))
}

// CompareSameType: objects are equal when they are the same state of the same object.
func (o *object) CompareSameType(op syntax.Token, y starlark.Value, depth int) (bool, error) {
	p := y.(*object)
	eq := o.ds.Name() == p.ds.Name() && o.e.Key == p.e.Key && o.e.ETag == p.e.ETag && o.e.Version == p.e.Version && o.e.Size == p.e.Size
	switch op {
	case syntax.EQL:
		return eq, nil
	case syntax.NEQ:
		return !eq, nil
	}
	return false, fmt.Errorf("object %s object not implemented", op)
}

// thisObject is the receiver of an object's method.
func thisObject(c *Call) *object { return c.Recv.(*object) }

var objectDelete = Declare(Func{
	Name: "object.delete", Returns: "None",
	Doc:     "Removes the object. One that is gone already is no error.",
	Example: `ds.lake.write_text("tmp.txt", "x").delete()`,
}, func(*Params) Impl {
	return func(c *Call) (starlark.Value, error) {
		o := thisObject(c)
		return nil, o.ds.Delete(c.Run.Ctx, o.e.Key, true)
	}
})

var objectMethods = NewMethods("object", "One state of an object in a store.", []AttrDoc{
	{"path", "string", "The path in the store."},
	{"size", "int", "Bytes; None when the store does not say."},
	{"modified", "time", "When it was last written."},
	{"etag", "string", "Opaque: equal etags mean equal content in one store."},
	{"version", "string", "The version or generation, where the store has them."},
	{"content_type", "string", "The MIME type; asked of the store when a listing does not carry it."},
	{"content_encoding", "string", "Such as gzip; asked of the store when a listing does not carry it."},
	{"metadata", "dict", "The user metadata; asked of the store when a listing does not carry it."},
	{"uri", "string", "The address in the store's own form."},
	{"store", "store", "The store that holds it."},
}, objectRead, objectReadText, objectReadBytes, objectReadJSON, objectReadLines, objectDelete)
