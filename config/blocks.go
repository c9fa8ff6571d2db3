package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// block is a block of either syntax, or what remains of it after overrides.
type block struct {
	typ    string
	labels []string
	// labelRanges and header are places in the file that declared the block.
	labelRanges []hcl.Range
	header      hcl.Range
	attrs       map[string]*attr
	blocks      []*block
}

// attr is one argument: it keeps its own file, because an override may replace a single one.
type attr struct {
	name      string
	nameRange hcl.Range
	expr      hcl.Expression // as parsed, for what is read without being evaluated
	code      *code          // for evaluation; nil for those that are not evaluated
	src       *source
	secret    bool // it belongs to a sensitive variable
}

// String returns the block's header as a user writes it.
func (b *block) String() string {
	var s strings.Builder
	s.WriteString(b.typ)
	for _, l := range b.labels {
		fmt.Fprintf(&s, " %q", l)
	}
	return s.String()
}

// sorted returns the attributes in the order of names, so that diagnostics come in the same order on every run.
func (b *block) sorted() []*attr {
	out := make([]*attr, 0, len(b.attrs))
	for _, a := range b.attrs {
		out = append(out, a)
	}
	slices.SortFunc(out, func(x, y *attr) int { return strings.Compare(x.name, y.name) })
	return out
}

// nested returns the nested blocks of a type.
func (b *block) nested(typ string) []*block {
	var out []*block
	for _, n := range b.blocks {
		if n.typ == typ {
			out = append(out, n)
		}
	}
	return out
}

// shape says which labels and nested blocks a type of block has.
type shape struct {
	labels []string // what each label is called in messages
	blocks map[string]shape
	once   bool // at most one block of the type
}

// shapes are the types of blocks at the top of a file.
var shapes = map[string]shape{
	"settings":   {once: true},
	"variable":   {labels: []string{"name"}, blocks: map[string]shape{"validation": {}}},
	"locals":     {},
	"credential": {labels: []string{"family", "name"}},
	"datastore":  {labels: []string{"kind", "name"}},
	"topic":      {labels: []string{"kind", "name"}},
	"script":     {labels: []string{"pattern"}, blocks: map[string]shape{"store": {labels: []string{"name"}}, "limits": {once: true}}},
	"runner":     {labels: []string{"kind", "name"}},
}

// blockTypes are the types in the order of the reference.
var blockTypes = []string{"settings", "variable", "locals", "credential", "datastore", "topic", "script"}

// reserved says of names that have no meaning yet why they cannot be used, and what to do instead.
var reserved = map[string]string{
	"for_each": "Write one block for each, or loop in the script.",
	"count":    "Write one block for each, or loop in the script.",
	"module":   "Put the blocks into files of the same folder instead: all *.dsrun.hcl files of a folder are one configuration.",
	"dynamic":  "Write the blocks out.",
	"runner":   "Scripts run on the machine where dsrun is started.",
}

// reader turns parsed bodies into blocks.
type reader struct {
	src   *source
	diags hcl.Diagnostics
}

func (r *reader) add(d ...*hcl.Diagnostic) { r.diags = append(r.diags, d...) }

// top reads the blocks of a file.
func (r *reader) top(body hcl.Body) []*block {
	_, blocks := r.body(body, nil, shapes)
	return blocks
}

// body reads one body; owner is nil at the top of a file.
func (r *reader) body(body hcl.Body, owner *block, known map[string]shape) (map[string]*attr, []*block) {
	if b, ok := body.(*hclsyntax.Body); ok {
		return r.native(b, owner, known)
	}
	return r.json(body, owner, known)
}

func (r *reader) native(body *hclsyntax.Body, owner *block, known map[string]shape) (map[string]*attr, []*block) {
	attrs := map[string]*attr{}
	for name, a := range body.Attributes {
		if owner == nil {
			r.strayArgument(name, a.NameRange, a.SrcRange)
			continue
		}
		if hint, ok := reserved[name]; ok && owner.typ != "locals" {
			r.add(errorAt(a.NameRange, "Reserved argument name", fmt.Sprintf("%q is reserved for a later version. %s", name, hint)))
			continue
		}
		attrs[name] = &attr{name: name, nameRange: a.NameRange, expr: a.Expr, src: r.src}
	}
	var blocks []*block
	for _, hb := range body.Blocks {
		sh, ok := known[hb.Type]
		if !r.knownType(hb.Type, hb.TypeRange, owner, known, ok) {
			continue
		}
		b := &block{typ: hb.Type, labels: hb.Labels, labelRanges: hb.LabelRanges, header: hb.DefRange()}
		if !r.labelCount(b, sh, hb.TypeRange) {
			continue
		}
		b.attrs, b.blocks = r.body(hb.Body, b, sh.blocks)
		blocks = append(blocks, b)
	}
	return attrs, blocks
}

func (r *reader) json(body hcl.Body, owner *block, known map[string]shape) (map[string]*attr, []*block) {
	schema := &hcl.BodySchema{}
	for typ, sh := range known {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: typ, LabelNames: sh.labels})
	}
	content, rest, diags := body.PartialContent(schema)
	r.diags = append(r.diags, diags...)
	plain, diags := rest.JustAttributes()
	r.diags = append(r.diags, diags...)
	attrs := map[string]*attr{}
	for name, a := range plain {
		if owner == nil {
			if r.knownType(name, a.NameRange, nil, known, false) {
				r.strayArgument(name, a.NameRange, a.Range)
			}
			continue
		}
		if hint, ok := reserved[name]; ok && owner.typ != "locals" {
			r.add(errorAt(a.NameRange, "Reserved argument name", fmt.Sprintf("%q is reserved for a later version. %s", name, hint)))
			continue
		}
		attrs[name] = &attr{name: name, nameRange: a.NameRange, expr: a.Expr, src: r.src}
	}
	var blocks []*block
	for _, hb := range content.Blocks {
		if !r.knownType(hb.Type, hb.TypeRange, owner, known, true) {
			continue
		}
		b := &block{typ: hb.Type, labels: hb.Labels, labelRanges: hb.LabelRanges, header: hb.DefRange}
		b.attrs, b.blocks = r.body(hb.Body, b, known[hb.Type].blocks)
		blocks = append(blocks, b)
	}
	return attrs, blocks
}

// strayArgument reports an argument at the top of a file.
func (r *reader) strayArgument(name string, at, context hcl.Range) {
	detail := fmt.Sprintf("%q stands outside of any block. Values that expressions use stand in a locals block, settings of the run in a settings block.", name)
	if _, ok := shapes[name]; ok {
		detail = fmt.Sprintf("%q is a block: write it without the equals sign.", name)
	}
	r.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unsupported argument", Detail: detail, Subject: &at, Context: &context})
}

// knownType reports a block of an unknown or reserved type.
func (r *reader) knownType(typ string, at hcl.Range, owner *block, known map[string]shape, ok bool) bool {
	if hint, is := reserved[typ]; is && (owner != nil || typ != "locals") {
		r.add(errorAt(at, "Reserved block type", fmt.Sprintf("%q is reserved for a later version. %s", typ, hint)))
		return false
	}
	if ok {
		return true
	}
	names := blockTypes
	where := "at the top of a file"
	if owner != nil {
		names = nil
		for n := range known {
			names = append(names, n)
		}
		slices.Sort(names)
		where = "in " + owner.String()
	}
	detail := fmt.Sprintf("There is no block %q %s.%s", typ, where, didYouMean(typ, names))
	if len(names) == 0 {
		detail = fmt.Sprintf("%s holds no blocks. If %q is an argument, write \"%s = ...\".", owner.String(), typ, typ)
	} else if Suggest(typ, names) == "" {
		detail += " The blocks are " + list(names, "and") + "."
	}
	r.add(errorAt(at, "Unsupported block type", detail))
	return false
}

// labelCount reports missing and extra labels of a native block.
func (r *reader) labelCount(b *block, sh shape, at hcl.Range) bool {
	want := b.typ
	for _, l := range sh.labels {
		want += fmt.Sprintf(" %q", strings.ToUpper(l))
	}
	switch {
	case len(b.labels) < len(sh.labels):
		missing := sh.labels[len(b.labels):]
		r.add(errorAt(b.header, "Missing block label", fmt.Sprintf("The %s is missing: write %s { ... }.", list(missing, "and"), want)))
		return false
	case len(b.labels) > len(sh.labels):
		r.add(errorAt(b.labelRanges[len(sh.labels)], "Extraneous block label", fmt.Sprintf("The label %q is one too many: write %s { ... }.", b.labels[len(sh.labels)], want)))
		return false
	}
	return true
}
