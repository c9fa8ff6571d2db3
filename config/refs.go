package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// refType is the type of a reference to a block. It is a value like any other: it can stand in a local, in a list, or in
// a branch of a conditional.
var refType = cty.CapsuleWithOps("reference", reflect.TypeFor[schema.Ref](), &cty.CapsuleOps{
	TypeGoString: func(reflect.Type) string { return "reference" },
	GoString:     func(v any) string { return v.(*schema.Ref).String() },
	RawEquals:    func(a, b any) bool { return *a.(*schema.Ref) == *b.(*schema.Ref) },
	Equals:       func(a, b any) cty.Value { return cty.BoolVal(*a.(*schema.Ref) == *b.(*schema.Ref)) },
	HashKey:      func(v any) string { return v.(*schema.Ref).String() },
})

// refs are the blocks that can be referred to.
type refs struct {
	names  map[string]map[string][]string // kind, type: names
	values map[string]cty.Value           // by kind
	labels func(kind string) []string
}

func newRefs(labels func(string) []string) *refs {
	return &refs{names: map[string]map[string][]string{"credential": {}, "datastore": {}, "topic": {}}, values: map[string]cty.Value{}, labels: labels}
}

func (r *refs) add(kind, typ, name string) {
	r.names[kind][typ] = append(r.names[kind][typ], name)
}

// build makes the values once all blocks are known.
func (r *refs) build() {
	for kind, types := range r.names {
		objs := map[string]cty.Value{}
		for typ, names := range types {
			vals := map[string]cty.Value{}
			for _, n := range names {
				vals[n] = cty.CapsuleVal(refType, &schema.Ref{Kind: kind, Type: typ, Name: n})
			}
			objs[typ] = cty.ObjectVal(vals)
		}
		r.values[kind] = cty.ObjectVal(objs)
	}
}

func (r *refs) value(kind string) cty.Value { return r.values[kind] }

// check reports the first step of a reference that leads nowhere.
func (r *refs) check(e *evaluator, t hcl.Traversal) bool {
	kind := t.RootName()
	types := r.names[kind]
	fail := func(rng hcl.Range, summary, detail string) bool {
		e.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng, Context: t.SourceRange().Ptr()})
		return false
	}
	if len(t) < 2 {
		return true
	}
	typ, rng, ok := stepName(t[1])
	if !ok {
		return true // computed: HCL looks it up
	}
	names, ok := types[typ]
	if !ok {
		what := labelWord(kind)
		for _, other := range sortedKeys(types) {
			if slices.Contains(types[other], typ) {
				return fail(rng, "Unknown "+what, fmt.Sprintf("The %s belongs between: write %q.", what, schema.Ref{Kind: kind, Type: other, Name: typ}))
			}
		}
		if slices.Contains(r.labels(kind), typ) {
			return fail(rng, "Unknown "+kind, fmt.Sprintf("No %s of the %s %q is declared. %s", kind, what, typ, r.declared(kind, typ)))
		}
		known := append(sortedKeys(types), r.labels(kind)...)
		detail := fmt.Sprintf("There is no %s %q.%s", what, typ, didYouMean(typ, known))
		if Suggest(typ, known) == "" {
			detail += " " + r.declared(kind, typ)
		}
		return fail(rng, "Unknown "+what, detail)
	}
	if len(t) < 3 {
		return true
	}
	name, rng, ok := stepName(t[2])
	if !ok {
		return true
	}
	if !slices.Contains(names, name) {
		detail := fmt.Sprintf("There is no %s %q %q.%s", kind, typ, name, didYouMean(name, names))
		if Suggest(name, names) == "" {
			detail += " " + r.declared(kind, typ)
		}
		return fail(rng, "Unknown "+kind, detail)
	}
	if len(t) > 3 {
		_, rng, _ := stepName(t[3])
		return fail(rng, "Attribute of a block", fmt.Sprintf("The attributes of a block cannot be read. Refer to the block itself, %q, or put the value into a local that both use.", schema.Ref{Kind: kind, Type: typ, Name: name}))
	}
	return true
}

// declared says what there is instead.
func (r *refs) declared(kind, typ string) string {
	var all []string
	for _, t := range sortedKeys(r.names[kind]) {
		for _, n := range r.names[kind][t] {
			all = append(all, schema.Ref{Kind: kind, Type: t, Name: n}.String())
		}
	}
	switch {
	case len(all) == 0:
		return fmt.Sprintf("Declare one: %s %q \"name\" { }.", kind, typ)
	case len(all) > 8:
		return fmt.Sprintf("%d others are declared, such as %s.", len(all), list(all[:3], "or"))
	}
	return "Declared: " + list(all, "and") + "."
}

// labelWord is what the first label of a kind of block is called.
func labelWord(kind string) string {
	if kind == "credential" {
		return "credential family"
	}
	return kind + " kind"
}
