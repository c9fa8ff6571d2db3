// Package config turns HCL files into declarations. It opens nothing, knows no provider and reads nothing of its
// surroundings but what Options hand to it.
package config

import (
	"context"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/hashicorp/hcl/v2"
)

// Schemas knows the kinds of blocks; provider.Registry is one.
type Schemas interface {
	// Lookup returns the schema of a kind of block ("datastore") and label ("local").
	Lookup(kind, label string) (schema.Body, bool)
	// Labels returns the labels of a kind of block.
	Labels(kind string) []string
}

// File is one file of a configuration, or one of values, as read by the caller.
type File struct {
	Name  string // as shown in messages; its suffix decides between HCL and JSON
	Dir   string // absolute folder, for the relative paths that the file holds
	Bytes []byte
}

// Options say what Load may use of the world.
type Options struct {
	Schemas Schemas
	Version string // of dsrun, for required_version; "" or a development version is not checked
	Env     string // name of the environment, as given by --env
	// VarFiles hold values, lowest first: the *.auto.dsvars.hcl files in order of name, the file of the environment,
	// then those given one by one.
	VarFiles []File
	Vars     map[string]string // highest: --var k=v
	// EnvVar reads the environment for DSRUN_VAR_ names only; nil reads none.
	EnvVar func(name string) (string, bool)
	// ReadFile reads a file for the function file(): path is relative to dir and must not lead outside of it. nil refuses
	// every file.
	ReadFile func(dir, path string) ([]byte, error)
	// Seen receives every sensitive value that Load comes to know, before anyone else does; nil drops them.
	Seen func(values ...string)
}

// Secrets is what late evaluation may ask of the world. Everything it returns from File and Exec is sensitive.
type Secrets interface {
	// Env reads the environment, for env().
	Env(name string) (string, bool)
	// File reads a file, for secret::file(); a relative path is below dir. One final line break is cut off by the caller.
	File(ctx context.Context, dir, path string) ([]byte, error)
	// Exec runs a command in dir and returns its standard output, for secret::exec().
	Exec(ctx context.Context, dir string, args []string) ([]byte, error)
	// Seen receives each sensitive value before anyone else does.
	Seen(values ...string)
}

// Decl is one declared block: a credential, a datastore or a topic.
type Decl struct {
	Kind string // credential, datastore or topic
	Type string // the first label: aws, local, ...
	Name string // the second label
	Body schema.Body
	// Options is the decoded options struct, with zero values where a value is not known offline.
	Options schema.Fielder
	Common  schema.Common
	Range   hcl.Range // of the block's header

	block  *block
	fields *schema.Fields // bound to Options
	needs  []schema.Ref   // credentials that the options refer to
}

// Ref returns the reference to the block.
func (d *Decl) Ref() schema.Ref { return schema.Ref{Kind: d.Kind, Type: d.Type, Name: d.Name} }

// Script is one `script "GLOB"` block.
type Script struct {
	Glob string
	schema.Script
	Stores map[string]schema.Grant // by name of the datastore
	Limits schema.ScriptLimits
	Range  hcl.Range
}

// Variable is one declared variable, without its value.
type Variable struct {
	Name        string
	Type        string // as written; "" means any
	Description string
	Sensitive   bool
	Required    bool // it has no default
	Range       hcl.Range
}

// Config is a loaded configuration. It is immutable and safe for concurrent use.
type Config struct {
	Settings  schema.Settings // as known offline; see ResolveSettings
	Decls     []*Decl         // in the order of files and lines
	Scripts   []*Script
	Variables []Variable
	Env       string

	src       *sources
	blocks    []*block // all of them, after overrides
	vars      map[string]*varDecl
	locals    map[string]*attr
	refs      *refs
	settings  *block // nil: there is none
	partial   bool   // a file does not parse: what seems to be missing may be there
	readFile  func(dir, path string) ([]byte, error)
	seen      func(values ...string)
	known     hidden          // sensitive texts that Load came to know
	sensitive map[string]bool // names of sensitive attributes and variables
}

// Lookup returns the datastore or topic of the given name, or the credential when name is FAMILY.NAME.
func (c *Config) Lookup(kind, name string) (*Decl, bool) {
	for _, d := range c.Decls {
		if d.Kind == kind && d.scriptName() == name {
			return d, true
		}
	}
	return nil, false
}

// Find returns the declaration that a reference means.
func (c *Config) Find(r schema.Ref) (*Decl, bool) {
	for _, d := range c.Decls {
		if d.Ref() == r {
			return d, true
		}
	}
	return nil, false
}

// Names lists the names of a kind of block in the order of declaration; a credential's is FAMILY.NAME.
func (c *Config) Names(kind string) []string {
	var out []string
	for _, d := range c.Decls {
		if d.Kind == kind {
			out = append(out, d.scriptName())
		}
	}
	return out
}

func (d *Decl) scriptName() string {
	if d.Kind == "credential" {
		return d.Type + "." + d.Name
	}
	return d.Name
}

// Default returns the block marked `default = true`: of the family typ for kind "credential", of the kind otherwise.
func (c *Config) Default(kind, typ string) (*Decl, bool) {
	for _, d := range c.Decls {
		if d.Kind == kind && d.Common.Default && (kind != "credential" || d.Type == typ) {
			return d, true
		}
	}
	return nil, false
}

// CredentialFor returns the credential that a datastore or topic uses: the one it names, else the default block of the
// first of its families that has one. false means the family's own default chain, or that the kind takes none.
func (c *Config) CredentialFor(d *Decl, common schema.Common) (*Decl, bool) {
	if !common.Credential.IsZero() {
		return c.Find(common.Credential)
	}
	for _, family := range d.Body.Families {
		if def, ok := c.Default("credential", family); ok {
			return def, true
		}
	}
	return nil, false
}

// Resolve evaluates a block now, with env() and the functions of secret:: read through s, and checks what could not be
// checked offline. Nothing but this block is evaluated: resolve its credential on its own.
func (c *Config) Resolve(ctx context.Context, d *Decl, s Secrets) (schema.Fielder, schema.Common, hcl.Diagnostics) {
	e := newEvaluator(c, &live{ctx, s})
	o, _, common := e.declaration(d)
	e.validateUsed()
	return o, common, e.finish()
}

// ResolveSettings evaluates the `settings` block now.
func (c *Config) ResolveSettings(ctx context.Context, s Secrets) (schema.Settings, hcl.Diagnostics) {
	if c.settings == nil {
		return *schema.NewSettings(), nil
	}
	e := newEvaluator(c, &live{ctx, s})
	out, fs := schema.SettingsBody().Declare()
	e.decode(c.settings, fs)
	e.validateUsed()
	return *out.(*schema.Settings), e.finish()
}

// validateUsed runs the validations of the variables that were evaluated.
func (e *evaluator) validateUsed() {
	for _, name := range sortedKeys(e.c.vars) {
		e.validate(e.c.vars[name])
	}
}
