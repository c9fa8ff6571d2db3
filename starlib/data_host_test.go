package starlib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
	"go.starlark.net/starlark"
)

// dataHost is a host whose stores and topics are in memory.
type dataHost struct {
	names  map[string][]string
	stores map[string]*store.Store
	topics map[string]*event.Topic
	sent   map[string]*memory.Topic
	files  map[string]string // what load() finds
	info   RunInfo

	mu   sync.Mutex
	logs []string
}

// newDataHost returns a host with the stores lake (some files) and out (empty), and the topic events.
func newDataHost(t testing.TB) *dataHost {
	h := &dataHost{names: map[string][]string{}, stores: map[string]*store.Store{}, topics: map[string]*event.Topic{}, sent: map[string]*memory.Topic{},
		info: RunInfo{ID: "run-1", Env: "test", Script: "main.star", Started: time.Unix(1_800_000_000, 0)}}
	h.addStore(t, "lake", memory.New("lake", 1<<30, clock.Real), store.Options{})
	h.addStore(t, "out", memory.New("out", 1<<30, clock.Real), store.Options{})
	h.put(t, "lake", "raw/a.csv", "name,n\na,1\nb,2\n")
	h.put(t, "lake", "raw/b.csv", "name,n\nc,3\n")
	h.put(t, "lake", "notes.txt", "one\ntwo\n")
	h.put(t, "lake", "conf.json", `{"limit": 3, "names": ["x", "y"]}`)
	h.addTopic(t, "events", event.Limits{})
	return h
}

func (h *dataHost) addStore(t testing.TB, name string, d store.Driver, o store.Options) *store.Store {
	s := store.New(name, "memory", d, o)
	h.stores[name] = s
	h.names["datastore"] = append(h.names["datastore"], name)
	t.Cleanup(func() { s.Close() })
	return s
}

func (h *dataHost) addTopic(t testing.TB, name string, l event.Limits) {
	h.sent[name] = memory.NewTopic(l)
	h.topics[name] = event.New(name, "memory", h.sent[name], event.Options{RunID: h.info.ID})
	h.names["topic"] = append(h.names["topic"], name)
	t.Cleanup(func() { h.topics[name].Close() })
}

func (h *dataHost) put(t testing.TB, name, key, content string) {
	t.Helper()
	if _, err := h.stores[name].Put(context.Background(), key, store.BytesBody([]byte(content)), store.WriteOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
}

// keys lists a store.
func (h *dataHost) keys(t testing.TB, name string) string {
	t.Helper()
	var keys []string
	ls := h.stores[name].List(context.Background(), store.ListOptions{})
	defer ls.Close()
	for {
		page, err := ls.Next(context.Background())
		if err != nil {
			return strings.Join(keys, " ")
		}
		for _, e := range page {
			keys = append(keys, e.Key)
		}
	}
}

func (h *dataHost) Store(_ context.Context, name string) (*store.Store, error) {
	if s := h.stores[name]; s != nil {
		return s, nil
	}
	return nil, fault.New(fault.NotFound, "no store %s", name)
}

func (h *dataHost) Topic(_ context.Context, name string) (*event.Topic, error) {
	if t := h.topics[name]; t != nil {
		return t, nil
	}
	return nil, fault.New(fault.NotFound, "no topic %s", name)
}

func (h *dataHost) Names(kind string) []string { return h.names[kind] }

func (h *dataHost) Default(kind string) string {
	if kind == "datastore" {
		return "lake"
	}
	return ""
}

func (h *dataHost) Module(path string) ([]byte, error) {
	if src, ok := h.files[path]; ok {
		return []byte(src), nil
	}
	return nil, fault.New(fault.NotFound, "no file %s", path)
}

func (h *dataHost) Info() RunInfo { return h.info }

func (h *dataHost) Log(_ context.Context, level, msg string, fields []Field) {
	line := level + " " + msg
	for _, f := range fields {
		line += fmt.Sprintf(" %s=%v", f.Name, f.Value)
	}
	h.mu.Lock()
	h.logs = append(h.logs, line)
	h.mu.Unlock()
}

// asserts are the functions with which the scripts of the tests check themselves.
var asserts = []*Function{
	Declare(Func{Name: "assert.eq", Returns: "None", Doc: "Fails unless both are equal."}, func(p *Params) Impl {
		got, want := p.Value("got", "Got."), p.Value("want", "Want.")
		return func(c *Call) (starlark.Value, error) {
			if eq, err := starlark.Equal(got.Get(c), want.Get(c)); err != nil || !eq {
				return nil, fmt.Errorf("got %v, want %v", got.Get(c), want.Get(c))
			}
			return nil, nil
		}
	}),
	Declare(Func{Name: "assert.true", Returns: "None", Doc: "Fails unless true."}, func(p *Params) Impl {
		v := p.Value("cond", "Condition.")
		return func(c *Call) (starlark.Value, error) {
			if !v.Get(c).Truth() {
				return nil, errors.New("not true")
			}
			return nil, nil
		}
	}),
}

// run runs a script and returns what it printed and its error.
func (h *dataHost) run(src string, o ...func(*RunOptions)) (string, error) {
	p, err := Parse("main.star", []byte(src), asserts...)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	opts := RunOptions{Host: h, Stdout: &out}
	for _, f := range o {
		f(&opts)
	}
	err = p.Run(context.Background(), opts)
	return out.String(), err
}

// must runs a script that must not fail.
func (h *dataHost) must(t testing.TB, src string) string {
	t.Helper()
	out, err := h.run(src)
	if err != nil {
		t.Fatalf("%s\n%s", out, describeScriptError(err))
	}
	return out
}

func describeScriptError(err error) string {
	var b strings.Builder
	b.WriteString(err.Error())
	var s *ScriptError
	if errors.As(err, &s) {
		for _, f := range s.Frames {
			fmt.Fprintf(&b, "\n  %s:%d:%d in %s: %s", f.File, f.Line, f.Col, f.Func, strings.TrimSpace(f.Text))
		}
	}
	if hint := fault.ClassOf(err).Hint; hint != "" {
		b.WriteString("\n  hint: " + hint)
	}
	return b.String()
}

// starlibCheck is a function of scripts that calls one of the test.
func starlibCheck(fn func()) *Function {
	return Declare(Func{Name: "check", Returns: "None", Doc: "Calls back."}, func(*Params) Impl {
		return func(*Call) (starlark.Value, error) {
			fn()
			return nil, nil
		}
	})
}
