package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
)

// loader holds what Load needs while it works.
type loader struct {
	c        *Config
	schemas  Schemas
	diags    hcl.Diagnostics
	varOrder []*varDecl
	broken   bool // a file could not be read whole: names may be missing for that reason alone
}

func (l *loader) add(d ...*hcl.Diagnostic) { l.diags = append(l.diags, d...) }

// Load reads the files as one configuration: those of a folder, with the overrides among them, or one file alone. It
// works offline: env() and the functions of secret:: give unknown values, and what depends on them is checked by Resolve.
// Every mistake of all files is reported, in order of place. The configuration is never nil; with errors among the
// diagnostics it serves only to show them.
func Load(files []File, o Options) (*Config, hcl.Diagnostics) {
	c := &Config{Settings: *schema.NewSettings(), Env: o.Env, src: newSources(), vars: map[string]*varDecl{}, locals: map[string]*attr{},
		readFile: o.ReadFile, seen: o.Seen}
	l := &loader{c: c, schemas: o.Schemas}
	c.refs = newRefs(o.Schemas.Labels)
	c.learnSensitive(o.Schemas)
	blocks := l.read(files)
	c.blocks = blocks
	for _, b := range blocks {
		switch b.typ {
		case "variable":
			l.declareVariable(b)
		case "locals":
			l.declareLocals(b)
		case "credential", "datastore", "topic":
			l.declare(b)
		}
	}
	l.c.learnVariables()
	c.refs.build()
	l.giveValues(o)

	e := newEvaluator(c, nil)
	l.settings(e, blocks, o.Version)
	for _, v := range l.varOrder {
		e.cell("var", v.Name)
		c.Variables = append(c.Variables, v.Variable)
	}
	for _, name := range sortedKeys(c.locals) {
		e.cell("local", name)
	}
	for _, v := range l.varOrder {
		e.validate(v)
	}
	for _, d := range c.Decls {
		d.Options, d.fields, d.Common = e.declaration(d)
		d.needs = needs(d.fields)
		if d.Body.Warning != "" {
			e.add(ruled(RuleDiscouragedKind, d.Range, "Discouraged kind", fmt.Sprintf("The %s %q: %s", labelWord(d.Kind), d.Type, sentence(d.Body.Warning))))
		}
	}
	l.defaults(e)
	l.refCycles(e)
	for _, b := range blocks {
		if b.typ == "script" {
			l.script(e, b)
		}
	}
	c.known = e.hide
	e.diags = append(l.diags, e.diags...)
	return c, e.finish()
}

// read parses the files and merges the overrides into the rest.
func (l *loader) read(files []File) []*block {
	var blocks, over []*block
	for _, f := range files {
		src, body := l.parse(f, false)
		if body == nil {
			continue
		}
		r := &reader{src: src}
		got := r.top(body)
		l.add(r.diags...)
		if isOverride(f.Name) {
			over = append(over, got...)
		} else {
			blocks = append(blocks, got...)
		}
	}
	l.merge(blocks, over)
	for _, b := range blocks {
		l.compileAll(b)
	}
	return blocks
}

// parse reads one file. The body is nil when nothing of it can be used.
func (l *loader) parse(f File, values bool) (*source, hcl.Body) {
	f.Bytes = bytes.TrimPrefix(f.Bytes, []byte("\xef\xbb\xbf")) // a byte order mark, as some editors write
	src := l.c.src.add(f, values)
	if diags := prescan(f, src.json); diags.HasErrors() {
		l.add(diags...)
		src.broken, l.broken, l.c.partial = true, true, true
		return src, nil
	}
	var file *hcl.File
	var diags hcl.Diagnostics
	if src.json {
		file, diags = hcljson.Parse(f.Bytes, f.Name)
	} else {
		file, diags = hclsyntax.ParseConfig(f.Bytes, f.Name, hcl.InitialPos)
	}
	l.add(withoutEchoes(diags)...)
	if diags.HasErrors() {
		src.broken, l.broken, l.c.partial = true, true, true
	}
	if file == nil {
		return src, nil
	}
	src.file = file
	return src, file.Body
}

// withoutEchoes drops the diagnostics of a parser that follow from the one before: at the same place, or an unclosed
// string that runs on over the next lines.
func withoutEchoes(diags hcl.Diagnostics) hcl.Diagnostics {
	const open = "Invalid multi-line string"
	var out hcl.Diagnostics
	places := map[hcl.Pos]bool{}
	openLine := -1
	for _, d := range diags {
		if d.Subject == nil {
			out = append(out, d)
			continue
		}
		echo := places[d.Subject.Start]
		places[d.Subject.Start] = true
		if d.Summary == open {
			echo = echo || openLine == d.Subject.Start.Line-1
			openLine = d.Subject.Start.Line
		}
		if !echo {
			out = append(out, d)
		}
	}
	return out
}

func (l *loader) compile(a *attr) *code {
	c, diags := compile(a.expr)
	l.add(diags...)
	if diags.HasErrors() {
		return nil
	}
	return c
}

// compileAll makes every attribute of a block ready for evaluation. Those of variables are for declareVariable.
func (l *loader) compileAll(b *block) {
	if b.typ == "variable" {
		return
	}
	for _, a := range b.attrs {
		a.code = l.compile(a)
	}
	for _, n := range b.blocks {
		l.compileAll(n)
	}
}

func (l *loader) declareLocals(b *block) {
	for _, a := range b.sorted() {
		if !nameForm.MatchString(a.name) {
			l.add(errorAt(a.nameRange, "Invalid name", nameRule("local", a.name)))
			continue
		}
		if old, dup := l.c.locals[a.name]; dup {
			l.add(errorAt(a.nameRange, "Duplicate local", fmt.Sprintf("The local %q is defined at %s already. Remove one of them.", a.name, place(old.nameRange))))
			continue
		}
		l.c.locals[a.name] = a
	}
}

// declare registers a credential, datastore or topic.
func (l *loader) declare(b *block) {
	if !l.goodName(b, 1, b.typ) {
		return
	}
	typ, name := b.labels[0], b.labels[1]
	if b.typ != "credential" && slices.Contains(scriptWords, name) {
		l.add(errorAt(b.labelRanges[1], "Reserved name", fmt.Sprintf("Scripts write %s.%s, and %q means something else there. Choose another name, such as %q.", scriptRoot[b.typ], name, name, name+"_"+b.typ)))
	}
	body, ok := l.schemas.Lookup(b.typ, typ)
	if !ok {
		labels := l.schemas.Labels(b.typ)
		detail := fmt.Sprintf("There is no %s %q.%s", labelWord(b.typ), typ, didYouMean(typ, labels))
		if Suggest(typ, labels) == "" && len(labels) > 0 {
			detail += " There is " + list(labels, "and") + "."
		}
		l.add(errorAt(b.labelRanges[0], "Unknown "+labelWord(b.typ), detail))
		l.c.refs.add(b.typ, typ, name) // so that references to it are not reported too
		return
	}
	for _, d := range l.c.Decls {
		// Scripts and the command line know datastores and topics by name alone.
		clash := d.Name == name && (d.Kind == b.typ && d.Type == typ || d.Kind != "credential" && b.typ != "credential")
		if clash {
			l.add(errorAt(b.labelRanges[1], "Duplicate name", fmt.Sprintf("%s %q %q is declared at %s already. The names of datastores and topics are unique, whatever their kinds, and those of credentials within a family.", d.Kind, d.Type, d.Name, place(d.Range))))
			return
		}
	}
	l.c.refs.add(b.typ, typ, name)
	l.c.Decls = append(l.c.Decls, &Decl{Kind: b.typ, Type: typ, Name: name, Body: body, Range: b.header, block: b})
}

// declaration decodes a block: its own options and the common ones.
func (e *evaluator) declaration(d *Decl) (schema.Fielder, *schema.Fields, schema.Common) {
	o, own := d.Body.Declare()
	var c schema.Common
	common := &schema.Fields{}
	schema.CommonFields(common, &c, d.Kind, d.Body.Families)
	got := e.decode(d.block, own, common)
	e.relate(d.block, own, got)
	e.method(d.block, own, got)
	if d.Kind != "credential" && got.known["credential"] && !slices.Contains(d.Body.Families, c.Credential.Type) {
		a := d.block.attrs["credential"]
		e.add(errorAt(a.expr.Range(), "Wrong credential family", fmt.Sprintf("The %s %q takes a credential of the family %s, and %s is of the family %q.", labelWord(d.Kind), d.Type, list(d.Body.Families, "or"), c.Credential, c.Credential.Type)))
		c.Credential = schema.Ref{}
	}
	e.mustKnow(d.block, got, "default")
	if c.Insecure {
		e.add(ruled(RuleInsecureConnection, d.block.attrs["insecure"].nameRange, "Insecure connection", fmt.Sprintf("%s does not check the server's certificate: whoever sits on the way can read and change everything. Use ca_file instead.", d.block)))
	}
	return o, own, c
}

// defaults checks that at most one block is the default.
func (l *loader) defaults(e *evaluator) {
	first := map[string]*Decl{}
	for _, d := range l.c.Decls {
		if !d.Common.Default {
			continue
		}
		group, what := d.Kind, d.Kind
		if d.Kind == "credential" {
			group += " " + d.Type
			what = fmt.Sprintf("credential of the family %q", d.Type)
		}
		if old, dup := first[group]; dup {
			e.add(errorAt(d.block.attrs["default"].nameRange, "Duplicate default", fmt.Sprintf("Only one %s can be the default, and %s at %s is it already.", what, old.Ref(), place(old.Range))))
			continue
		}
		first[group] = d
	}
}

// refCycles reports credentials that need each other.
func (l *loader) refCycles(e *evaluator) {
	const (
		busy = 1
		done = 2
	)
	state := map[schema.Ref]int{}
	var path []schema.Ref
	var visit func(r schema.Ref)
	visit = func(r schema.Ref) {
		d, ok := l.c.Find(r)
		if !ok || state[r] == done {
			return
		}
		if state[r] == busy {
			var words []string
			for _, p := range append(slices.Clone(path[slices.Index(path, r):]), r) {
				words = append(words, p.String())
			}
			e.add(errorAt(d.Range, "Reference cycle", fmt.Sprintf("The credential needs itself: %s. Break the circle.", strings.Join(words, " -> "))))
			return
		}
		state[r] = busy
		path = append(path, r)
		for _, n := range d.needs {
			visit(n)
		}
		path = path[:len(path)-1]
		state[r] = done
	}
	for _, d := range l.c.Decls {
		visit(d.Ref())
	}
}

// needs are the credentials that the options of a credential refer to.
func needs(own *schema.Fields) []schema.Ref {
	var out []schema.Ref
	for _, f := range own.List {
		if r, ok := f.Target().(*schema.Ref); ok && r.Kind == "credential" {
			out = append(out, *r)
		}
	}
	return out
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// scriptRoot is the word before a name in scripts.
var scriptRoot = map[string]string{"datastore": "ds", "topic": "topics"}

// scriptWords are names that scripts cannot write after a dot: keywords of Starlark, and what ds and topics have themselves.
var scriptWords = strings.Fields(`names default and break continue def elif else for if in lambda load not or pass return while
	as assert async await class del except finally from global import is nonlocal raise try with yield`)

// goodName checks the name of a block.
func (l *loader) goodName(b *block, label int, what string) bool {
	if name := b.labels[label]; !nameForm.MatchString(name) || len(name) > 64 {
		l.add(errorAt(b.labelRanges[label], "Invalid name", nameRule(what, name)))
		return false
	}
	return true
}

var notName = regexp.MustCompile(`[^a-z0-9_]+`)

func nameRule(what, name string) string {
	fixed := strings.Trim(notName.ReplaceAllString(strings.ToLower(name), "_"), "_")
	if !nameForm.MatchString(fixed) {
		fixed = "x" + fixed
	}
	if len(name) > 64 {
		return fmt.Sprintf("The name of a %s has at most 64 characters.", what)
	}
	return fmt.Sprintf("The name of a %s starts with a lowercase letter and holds only lowercase letters, digits and underscores, such as %q.", what, strings.TrimRight(fixed, "_"))
}

// place writes a range as a person refers to it.
func place(r hcl.Range) string { return fmt.Sprintf("%s line %d", r.Filename, r.Start.Line) }

// unsupported is the diagnostic of an argument that a block does not have.
func unsupported(a *attr, b *block, names []string) *hcl.Diagnostic {
	detail := fmt.Sprintf("%s has no argument %q.%s", b, a.name, didYouMean(a.name, names))
	if Suggest(a.name, names) == "" && len(names) > 0 {
		slices.Sort(names)
		detail += " It has " + plain(slices.Compact(names), "and") + "."
	}
	if a.name == "credential" && (b.typ == "datastore" || b.typ == "topic") {
		detail = fmt.Sprintf("The %s %q takes no credential. Remove it.", labelWord(b.typ), b.labels[0])
	}
	return errorAt(a.nameRange, "Unsupported argument", detail)
}

func (l *loader) unsupported(a *attr, b *block, names []string) { l.add(unsupported(a, b, names)) }
