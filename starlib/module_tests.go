package starlib

import (
	"strings"
	"sync"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

var testModule = NewModule("test", "For test files only: what a test puts in and looks at. Each test begins with empty datastores in memory and topics that record.", nil,
	testFixture, testPut, testNow, testRun, testEvents, testGolden,
)

// testHost returns what only test files may reach.
func (c *Call) testHost() (TestHost, error) {
	if h, ok := c.Run.Host.(TestHost); ok {
		return h, nil
	}
	return nil, c.Fn.fail(fault.Unimplemented, "Run the file with dsrun test.", "this is no test")
}

var testFixture = Declare(Func{
	Name: "test.fixture", Returns: "int",
	Doc:     "Puts files into a datastore, also one that scripts may only read, and returns how many.",
	Example: `test.fixture("lake", "testdata/in", prefix = "raw/")  # -> 2`,
}, func(p *Params) Impl {
	name := p.String("store", "The datastore's name.")
	from := p.String("path", "A folder, whose files keep their paths in it, or one file; counts from the test file's folder.")
	prefix := p.String("prefix", "What is put before each path.").Default("")
	return func(c *Call) (starlark.Value, error) {
		h, err := c.testHost()
		if err != nil {
			return nil, err
		}
		n, err := h.Fixture(c.Run.Ctx, name.Get(c), from.Get(c), prefix.Get(c))
		return starlark.MakeInt(n), err
	}
})

var testPut = Declare(Func{
	Name: "test.put", Returns: "None",
	Doc:     "Puts one object into a datastore, also one that scripts may only read.",
	Example: `test.put("lake", "new.csv", "name,n\nd,4\n")`,
}, func(p *Params) Impl {
	name, key := p.String("store", "The datastore's name."), p.String("path", "The object's path.")
	content := p.Bytes("content", "What it holds.")
	return func(c *Call) (starlark.Value, error) {
		h, err := c.testHost()
		if err != nil {
			return nil, err
		}
		return nil, h.Place(c.Run.Ctx, name.Get(c), key.Get(c), []byte(content.Get(c)))
	}
})

var testNow = Declare(Func{
	Name: "test.now", Returns: "None",
	Doc:     "Sets the time that the test and its scripts see: time.now(), run.started, the times of events and of written objects. It stands still, except that time.sleep moves it on at once.",
	Example: `test.now("2026-11-21T09:30:00Z")`,
}, func(p *Params) Impl {
	now := p.Value("time", "The time, or its RFC 3339 text.", "time", "string")
	return func(c *Call) (starlark.Value, error) {
		h, err := c.testHost()
		if err != nil {
			return nil, err
		}
		switch v := now.Get(c).(type) {
		case startime.Time:
			h.SetNow(time.Time(v))
		case starlark.String:
			t, err := time.Parse(time.RFC3339Nano, string(v))
			if err != nil {
				return nil, c.Bad("time", v, "time or RFC 3339 text")
			}
			h.SetNow(t)
		default:
			return nil, c.Bad("time", v, "time or RFC 3339 text")
		}
		return nil, nil
	}
})

var testRun = Declare(Func{
	Name: "test.run", Returns: "struct",
	Doc: "Runs a script as `dsrun run` does, with the datastores and topics of the test, and returns a struct whose field output is what it printed. " +
		"A script that fails fails the test, unless assert.fails or catch calls it.",
	Example: `test.run("clean.star", limit = 2).output  # -> "limit 2\n"`,
}, func(p *Params) Impl {
	script := p.String("script", "The script's path: from the test file's folder, or with // from the project's.").Positional()
	args := p.KwRest("args", "The parameters of its main(). A text is read as on the command line.")
	return func(c *Call) (starlark.Value, error) {
		if _, err := c.testHost(); err != nil {
			return nil, err
		}
		r := c.Run
		key, err := modulePath(r.execution.loader.base, script.Get(c))
		if err != nil {
			return nil, err
		}
		src, err := r.Host.Module(key)
		if err != nil {
			return nil, err
		}
		program := newProgram(append(words(), extraWords(r.execution.program.extra)...), r.execution.program.extra)
		program.cover = r.execution.cover
		if err := program.parse(key, src); err != nil {
			return nil, err
		}
		out := &tee{next: r.execution.out.w}
		if err := r.runScript(program, "", args.Get(c), out); err != nil {
			return nil, err
		}
		return newStruct(starlark.StringDict{"output": starlark.String(out.b.String())}), nil
	}
})

// tee keeps what a script prints and passes it on.
type tee struct {
	mu   sync.Mutex
	b    strings.Builder
	next interface{ Write([]byte) (int, error) }
}

// maxOutput bounds what test.run keeps, in bytes.
const maxOutput = 16 << 20

func (t *tee) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b.Len()+len(b) > maxOutput {
		return 0, fault.New(fault.Limit, "the script prints more than the %d bytes that a test keeps", maxOutput)
	}
	t.b.Write(b)
	if t.next != nil {
		return t.next.Write(b)
	}
	return len(b), nil
}

var testEvents = Declare(Func{
	Name: "test.events", Returns: "list",
	Doc:     "The events that were published to a topic so far, in order: structs with the fields id, type, source, subject, time, data and attributes.",
	Example: `test.events("events")  # -> []`,
}, func(p *Params) Impl {
	name := p.String("topic", "The topic's name.")
	return func(c *Call) (starlark.Value, error) {
		h, err := c.testHost()
		if err != nil {
			return nil, err
		}
		events, err := h.Events(name.Get(c))
		if err != nil {
			return nil, err
		}
		out := make([]starlark.Value, 0, len(events))
		for _, e := range events {
			data, err := decodeJSON(c.Run, string(e.Data))
			if err != nil {
				return nil, c.jsonFault(err)
			}
			out = append(out, newStruct(starlark.StringDict{
				"id": starlark.String(e.ID), "type": starlark.String(e.Type), "source": starlark.String(e.Source), "subject": starlark.String(e.Subject),
				"time": startime.Time(e.Time), "data": data, "attributes": fromGo(e.Attributes),
			}))
		}
		return starlark.NewList(out), nil
	}
})

var testGolden = Declare(Func{
	Name: "test.golden", Returns: "None",
	Doc: "Fails unless a file holds a value: a text or bytes as they are, anything else as indented JSON. `dsrun test --update` writes the file instead. " +
		"Ids of events are the same in every run of a test, times with test.now.",
	Example: `test.golden("testdata/limit.json", {"limit": 3})`,
}, func(p *Params) Impl {
	file := p.String("path", "The file; counts from the test file's folder.")
	got := p.Value("got", "The value.")
	return func(c *Call) (starlark.Value, error) {
		h, err := c.testHost()
		if err != nil {
			return nil, err
		}
		var text string
		switch v := got.Get(c).(type) {
		case starlark.String:
			text = string(v)
		case starlark.Bytes:
			text = string(v)
		default:
			if text, err = encodeJSON(c.Thread, v, "  "); err != nil {
				return nil, c.jsonFault(err)
			}
			text += "\n"
		}
		want, err := h.Golden(file.Get(c), []byte(text))
		if err != nil {
			return nil, err
		}
		if string(want) == text {
			return nil, nil
		}
		lines := []string{"the value is not what " + file.Get(c) + " holds"}
		if n, g, w := firstLine(text, string(want)); n > 0 {
			lines = append(lines, "line "+starlark.MakeInt(n).String()+": got "+g+", want "+w)
		} else {
			lines = append(lines, "got:  "+repr(starlark.String(text), shownValue), "want: "+repr(starlark.String(string(want)), shownValue))
		}
		lines = append(lines, "dsrun test --update takes the new value")
		return nil, c.failed("", lines...)
	}
})
