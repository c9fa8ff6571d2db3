// Package providertest holds what every provider's declaration promises: names, documentation, examples and defaults
// that are right, and secrets that are never shown.
package providertest

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/provider"
)

// Option changes what Check expects.
type Option func(*checker)

// NotSecret names attributes that look like secrets by their names and are none, such as ordering_key.
func NotSecret(names ...string) Option {
	return func(c *checker) { c.public = append(c.public, names...) }
}

// Check fails t for everything that is wrong with the declaration of a provider.
func Check(t testing.TB, p provider.Provider, options ...Option) {
	t.Helper()
	for _, problem := range Problems(p, options...) {
		t.Errorf("%s %q: %s", p.Body.Block, p.Body.Label, problem)
	}
}

// Problems returns what Check would report.
func Problems(p provider.Provider, options ...Option) []string {
	c := &checker{body: p.Body}
	for _, o := range options {
		o(c)
	}
	c.provider(p)
	_, c.fields = p.Body.Declare()
	c.stable()
	for _, f := range c.fields.List {
		c.field(f)
	}
	c.relations()
	c.example()
	return c.problems
}

type checker struct {
	body     schema.Body
	fields   *schema.Fields
	public   []string
	problems []string
}

func (c *checker) add(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

var (
	snake      = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	secretLike = regexp.MustCompile(`(^|_)(key|token|password|passphrase|secret|sas|connection_string)$`)
)

// sentence reports what is wrong with a text that should be a sentence or several.
func sentence(s string) string {
	switch {
	case s == "":
		return "is empty"
	case strings.TrimSpace(s) != s || strings.Contains(s, "\n"):
		return "has space around it or a line break in it"
	case !strings.HasSuffix(s, "."):
		return "does not end with a stop"
	case s[0] >= 'a' && s[0] <= 'z':
		return "does not start with a capital"
	}
	return ""
}

// provider checks the provider as a whole.
func (c *checker) provider(p provider.Provider) {
	if !snake.MatchString(c.body.Label) {
		c.add("the label is not in snake_case")
	}
	if w := sentence(c.body.Summary); w != "" {
		c.add("the summary %s: %q", w, c.body.Summary)
	}
	opens := map[string]bool{provider.KindStore: p.OpenStore != nil, provider.KindTopic: p.OpenTopic != nil, provider.KindCredential: p.OpenCredential != nil}
	if _, known := opens[c.body.Block]; !known {
		c.add("there is no kind of block %q", c.body.Block)
	}
	for kind, has := range opens {
		if has != (kind == c.body.Block) {
			c.add("it can open a %s: %v", kind, has)
		}
	}
	for _, f := range c.body.Families {
		if !snake.MatchString(f) {
			c.add("the family %q is not in snake_case", f)
		}
	}
}

// stable checks that the declaration is the same each time, and that the structs do not share what they point to.
func (c *checker) stable() {
	a, fa := c.body.Declare()
	b, fb := c.body.Declare()
	if reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() && reflect.TypeOf(a).Elem().Size() > 0 {
		c.add("New returns the same struct twice")
	}
	if len(fa.List) != len(fb.List) {
		c.add("the declaration differs from one time to the next")
		return
	}
	for i := range fa.List {
		if fa.List[i].Name != fb.List[i].Name || fa.List[i].Kind != fb.List[i].Kind {
			c.add("the declaration of %q differs from one time to the next", fa.List[i].Name)
		}
	}
}

// field checks one attribute.
func (c *checker) field(f *schema.Field) {
	if !snake.MatchString(f.Name) {
		c.add("the attribute %q is not in snake_case", f.Name)
	}
	if w := sentence(f.Doc); w != "" {
		c.add("the documentation of %q %s: %q", f.Name, w, f.Doc)
	}
	common := &schema.Fields{}
	schema.CommonFields(common, &schema.Common{}, c.body.Block, c.body.Families)
	for _, x := range common.List {
		if x.Name == f.Name {
			c.add("the attribute %q hides the one that every %s has", f.Name, c.body.Block)
		}
	}
	if slices.Contains([]string{"method", "for_each", "count", "module", "dynamic"}, f.Name) {
		c.add("the attribute %q has a reserved name", f.Name)
	}
	texty := f.Kind == schema.KindString || f.Kind == schema.KindMap || f.Kind == schema.KindStrings
	if texty && !f.Sensitive && secretLike.MatchString(f.Name) && !slices.Contains(c.public, f.Name) {
		c.add("the attribute %q is named like a secret and is not sensitive", f.Name)
	}
	if f.Sensitive && f.DefaultText != "" {
		c.add("the sensitive attribute %q has a default", f.Name)
	}
	if f.IsRequired && f.DefaultText != "" {
		c.add("the attribute %q is required and has a default", f.Name)
	}
	if v := reflect.ValueOf(f.Target()).Elem(); !v.IsZero() && f.DefaultText == "" {
		c.add("the default of %q is not documented", f.Name)
	}
	if f.Kind == schema.KindRef && len(f.RefTo) == 0 {
		c.add("the reference %q names no kind of block", f.Name)
	}
}

// relations checks that methods and rules speak of attributes that exist.
func (c *checker) relations() {
	known := map[string]bool{}
	for _, f := range c.fields.List {
		known[f.Name] = true
	}
	check := func(where string, names []string) {
		for _, n := range names {
			if !known[n] {
				c.add("%s names %q, which is no attribute", where, n)
			}
		}
	}
	seen := map[string]bool{}
	ambient := 0
	for _, m := range c.fields.Methods {
		if !snake.MatchString(m.Name) || seen[m.Name] {
			c.add("the method %q is not in snake_case, or is declared twice", m.Name)
		}
		seen[m.Name] = true
		if w := sentence(m.Doc); w != "" {
			c.add("the documentation of the method %q %s: %q", m.Name, w, m.Doc)
		}
		check(fmt.Sprintf("the method %q", m.Name), slices.Concat(m.Need, m.NeedOne, m.Allow))
		if m.Ambient {
			ambient++
		}
	}
	if ambient > 1 {
		c.add("%d methods are ambient", ambient)
	}
	if len(c.fields.Methods) > 0 && c.body.Block != provider.KindCredential {
		c.add("only credentials have methods")
	}
	for _, r := range c.fields.Rules {
		check("a rule", r.Names)
	}
}

// one is a registry of a single provider.
type one struct{ body schema.Body }

func (o one) Lookup(kind, label string) (schema.Body, bool) {
	return o.body, kind == o.body.Block && label == o.body.Label
}

func (o one) Labels(kind string) []string {
	if kind == o.body.Block {
		return []string{o.body.Label}
	}
	return nil
}

// load decodes a block and returns its options, or the mistakes in it.
func load(body schema.Body, src string) (schema.Fielder, []config.Diag) {
	c, diags := config.Load([]config.File{{Name: "example.dsrun.hcl", Dir: "/", Bytes: []byte(src)}}, config.Options{Schemas: one{body}})
	if diags.HasErrors() {
		return nil, c.Diags(diags)
	}
	return c.Decls[0].Options, nil
}

// with returns the source of an example with one attribute more, or in place of what it has.
func with(example, name, value string) string {
	lines := strings.Split(strings.TrimRight(example, "\n"), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool {
		n, _, ok := strings.Cut(l, "=")
		return ok && strings.TrimSpace(n) == name
	})
	if value != "" {
		lines = slices.Insert(lines, len(lines)-1, "  "+name+" = "+value)
	}
	return strings.Join(lines, "\n") + "\n"
}

// example checks that the example of the reference page decodes, that each attribute's own example does, and that the
// documented defaults are the ones that absent attributes have.
func (c *checker) example() {
	src := schema.Example(c.body)
	if _, diags := load(c.body, src); diags != nil {
		c.add("its example does not decode: %s: %s\n%s", diags[0].Summary, diags[0].Detail, src)
		for _, f := range c.fields.List {
			if !f.IsRequired && f.Example != "" {
				src = with(src, f.Name, "")
			}
		}
		if _, diags := load(c.body, src); diags != nil {
			return
		}
	}
	for _, f := range c.fields.List {
		if f.Example != "" && f.Kind != schema.KindRef {
			if _, diags := load(c.body, with(src, f.Name, f.Example)); concerns(diags, f.Name) {
				c.add("the example of %q does not decode: %s", f.Name, diags[0].Detail)
			}
		}
		if f.DefaultText == "" {
			continue
		}
		absent, bad := load(c.body, with(src, f.Name, ""))
		given, diags := load(c.body, with(src, f.Name, f.DefaultText))
		switch {
		case diags != nil:
			c.add("the default of %q does not decode: %s: %s", f.Name, diags[0].Summary, diags[0].Detail)
		case bad == nil && !reflect.DeepEqual(absent, given):
			c.add("the default of %q is not %s, as documented", f.Name, f.DefaultText)
		}
	}
}

// concerns reports whether a mistake is in the value of an attribute, not in its relation to others.
func concerns(diags []config.Diag, name string) bool {
	for _, d := range diags {
		if strings.Contains(d.Summary, "value") && d.Snippet != nil && strings.Contains(d.Snippet.Code, name) {
			return true
		}
	}
	return false
}
