package starlib

import (
	"fmt"
	"github.com/dsrun/dsrun/internal/spell"
	"slices"
	"strings"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"go.starlark.net/starlark"
)

// namespace is ds or topics: the declared blocks of a kind by their names. A block is opened when it is first asked
// for.
type namespace struct {
	run  *Run
	word string // ds or topics
	kind string // datastore or topic
	open func(r *Run, name string) (starlark.Value, error)
	docs *Methods

	mu     sync.Mutex
	opened map[string]starlark.Value
}

var (
	_ starlark.HasAttrs = (*namespace)(nil)
	_ starlark.Mapping  = (*namespace)(nil)
	_ starlark.Iterable = (*namespace)(nil)
)

func newDS(r *Run) starlark.Value {
	return &namespace{run: r, word: "ds", kind: "datastore", open: openDatastore, docs: dsMethods}
}

func newTopics(r *Run) starlark.Value {
	return &namespace{run: r, word: "topics", kind: "topic", open: openTopic, docs: topicsMethods}
}

// get returns the named block.
func (n *namespace) get(name string) (starlark.Value, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok := n.opened[name]; ok {
		return v, nil
	}
	if names := n.run.Host.Names(n.kind); !slices.Contains(names, name) {
		return nil, n.unknown(name, names)
	}
	v, err := n.open(n.run, name)
	if err != nil {
		return nil, err
	}
	if n.opened == nil {
		n.opened = map[string]starlark.Value{}
	}
	n.opened[name] = v
	return v, nil
}

// unknown is the error for a name that no block has.
func (n *namespace) unknown(name string, names []string) error {
	hint := fmt.Sprintf("Declare it in the configuration: %s \"KIND\" %q { ... }.", n.kind, bound(fault.Printable(name), 80))
	switch s := spell.Nearest(name, names); {
	case s != "":
		hint = fmt.Sprintf("Did you mean %s.%s?", n.word, s)
	case len(names) > 0:
		hint = fmt.Sprintf("Declared are %s. %s", strings.Join(names[:min(len(names), 20)], ", "), hint)
	}
	return fault.Hinted(fault.NotFound, hint, "%s: no %s is named %q", n.word, n.kind, bound(name, 80))
}

// Attr returns names, default or a block.
func (n *namespace) Attr(name string) (starlark.Value, error) {
	if name == "default" {
		def := n.run.Host.Default(n.kind)
		if def == "" {
			return nil, fault.Hinted(fault.NotFound, fmt.Sprintf("Mark one with default = true, or name it: %s.NAME.", n.word),
				"%s: no %s is the default", n.word, n.kind)
		}
		return n.get(def)
	}
	if v := n.docs.Bind(n, name); v != nil {
		return v, nil
	}
	return n.get(name)
}

// AttrNames lists the blocks and the methods.
func (n *namespace) AttrNames() []string {
	out := append(n.docs.Names(), n.run.Host.Names(n.kind)...)
	slices.Sort(out)
	return slices.Compact(out)
}

// Get returns ds[name], which reaches blocks named like a method too.
func (n *namespace) Get(k starlark.Value) (starlark.Value, bool, error) {
	name, ok := k.(starlark.String)
	if !ok {
		return nil, false, fault.New(fault.InvalidArgument, "%s: got %s for a name, want string", n.word, k.Type())
	}
	v, err := n.get(string(name))
	return v, err == nil, err
}

// Iterate yields the names.
func (n *namespace) Iterate() starlark.Iterator { return &nameIterator{n.run.Host.Names(n.kind)} }

func (n *namespace) String() string        { return "<" + n.word + ">" }
func (n *namespace) Type() string          { return n.word }
func (*namespace) Freeze()                 {}
func (*namespace) Truth() starlark.Bool    { return true }
func (n *namespace) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: %s", n.word) }

// names is the body of ds.names and topics.names.
func names(c *Call) (starlark.Value, error) {
	n := c.Recv.(*namespace)
	return fromGo(n.run.Host.Names(n.kind)), nil
}

var dsNames = Declare(Func{
	Name: "ds.names", Returns: "list[string]",
	Doc:     "The names of the declared datastores, in the order of declaration.",
	Example: `ds.names()  # -> ["lake", "out"]`,
}, func(*Params) Impl { return names })

var topicsNames = Declare(Func{
	Name: "topics.names", Returns: "list[string]",
	Doc:     "The names of the declared topics, in the order of declaration.",
	Example: `topics.names()  # -> ["events"]`,
}, func(*Params) Impl { return names })

var dsMethods = NewMethods("ds", "The declared datastores: ds.NAME or ds[\"NAME\"]. A store is opened when it is first asked for.",
	[]AttrDoc{{"default", "store", "The datastore that is declared with default = true."}}, dsNames)

var topicsMethods = NewMethods("topics", "The declared topics: topics.NAME or topics[\"NAME\"]. A topic is opened when it is first asked for.",
	[]AttrDoc{{"default", "topic", "The topic that is declared with default = true."}}, topicsNames)
