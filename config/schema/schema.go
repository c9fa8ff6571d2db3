// Package schema declares a configuration block once; decoding, defaults, validation, documentation, JSON schema,
// completion and redaction are all made from that declaration.
//
//	type Options struct{ Path string; Create bool }
//
//	func (o *Options) Fields(f *schema.Fields) {
//		f.Path(&o.Path, "path", "Folder that holds the objects.").Required()
//		f.Bool(&o.Create, "create", "Make the folder when it is missing.")
//	}
package schema

import (
	"fmt"
	"time"

	"github.com/dsrun/dsrun/engine/secret"
)

// Fielder is implemented by the options struct of a block: Fields declares each attribute and binds it to a place in
// the struct. It is called for every decoding, on a new struct, and must declare the same fields each time.
type Fielder interface{ Fields(f *Fields) }

// Kind is the type of an attribute's value.
type Kind string

// The kinds of attributes.
const (
	KindString   Kind = "string"
	KindSecret   Kind = "secret" // a sensitive string
	KindPath     Kind = "path"   // a path, relative to the folder of the file that holds it
	KindBool     Kind = "bool"
	KindInt      Kind = "int"
	KindSize     Kind = "size"     // bytes: 8388608 or "8MiB"
	KindDuration Kind = "duration" // "90s", "5m"
	KindStrings  Kind = "list(string)"
	KindMap      Kind = "map(string)"
	KindRef      Kind = "reference" // to another block: credential.aws.main
)

// Field is one declared attribute.
type Field struct {
	Name        string
	Doc         string // a sentence
	Kind        Kind
	IsRequired  bool
	Sensitive   bool
	DefaultText string   // as a user would write it in HCL; "" means none
	Choices     []string // allowed values; nil means any
	RefTo       []string // for KindRef: "credential", "datastore", "topic"
	Example     string   // an HCL expression
	Deprecated  string   // what to use instead; "" means not deprecated
	Env         []string // environment names that the family's default method reads for it (documentation only)
	check       func() error
	target      any
}

// Target returns the pointer that the field is bound to.
func (f *Field) Target() any { return f.target }

// Check runs the field's own validation on the decoded struct.
func (f *Field) Check() error {
	if f.check == nil {
		return nil
	}
	return f.check()
}

// Required marks the attribute as one that must be set.
func (f *Field) Required() *Field { f.IsRequired = true; return f }

// Default documents the value that an absent attribute has, as HCL text. The bound variable must hold it already:
// decoding leaves the variable alone when the attribute is absent or null.
func (f *Field) Default(text string) *Field { f.DefaultText = text; return f }

// OneOf allows only the given values.
func (f *Field) OneOf(values ...string) *Field { f.Choices = values; return f }

// Eg gives an example value as HCL text.
func (f *Field) Eg(expr string) *Field { f.Example = expr; return f }

// Validate adds a check that runs once the value is known. Its error is a sentence with the remedy and never holds a
// sensitive value.
func (f *Field) Validate(fn func() error) *Field { f.check = fn; return f }

// Instead marks the attribute as deprecated in favour of what is named.
func (f *Field) Instead(what string) *Field { f.Deprecated = what; return f }

// FromEnv documents environment names that the default chain honours for this attribute.
func (f *Field) FromEnv(names ...string) *Field { f.Env = names; return f }

// Ref is a reference to another block, such as credential.aws.main. The zero Ref is unset.
type Ref struct{ Kind, Type, Name string }

// IsZero reports whether the reference is unset.
func (r Ref) IsZero() bool { return r == Ref{} }

// String returns the reference as written in HCL.
func (r Ref) String() string { return r.Kind + "." + r.Type + "." + r.Name }

// Fields collects the declarations of one block. Declaring a name twice panics: it is the programmer's mistake.
type Fields struct {
	List    []*Field
	Methods []*Method
	Rules   []Rule
	method  *string
}

func (f *Fields) add(target any, kind Kind, name, doc string) *Field {
	for _, x := range f.List {
		if x.Name == name {
			panic(fmt.Sprintf("schema: field %q declared twice", name))
		}
	}
	x := &Field{Name: name, Doc: doc, Kind: kind, Sensitive: kind == KindSecret, target: target}
	f.List = append(f.List, x)
	return x
}

// String declares a text.
func (f *Fields) String(p *string, name, doc string) *Field { return f.add(p, KindString, name, doc) }

// Secret declares a sensitive text.
func (f *Fields) Secret(p *secret.String, name, doc string) *Field {
	return f.add(p, KindSecret, name, doc)
}

// Path declares a path; relative ones are made absolute against the folder of the file that holds the attribute.
func (f *Fields) Path(p *string, name, doc string) *Field { return f.add(p, KindPath, name, doc) }

// Bool declares a truth value.
func (f *Fields) Bool(p *bool, name, doc string) *Field { return f.add(p, KindBool, name, doc) }

// Int declares a whole number.
func (f *Fields) Int(p *int64, name, doc string) *Field { return f.add(p, KindInt, name, doc) }

// Size declares a number of bytes.
func (f *Fields) Size(p *int64, name, doc string) *Field { return f.add(p, KindSize, name, doc) }

// Duration declares a length of time.
func (f *Fields) Duration(p *time.Duration, name, doc string) *Field {
	return f.add(p, KindDuration, name, doc)
}

// Strings declares a list of texts.
func (f *Fields) Strings(p *[]string, name, doc string) *Field {
	return f.add(p, KindStrings, name, doc)
}

// Map declares a map of texts.
func (f *Fields) Map(p *map[string]string, name, doc string) *Field {
	return f.add(p, KindMap, name, doc)
}

// Ref declares a reference to a block of one of the given kinds ("credential", "datastore", "topic").
func (f *Fields) Ref(p *Ref, name, doc string, kinds ...string) *Field {
	x := f.add(p, KindRef, name, doc)
	x.RefTo = kinds
	return x
}

// Method is one way that a credential can be given. It is inferred from the attributes that are set.
type Method struct {
	Name, Doc string
	Need      []string // all of these are set
	NeedOne   []string // exactly one of these is set
	Allow     []string // these may be set
	Ambient   bool     // what is not set comes from the environment (method "default")
}

// Needs names the attributes that the method requires.
func (m *Method) Needs(names ...string) *Method { m.Need = names; return m }

// NeedsOneOf names attributes of which the method requires exactly one.
func (m *Method) NeedsOneOf(names ...string) *Method { m.NeedOne = names; return m }

// Allows names the attributes that the method takes besides.
func (m *Method) Allows(names ...string) *Method { m.Allow = names; return m }

// FromAmbient marks the method as the one that reads the environment, shared files and instance identity.
func (m *Method) FromAmbient() *Method { m.Ambient = true; return m }

// Method declares a method; p receives the name of the method that was inferred or given as `method = "..."`.
func (f *Fields) Method(p *string, name, doc string) *Method {
	f.method = p
	m := &Method{Name: name, Doc: doc}
	f.Methods = append(f.Methods, m)
	return m
}

// MethodTarget returns where the chosen method's name goes, or nil when the block has no methods.
func (f *Fields) MethodTarget() *string { return f.method }

// Rule relates several attributes.
type Rule struct {
	Op    string // exactly_one at_most_one at_least_one all_or_none
	Names []string
}

// ExactlyOneOf asks for exactly one of the attributes.
func (f *Fields) ExactlyOneOf(names ...string) { f.Rules = append(f.Rules, Rule{"exactly_one", names}) }

// AtMostOneOf allows at most one of the attributes.
func (f *Fields) AtMostOneOf(names ...string) { f.Rules = append(f.Rules, Rule{"at_most_one", names}) }

// AtLeastOneOf asks for one or more of the attributes.
func (f *Fields) AtLeastOneOf(names ...string) {
	f.Rules = append(f.Rules, Rule{"at_least_one", names})
}

// AllOrNone asks for all of the attributes or none.
func (f *Fields) AllOrNone(names ...string) { f.Rules = append(f.Rules, Rule{"all_or_none", names}) }

// Body is the schema of one kind of block: `datastore "local" "NAME" { ... }`.
type Body struct {
	Block   string // credential, datastore, topic, settings, ...
	Label   string // local, s3, aws, ...; "" for blocks without a kind
	Summary string // a sentence
	// Families are the credential families that the block's `credential` attribute accepts; nil means none.
	Families []string
	// Formats are the forms in which a topic can send events besides FormatCloudEvents; nil means no other.
	Formats []string
	// Warning is said whenever the block is used ("retired by Microsoft on 2024-02-29"); "" means none.
	Warning string
	New     func() Fielder
}

// Declare returns a new options struct and its declared fields, bound to it.
func (b Body) Declare() (Fielder, *Fields) {
	o := b.New()
	f := &Fields{}
	o.Fields(f)
	return o, f
}
