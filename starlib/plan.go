package starlib

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dsrun/dsrun/engine/store"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Plan is a stream as data: where its elements come from and what is done to them, in order. It is immutable. Running
// it again reads again; a partition of it (After, Before) can be shipped to another process, which finds the functions
// by their names.
type Plan struct {
	Source PlanSource `json:"source"`
	Steps  []Step     `json:"steps,omitempty"`
}

// PlanSource is where the elements of a plan come from.
type PlanSource struct {
	Op      string       `json:"op"` // list, read, lines, of or concat
	Store   string       `json:"store,omitempty"`
	Pattern string       `json:"pattern,omitempty"` // a glob over paths, or one path with Exact
	Exact   bool         `json:"exact,omitempty"`
	Pin     *store.Entry `json:"pin,omitempty"` // with Exact: the state of the object that is meant
	After   string       `json:"after,omitempty"`
	Before  string       `json:"before,omitempty"`
	Since   *time.Time   `json:"since,omitempty"`
	Limit   int          `json:"limit,omitempty"`
	Read    *ReadSpec    `json:"read,omitempty"`
	Plans   []*Plan      `json:"plans,omitempty"` // of concat

	store  *datastore
	values starlark.Iterable // of
}

// ReadSpec says how the objects of a source are read.
type ReadSpec struct {
	Format  string            `json:"format,omitempty"` // "auto": by suffix and first bytes
	Types   map[string]string `json:"types,omitempty"`
	Columns []string          `json:"columns,omitempty"`
	Header  bool              `json:"header"`
	OnBad   string            `json:"on_bad"` // fail, skip or call
	OnBadFn *FuncRef          `json:"on_bad_fn,omitempty"`
}

// Step is one thing that is done to the elements of a stream. Only the fields of its Op are set.
type Step struct {
	Op      string      `json:"op"`
	Fn      *FuncRef    `json:"fn,omitempty"`
	Columns []string    `json:"columns,omitempty"`
	Pairs   [][2]string `json:"pairs,omitempty"` // rename: old, new; cast: column, type; join: column here, column there
	Add     []Added     `json:"add,omitempty"`
	N       int64       `json:"n,omitempty"` // take, skip, batch, enumerate
	Desc    bool        `json:"desc,omitempty"`
	How     string      `json:"how,omitempty"`    // join: inner or left
	OnBad   string      `json:"on_bad,omitempty"` // cast: fail or null
	Plans   []*Plan     `json:"plans,omitempty"`  // join: the other side; concat: what follows
	Aggs    []Agg       `json:"aggs,omitempty"`   // group
}

// Added is a column that add() makes: of a function of the row, or of one value for all rows.
type Added struct {
	Name  string   `json:"name"`
	Fn    *FuncRef `json:"fn,omitempty"`
	Value any      `json:"value,omitempty"`

	value starlark.Value
}

// Agg is one aggregate of a group.
type Agg struct {
	Name   string `json:"name"`
	Op     string `json:"op"` // count sum mean min max distinct
	Column string `json:"column,omitempty"`
}

// FuncRef names a function of a script: a global def by its module and name, which another process can find again;
// any other function by the place where it is written.
type FuncRef struct {
	Name string // "lib/clean.star:fix", or "main.star:12:9" for a lambda or an inner def

	fn starlark.Callable
}

// MarshalJSON writes the name.
func (f *FuncRef) MarshalJSON() ([]byte, error) { return json.Marshal(f.Name) }

// String returns the name.
func (f *FuncRef) String() string { return f.Name }

// refTo names a function.
func refTo(fn starlark.Callable) *FuncRef {
	f, ok := fn.(*starlark.Function)
	if !ok {
		return &FuncRef{Name: "builtin:" + fn.Name(), fn: fn}
	}
	if name, ok := FuncName(f); ok {
		return &FuncRef{Name: name, fn: fn}
	}
	return &FuncRef{Name: posText(f.Position()), fn: fn}
}

// posText prints a position as file:line:col.
func posText(pos syntax.Position) string {
	return fmt.Sprintf("%s:%d:%d", pos.Filename(), pos.Line, pos.Col)
}

// JSON returns the plan as JSON text, for people and for other processes.
func (p *Plan) JSON() ([]byte, error) { return json.MarshalIndent(p, "", "  ") }

// then returns the plan with a step added.
func (p *Plan) then(s Step) *Plan {
	return &Plan{Source: p.Source, Steps: append(slices.Clip(p.Steps), s)}
}

// lazy reports whether running the plan calls functions of the script for its elements one by one, so that a consumer
// must ask for no more elements than it uses.
func (p *Plan) lazy() bool {
	lazy := slices.ContainsFunc(p.Source.Plans, (*Plan).lazy)
	for _, s := range p.Steps {
		switch s.Op {
		case "sort", "group", "stats": // these have seen all before they give the first
			lazy = false
		case "concat":
			lazy = lazy || slices.ContainsFunc(s.Plans, (*Plan).lazy)
		default:
			lazy = lazy || s.calls()
		}
	}
	return lazy
}

// calls reports whether the step calls a function of the script.
func (s *Step) calls() bool {
	return s.Fn != nil || slices.ContainsFunc(s.Add, func(a Added) bool { return a.Fn != nil })
}

// held appends the functions and values that running the plan uses.
func (p *Plan) held(out []starlark.Value) []starlark.Value {
	plans := p.Source.Plans
	fn := func(f *FuncRef) {
		if f != nil {
			out = append(out, f.fn)
		}
	}
	if p.Source.values != nil {
		out = append(out, p.Source.values)
	}
	if p.Source.Read != nil {
		fn(p.Source.Read.OnBadFn)
	}
	for _, s := range p.Steps {
		fn(s.Fn)
		for _, a := range s.Add {
			fn(a.Fn)
			out = append(out, a.value)
		}
		plans = append(plans[:len(plans):len(plans)], s.Plans...)
	}
	for _, q := range plans {
		out = q.held(out)
	}
	return out
}
