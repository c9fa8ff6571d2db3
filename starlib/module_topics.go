package starlib

import (
	"context"
	"fmt"
	"io"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"go.starlark.net/starlark"
)

// topic is an event topic as scripts see it.
type topic struct{ *event.Topic }

var _ starlark.HasAttrs = (*topic)(nil)

func openTopic(r *Run, name string) (starlark.Value, error) {
	t, err := r.Host.Topic(r.Ctx, name)
	if err != nil {
		return nil, err
	}
	return &topic{t}, nil
}

func (t *topic) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(t.Name()), nil
	case "kind":
		return starlark.String(t.Kind()), nil
	}
	return topicMethods.Bind(t, name), nil
}

func (*topic) AttrNames() []string     { return topicMethods.Names() }
func (t *topic) String() string        { return fmt.Sprintf("<topic %s (%s)>", t.Name(), t.Kind()) }
func (*topic) Type() string            { return "topic" }
func (*topic) Freeze()                 {}
func (*topic) Truth() starlark.Bool    { return true }
func (t *topic) Hash() (uint32, error) { return starlark.String(t.Name()).Hash() }

// siteOf is the place of a call in the script: what an event's id is made of, with the indices of the enclosing parallel
// items. Where a built-in such as catch or parallel.map makes the call, it is that one's place.
func siteOf(c *Call) (site string, indices []int) {
	for i := 1; i < c.Thread.CallStackDepth(); i++ {
		if pos := c.Thread.CallFrame(i).Pos; pos.Line > 0 && pos.Filename() != hiddenFile {
			return posText(pos), c.Run.Indices
		}
	}
	return "", c.Run.Indices
}

// stringMap returns a dict of strings.
func stringMap(c *Call, param string, m starlark.IterableMapping) (map[string]string, error) {
	if m == nil {
		return nil, nil
	}
	out := map[string]string{}
	for _, kv := range m.Items() {
		k, ok := starlark.AsString(kv[0])
		v, ok2 := starlark.AsString(kv[1])
		if !ok || !ok2 {
			return nil, c.Errorf("for parameter %s: got %s: %s, want string: string", param, kv[0].Type(), kv[1].Type())
		}
		out[k] = v
	}
	return out, nil
}

var topicPublish = Declare(Func{
	Name: "topic.publish", Returns: "string",
	Doc: "Publishes an event, in the terms of CloudEvents, and returns its id once the bus has accepted it. The id is made of the run, the topic and the place in the script, " +
		"so that another run with the same --run-id publishes the same ids.",
	Example: `topics.events.publish("dataset.validated", {"rows": 3}, subject = "raw/a.csv", id = "1")  # -> "1"`,
}, func(p *Params) Impl {
	typ := p.String("type", "What happened, such as \"dataset.validated\".")
	data := p.Value("data", "What goes with it: anything that JSON can hold.").Default(starlark.None)
	subject := p.String("subject", "What it happened to.").Default("")
	id := p.String("id", "The event's id, instead of the one made for it.").Optional()
	at := p.Value("time", "When it happened; now by default.", "time", "string").Optional()
	attributes := p.Dict("attributes", "Further attributes, strings to strings.").Optional()
	return func(c *Call) (starlark.Value, error) {
		e := event.Event{ID: id.Get(c), Type: typ.Get(c), Subject: subject.Get(c)}
		var err error
		if data.Set(c) && data.Get(c) != starlark.None {
			s, err := encodeJSON(c.Thread, data.Get(c), "")
			if err != nil {
				return nil, c.jsonFault(err)
			}
			e.Data = []byte(s)
		}
		if at.Set(c) {
			if e.Time, err = sinceOf(c, "time", at.Get(c)); err != nil {
				return nil, err
			}
		}
		if e.Attributes, err = stringMap(c, "attributes", attributes.Get(c)); err != nil {
			return nil, err
		}
		e.Site, e.Indices = siteOf(c)
		got, err := c.Recv.(*topic).Publish(c.Run.Ctx, e)
		if err != nil {
			return nil, err
		}
		return starlark.String(got), nil
	}
})

// perEvent is a parameter of publish_all that is one text for all events, or a function of the element.
type perEvent struct {
	text string
	fn   *fnCall
}

func newPerEvent(c *Call, x *exec, param string, v starlark.Value) (perEvent, error) {
	switch v := v.(type) {
	case nil:
		return perEvent{}, nil
	case starlark.String:
		return perEvent{text: string(v)}, nil
	case starlark.Callable:
		return perEvent{fn: x.fn(refTo(v))}, nil
	}
	return perEvent{}, c.Bad(param, v, "string or function")
}

func (p *perEvent) of(c *Call, param string, v starlark.Value) (string, error) {
	if p.fn == nil {
		return p.text, nil
	}
	out, err := p.fn.call(v)
	if err != nil {
		return "", err
	}
	s, ok := starlark.AsString(out)
	if !ok {
		return "", c.Errorf("for parameter %s: the function returned %s, want string", param, out.Type())
	}
	return s, nil
}

var topicPublishAll = Declare(Func{
	Name: "topic.publish_all", Returns: "int",
	Doc: "Publishes an event for each element of a stream, packed into batches and in bounded memory, and returns how many the bus has accepted. " +
		"The element is the event's data.",
	Example: `topics.events.publish_all([{"n": 1}, {"n": 2}], type = "row.read")  # -> 2`,
}, func(p *Params) Impl {
	from := p.Iterable("stream", "A stream or a list.")
	typ := p.Value("type", "What happened: a text for all, or a function of the element.", "string", "function").KeywordOnly()
	subject := p.Value("subject", "What it happened to: a text for all, or a function of the element.", "string", "function").Optional().KeywordOnly()
	id := p.Value("id", "A function of the element that returns the event's id, instead of the one made for it.", "function").Optional().KeywordOnly()
	onError := p.Value("on_error", "An event that is refused for good: \"fail\" ends with the error, \"skip\" logs it, a function is called with a struct (id, type, subject, code, message).",
		"string", "function").Default(starlark.String("fail")).KeywordOnly()
	return func(c *Call) (starlark.Value, error) {
		t := c.Recv.(*topic)
		x := newExec(c.Run, c.Thread)
		types, err := newPerEvent(c, x, "type", typ.Get(c))
		if err != nil {
			return nil, err
		}
		subjects, err := newPerEvent(c, x, "subject", subject.Get(c))
		if err != nil {
			return nil, err
		}
		ids, err := newPerEvent(c, x, "id", id.Get(c))
		if err != nil {
			return nil, err
		}
		refused, err := refusals(c, x, t, onError.Get(c))
		if err != nil {
			return nil, err
		}
		site, indices := siteOf(c)
		var f feed
		if err := f.start(x, streamOf(c, from.Get(c)).plan); err != nil {
			return nil, err
		}
		defer f.close()
		next := func(context.Context) (event.Event, error) {
			v, err := f.next(1)
			if err != nil {
				if err == io.EOF && c.Run.Err() != nil {
					err = c.Run.Err()
				}
				return event.Event{}, err
			}
			e := event.Event{Site: site, Indices: indices}
			s, err := encodeJSON(c.Thread, v, "")
			if err != nil {
				return e, c.jsonFault(err)
			}
			e.Data = []byte(s)
			if e.Type, err = types.of(c, "type", v); err != nil {
				return e, err
			}
			if e.Subject, err = subjects.of(c, "subject", v); err != nil {
				return e, err
			}
			e.ID, err = ids.of(c, "id", v)
			return e, err
		}
		n, err := t.PublishAll(c.Run.Ctx, next, refused)
		if err != nil {
			return nil, err
		}
		return starlark.MakeInt(n), nil
	}
})

// refusals returns what to do with an event that is refused for good.
func refusals(c *Call, x *exec, t *topic, v starlark.Value) (func(event.Message, error) error, error) {
	switch v := v.(type) {
	case starlark.String:
		switch v {
		case "fail":
			return nil, nil
		case "skip":
			return func(m event.Message, err error) error {
				c.Run.Host.Log(c.Run.Ctx, "warn", "event refused", []Field{{"topic", t.Name()}, {"id", m.ID}, {"type", m.Type},
					{"code", string(fault.CodeOf(err))}, {"error", err.Error()}})
				return nil
			}, nil
		}
		return nil, c.Errorf("for parameter on_error: got %s, want \"fail\", \"skip\" or a function", repr(v, 80))
	case starlark.Callable:
		fn := x.fn(refTo(v))
		return func(m event.Message, err error) error {
			_, ferr := fn.call(newStruct(starlark.StringDict{"id": starlark.String(m.ID), "type": starlark.String(m.Type), "subject": starlark.String(m.Subject),
				"code": starlark.String(fault.CodeOf(err)), "message": starlark.String(err.Error())}))
			return ferr
		}, nil
	}
	return nil, c.Bad("on_error", v, "\"fail\", \"skip\" or a function")
}

var topicMethods = NewMethods("topic", "An event topic.", []AttrDoc{
	{"name", "string", "The declared name."},
	{"kind", "string", "The kind of topic, such as file or eventbridge."},
}, topicPublish, topicPublishAll)
