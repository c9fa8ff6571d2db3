package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/internal/spell"
	"github.com/dsrun/dsrun/starlib"
)

func (a *app) schemaCmd() *cobra.Command {
	stubs := false
	cmd := &cobra.Command{
		Use: "schema [BLOCK [KIND]]", Short: "Print what configuration files can say",
		Long: `Print the kinds of blocks, or the attributes of one kind. With --json and no argument, print the JSON Schema of the whole
configuration language (for *.dsrun.hcl.json files and editors). With --stubs, print what scripts can call, as Python stubs
for editors: in a file named __builtins__.pyi at the top of the project, Pyright and Pylance know every name.`,
		Example: "  dsrun schema\n  dsrun schema datastore local\n  dsrun schema --json > dsrun.schema.json\n  dsrun schema --stubs > __builtins__.pyi",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if stubs {
				_, err := io.WriteString(a.w.Stdout, starlib.Stubs())
				return err
			}
			return a.schema(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&stubs, "stubs", false, "print Python stubs of what scripts can call")
	return cmd
}

func (a *app) schema(cmd *cobra.Command, args []string) error {
	reg := providers.All()
	bodies := allBodies(reg)
	if len(args) == 0 {
		if a.g.json {
			return a.printRaw(schema.JSONSchema(reg))
		}
		t := newTable(a.w.Stdout, 2)
		for _, b := range bodies {
			t.row(strings.TrimSpace(b.Block+" "+b.Label), b.Summary)
		}
		return t.flush()
	}
	found := false
	for _, b := range bodies {
		if b.Block != args[0] || len(args) == 2 && b.Label != args[1] {
			continue
		}
		found = true
		if a.g.json {
			if err := a.printJSON(describe(b)); err != nil {
				return err
			}
			continue
		}
		if _, err := io.WriteString(a.w.Stdout, schema.Reference(b)+"\n"); err != nil {
			return err
		}
	}
	if !found {
		var names []string
		for _, b := range bodies {
			names = append(names, strings.TrimSpace(b.Block+" "+b.Label))
		}
		e := &usageError{cmd: cmd.CommandPath(), text: fmt.Sprintf("there is no block %q", strings.Join(args, " "))}
		if s := spell.Nearest(strings.Join(args, " "), names); s != "" {
			e.hint = fmt.Sprintf("Did you mean %q?", s)
		}
		return e
	}
	return nil
}

type jsonField struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Doc       string   `json:"doc"`
	Required  bool     `json:"required,omitempty"`
	Sensitive bool     `json:"sensitive,omitempty"`
	Default   string   `json:"default,omitempty"`
	Choices   []string `json:"choices,omitempty"`
}

type jsonBlock struct {
	Block      string      `json:"block"`
	Kind       string      `json:"kind,omitempty"`
	Summary    string      `json:"summary"`
	Attributes []jsonField `json:"attributes"`
	Common     []jsonField `json:"common,omitempty"` // those that every block of the kind has
}

func describe(b schema.Body) jsonBlock {
	list := func(fs []*schema.Field) (out []jsonField) {
		for _, f := range fs {
			out = append(out, jsonField{f.Name, string(f.Kind), f.Doc, f.IsRequired, f.Sensitive, f.DefaultText, f.Choices})
		}
		return out
	}
	_, fields := b.Declare()
	j := jsonBlock{Block: b.Block, Kind: b.Label, Summary: b.Summary, Attributes: list(fields.List)}
	if b.Label != "" {
		common := &schema.Fields{}
		schema.CommonFields(common, &schema.Common{}, b.Block, b.Families)
		j.Common = list(common.List)
	}
	return j
}

// allBodies lists every block that files can hold, in the order of the reference.
func allBodies(reg *provider.Registry) []schema.Body {
	out := []schema.Body{schema.SettingsBody()}
	for _, kind := range []string{provider.KindCredential, provider.KindStore, provider.KindTopic} {
		for _, label := range reg.Labels(kind) {
			if b, ok := reg.Lookup(kind, label); ok {
				out = append(out, b)
			}
		}
	}
	return append(out, schema.ScriptBody())
}
