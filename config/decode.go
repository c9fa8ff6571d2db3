package config

import (
	"fmt"
	"math"
	"math/big"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// presence says whether an attribute is set.
type presence int

const (
	absent presence = iota
	maybe           // its value is unknown and may turn out to be null
	failed          // it is there, and what is wrong with it has been reported
	set
)

// decoded is what decoding a block found out.
type decoded struct {
	state map[string]presence
	known map[string]bool // the value is known and was stored
}

// decode stores the attributes of a block in the places that the fields are bound to, and reports everything that is
// wrong with them one by one. Relations among attributes are checked by relate and methods.
func (e *evaluator) decode(b *block, fields ...*schema.Fields) decoded {
	out := decoded{state: map[string]presence{}, known: map[string]bool{}}
	byName := map[string]*schema.Field{}
	var names []string
	method := false
	for _, fs := range fields {
		for _, f := range fs.List {
			byName[f.Name] = f
			names = append(names, f.Name)
		}
		method = method || len(fs.Methods) > 0
	}
	if method {
		names = append(names, "method")
	}
	for _, a := range b.sorted() {
		f, ok := byName[a.name]
		if !ok {
			if !(method && a.name == "method") {
				e.unsupported(a, b, names)
			}
			continue
		}
		out.state[a.name] = e.attribute(b, a, f, out.known)
	}
	for _, fs := range fields {
		for _, f := range fs.List {
			if f.IsRequired && out.state[f.Name] == absent && (!e.c.partial || b.attrs[f.Name] != nil) {
				e.missing(b, f)
			}
		}
	}
	return out
}

// missing reports a required attribute that is absent or null.
func (e *evaluator) missing(b *block, f *schema.Field) {
	at, detail := b.header, fmt.Sprintf("%s needs %q: %s", b, f.Name, lowerFirst(f.Doc))
	if a, ok := b.attrs[f.Name]; ok {
		at, detail = a.expr.Range(), fmt.Sprintf("%q is required here and cannot be null. %s", f.Name, f.Doc)
	}
	if f.Example != "" {
		detail += fmt.Sprintf(" Write, for example, %s = %s.", f.Name, f.Example)
	}
	e.add(errorAt(at, "Missing required argument", detail))
}

// attribute evaluates one attribute and stores its value.
func (e *evaluator) attribute(b *block, a *attr, f *schema.Field, known map[string]bool) presence {
	if f.Deprecated != "" {
		e.add(ruled(RuleDeprecatedArgument, a.nameRange, "Deprecated argument", fmt.Sprintf("%q is deprecated. Use %s instead.", a.name, f.Deprecated)))
	}
	v, ok := e.value(a, true)
	if !ok {
		return failed
	}
	if f.Sensitive {
		e.seen(v)
		v, _ = v.UnmarkDeep()
	} else if v.ContainsMarked() {
		e.add(errorAt(a.expr.Range(), "Sensitive value", fmt.Sprintf("The value is sensitive, and %q is not: it is shown in messages and logs. Use a value that is not sensitive.", a.name)))
		return failed
	}
	if v.IsNull() {
		return absent
	}
	if !v.IsWhollyKnown() {
		if !v.IsKnown() && !v.Range().DefinitelyNotNull() {
			return maybe
		}
		e.checkUnknown(a, f, v)
		return set
	}
	if problem := e.store(a, f, v); problem != "" {
		e.add(errorAt(a.expr.Range(), "Unsuitable value", problem))
		return failed
	}
	known[f.Name] = true
	if err := f.Check(); err != nil {
		e.add(errorAt(a.expr.Range(), "Invalid value", sentence(err.Error())))
		return failed
	}
	return set
}

// checkUnknown reports a value that cannot become suitable, whatever it turns out to be.
func (e *evaluator) checkUnknown(a *attr, f *schema.Field, v cty.Value) {
	t := v.Type()
	if (f.Kind == schema.KindRef) != (t == refType) && t != cty.DynamicPseudoType {
		e.add(errorAt(a.expr.Range(), "Unsuitable value", wants(a.name, f)))
	}
}

// wants says what an attribute takes.
func wants(name string, f *schema.Field) string {
	what := map[schema.Kind]string{
		schema.KindString: "a text", schema.KindSecret: "a text", schema.KindPath: "a path, as a text", schema.KindBool: "true or false",
		schema.KindInt: "a whole number", schema.KindSize: `a size, such as "8MiB" or 8388608`, schema.KindDuration: `a length of time, such as "90s" or "5m"`,
		schema.KindStrings: `a list of texts, such as ["a", "b"]`, schema.KindMap: `a map of texts, such as { a = "b" }`,
	}[f.Kind]
	if f.Kind == schema.KindRef {
		what = fmt.Sprintf("a reference without quotes, such as %s", refExample(f))
	}
	return fmt.Sprintf("%q takes %s.", name, what)
}

func refExample(f *schema.Field) string {
	if f.Example != "" {
		return f.Example
	}
	for _, k := range f.RefTo {
		return k + map[string]string{"credential": ".aws.main", "datastore": ".local.main", "topic": ".file.main"}[k]
	}
	return "credential.aws.main"
}

// store puts a known value that is not null where the field is bound. It returns what is wrong with the value.
func (e *evaluator) store(a *attr, f *schema.Field, v cty.Value) string {
	switch f.Kind {
	case schema.KindString, schema.KindSecret, schema.KindPath:
		s, err := convert.Convert(v, cty.String)
		if err != nil {
			return wants(a.name, f)
		}
		return e.storeText(a, f, s.AsString())
	case schema.KindBool:
		x, err := convert.Convert(v, cty.Bool)
		if err != nil {
			return wants(a.name, f)
		}
		*f.Target().(*bool) = x.True()
	case schema.KindInt:
		n, problem := wholeNumber(v)
		if problem != "" {
			return fmt.Sprintf("%s %s", wants(a.name, f), problem)
		}
		*f.Target().(*int64) = n
	case schema.KindSize:
		n, problem := size(v)
		if problem != "" {
			return fmt.Sprintf("%s %s", wants(a.name, f), problem)
		}
		*f.Target().(*int64) = n
	case schema.KindDuration:
		s, err := convert.Convert(v, cty.String)
		if err != nil {
			return wants(a.name, f)
		}
		d, err := time.ParseDuration(s.AsString())
		if err != nil || v.Type() != cty.String {
			return wants(a.name, f) + " Units are ms, s, m and h."
		}
		*f.Target().(*time.Duration) = d
	case schema.KindStrings:
		return storeList(a, f, v)
	case schema.KindMap:
		return storeMap(a, f, v)
	case schema.KindRef:
		if v.Type() != refType {
			return wants(a.name, f)
		}
		return e.storeRef(a, f, *v.EncapsulatedValue().(*schema.Ref))
	default:
		panic(fmt.Sprintf("schema: field %q has the unknown kind %q", f.Name, f.Kind))
	}
	return ""
}

func (e *evaluator) storeText(a *attr, f *schema.Field, s string) string {
	if f.Kind == schema.KindSecret {
		if s == "" {
			return fmt.Sprintf("%q is empty. Leave it out, or give it a value.", a.name)
		}
		e.seenText(s)
		*f.Target().(*secret.String) = secret.New(s)
		return ""
	}
	if f.Kind == schema.KindPath {
		switch {
		case s == "":
			return fmt.Sprintf("%q is empty. Name a path, or \".\" for the folder of this file.", a.name)
		case strings.ContainsRune(s, 0):
			return fmt.Sprintf("%q holds a NUL byte, which no path can have.", a.name)
		case s == "~" || strings.HasPrefix(s, "~/"):
			return fmt.Sprintf("\"~\" has no meaning in %q. Write \"${env(\"HOME\")}%s\".", a.name, s[1:])
		case !filepath.IsAbs(s):
			s = filepath.Join(a.src.Dir, s)
		}
		*f.Target().(*string) = filepath.Clean(s)
		return ""
	}
	if problem := choice(a.name, f.Choices, s); problem != "" {
		return problem
	}
	*f.Target().(*string) = s
	return ""
}

// choice says why s is none of the values that a field allows.
func choice(name string, choices []string, s string) string {
	if choices == nil {
		return ""
	}
	for _, c := range choices {
		if c == s {
			return ""
		}
	}
	return fmt.Sprintf("%q cannot be %q: it is %s.%s", name, s, list(choices, "or"), didYouMean(s, choices))
}

func storeList(a *attr, f *schema.Field, v cty.Value) string {
	if t := v.Type(); !t.IsListType() && !t.IsTupleType() && !t.IsSetType() {
		if t == cty.String {
			return wants(a.name, f) + " Put the text into brackets."
		}
		return wants(a.name, f)
	}
	out := []string{}
	for i := v.ElementIterator(); i.Next(); {
		_, x := i.Element()
		s, err := convert.Convert(x, cty.String)
		if err != nil || s.IsNull() {
			return wants(a.name, f)
		}
		if problem := choice(a.name, f.Choices, s.AsString()); problem != "" {
			return problem
		}
		out = append(out, s.AsString())
	}
	*f.Target().(*[]string) = out
	return ""
}

func storeMap(a *attr, f *schema.Field, v cty.Value) string {
	if t := v.Type(); !t.IsMapType() && !t.IsObjectType() {
		return wants(a.name, f)
	}
	out := map[string]string{}
	for i := v.ElementIterator(); i.Next(); {
		k, x := i.Element()
		s, err := convert.Convert(x, cty.String)
		if err != nil || s.IsNull() {
			return fmt.Sprintf("%s The value of %q is no text.", wants(a.name, f), k.AsString())
		}
		out[k.AsString()] = s.AsString()
	}
	*f.Target().(*map[string]string) = out
	return ""
}

func (e *evaluator) storeRef(a *attr, f *schema.Field, r schema.Ref) string {
	for _, k := range f.RefTo {
		if k == r.Kind {
			*f.Target().(*schema.Ref) = r
			return ""
		}
	}
	return fmt.Sprintf("%q takes a reference to a %s, and %s is a %s.", a.name, plain(f.RefTo, "or"), r, r.Kind)
}

// wholeNumber converts a value to a whole number of 64 bits.
func wholeNumber(v cty.Value) (int64, string) {
	n, err := convert.Convert(v, cty.Number)
	if err != nil {
		return 0, "The value is no number."
	}
	f := n.AsBigFloat()
	if !numberOK(f) || !f.IsInt() {
		return 0, "The value has a fraction or is far too large."
	}
	i, acc := f.Int64()
	if acc != big.Exact {
		return 0, "The value is too large."
	}
	return i, ""
}

// units are those of sizes, in the spelling that is understood.
var units = []struct {
	name string
	n    float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}

// size converts a number of bytes or a text such as "8MiB".
func size(v cty.Value) (int64, string) {
	if v.Type() == cty.Number {
		n, problem := wholeNumber(v)
		if problem == "" && n < 0 {
			problem = "A size is not negative."
		}
		return n, problem
	}
	if v.Type() != cty.String {
		return 0, "The value is neither a number nor a text."
	}
	text := strings.TrimSpace(v.AsString())
	factor := 1.0
	for _, u := range units {
		if cut, ok := strings.CutSuffix(text, u.name); ok {
			text, factor = strings.TrimSpace(cut), u.n
			break
		}
	}
	x, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(x) || strings.ContainsAny(text, "xXpP_"):
		return 0, "Units are B, KiB, MiB, GiB, TiB, and kB, MB, GB, TB for powers of ten."
	case x < 0:
		return 0, "A size is not negative."
	case x*factor >= 1<<63:
		return 0, "The size is too large."
	case x*factor != math.Trunc(x*factor):
		return 0, "The size is not a whole number of bytes."
	}
	return int64(x * factor), ""
}

// unsupported reports an argument that a block does not have.
func (e *evaluator) unsupported(a *attr, b *block, names []string) {
	e.add(unsupported(a, b, names))
}

func lowerFirst(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'a' && s[1] <= 'z' {
		return string(s[0]+32) + s[1:]
	}
	return s
}

// sentence makes sure that a text ends as a sentence does.
func sentence(s string) string {
	if s = strings.TrimSpace(s); s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?") || strings.HasSuffix(s, "!") {
		return s
	}
	return s + "."
}
