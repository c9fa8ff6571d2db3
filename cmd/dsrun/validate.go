package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/starlib"
)

func (a *app) validateCmd() *cobra.Command {
	var o validateFlags
	cmd := &cobra.Command{
		Use: "validate [SCRIPT|DIR...]", Short: "Check configuration and scripts without opening anything",
		Long: `Check the configuration, and that the scripts parse and use only names that exist; of a folder its *.star files. Nothing
is opened, and no secret and no environment is read. Rules then say what may be written and should not be, such as a
secret in a file: dsrun docs lint lists them. A comment # dsrun:ignore RULE reason at the end of the line, or on the line
before, leaves a finding out.

The exit code is 2 when something is an error, with --strict also when something is a warning. With --json, one object
with everything that was found goes to standard output, whatever the outcome; with --sarif, a SARIF 2.1.0 log.`,
		Example: "  dsrun validate\n  dsrun validate -c prod.hcl examples/*.star\n  dsrun validate --strict --sarif . > dsrun.sarif",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.validate(args, o) },
	}
	cmd.Flags().BoolVar(&o.sarif, "sarif", false, "print a SARIF 2.1.0 log, for code scanning services")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "exit with 2 on warnings too")
	return cmd
}

type validateFlags struct{ sarif, strict bool }

// verdict is the outcome of validate.
type verdict struct {
	Valid       bool          `json:"valid"`
	Errors      int           `json:"errors"`
	Warnings    int           `json:"warnings"`
	Notes       int           `json:"notes"`
	Datastores  int           `json:"datastores"`
	Topics      int           `json:"topics"`
	Credentials int           `json:"credentials"`
	Scripts     int           `json:"scripts"`
	Diagnostics []config.Diag `json:"diagnostics"`
}

func (a *app) validate(args []string, o validateFlags) error {
	scripts, err := a.validateScripts(args)
	if err != nil {
		return err
	}
	first := ""
	if len(args) > 0 && len(scripts) > 0 && args[0] == scripts[0] {
		first = args[0] // a folder has no configuration of its own beside it
	}
	src, err := a.source(first)
	if err != nil {
		return err
	}
	project, diags := a.engine().Load(src)
	a.closers = append(a.closers, project.Close)
	cfg := project.Config()
	r := verdict{Scripts: len(scripts), Datastores: len(cfg.Names(provider.KindStore)), Topics: len(cfg.Names(provider.KindTopic)),
		Credentials: len(cfg.Names(provider.KindCredential)), Diagnostics: cfg.Lint(diags)}
	for _, script := range scripts {
		text, shown, err := a.readScript(script)
		if err != nil {
			return err
		}
		r.Diagnostics = append(r.Diagnostics, lintScript(cfg, !diags.HasErrors(), shown, text)...)
	}
	for _, d := range r.Diagnostics {
		switch d.Severity {
		case "error":
			r.Errors++
		case "warning":
			r.Warnings++
		default:
			r.Notes++
		}
	}
	r.Valid = r.Errors == 0
	if err := a.printVerdict(r, o); err != nil {
		return err
	}
	if !r.Valid || o.strict && r.Warnings > 0 {
		return fault.New(fault.InvalidArgument, "not valid: %s", r.findings())
	}
	return nil
}

func (a *app) printVerdict(r verdict, o validateFlags) error {
	switch {
	case o.sarif:
		return a.printJSON(sarifLog(a.w.Dir, r.Diagnostics))
	case a.g.json:
		if r.Diagnostics == nil {
			r.Diagnostics = []config.Diag{}
		}
		return a.printJSON(r)
	}
	if len(r.Diagnostics) > 0 {
		var b strings.Builder
		if err := config.Render(&b, r.Diagnostics, a.w.Width, a.color()); err != nil {
			return err
		}
		if _, err := fmt.Fprint(a.w.Stderr, a.redactor.Redact(b.String())); err != nil {
			return err
		}
	}
	if !r.Valid || o.strict && r.Warnings > 0 {
		return nil
	}
	parts := []string{count(r.Datastores, "datastore"), count(r.Topics, "topic"), count(r.Credentials, "credential")}
	if r.Scripts > 0 {
		parts = append(parts, count(r.Scripts, "script"))
	}
	text := "valid: " + strings.Join(parts, ", ")
	if found := r.findings(); found != "" {
		text += " (" + found + ")"
	}
	_, err := fmt.Fprintln(a.w.Stdout, text)
	return err
}

// findings counts what was found.
func (r verdict) findings() string {
	var parts []string
	for _, x := range []struct {
		n    int
		noun string
	}{{r.Errors, "error"}, {r.Warnings, "warning"}, {r.Notes, "note"}} {
		if x.n > 0 {
			parts = append(parts, count(x.n, x.noun))
		}
	}
	return strings.Join(parts, ", ")
}

// validateScripts replaces folders by the scripts in them.
func (a *app) validateScripts(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		root, err := a.w.OpenRoot(a.abs(arg))
		if err != nil {
			out = append(out, arg) // a file, or what readScript has a message for
			continue
		}
		entries, err := fs.ReadDir(root.FS(), ".")
		root.Close()
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".star") {
				out = append(out, filepath.Join(arg, e.Name()))
			}
		}
	}
	return out, nil
}

// lintScript checks one script; names are compared with the configuration when that is known to be whole.
func lintScript(cfg *config.Config, whole bool, shown string, src []byte) []config.Diag {
	p, err := parseScript(shown, src)
	if err != nil {
		return scriptDiags(err, shown)
	}
	var out []config.Diag
	if whole {
		for _, u := range p.Uses() {
			if d, ok := undeclared(cfg, u); ok {
				d.File, d.Snippet = fault.Printable(shown), scriptSnippet(src, u)
				out = append(out, d)
			}
		}
	}
	for _, x := range p.Texts() {
		if config.LooksSecret(x.Value) { // it is not shown: there is no snippet
			r, _ := config.LookupRule(config.RuleSecretLiteral)
			out = append(out, config.Diag{Severity: r.Severity, Rule: r.ID, Summary: r.Summary, File: fault.Printable(shown),
				Detail: "The text looks like a key, a token or an address with a password in it. Scripts need none: declare the datastore or topic, with a credential that takes it from env(\"NAME\").",
				Line:   x.Line, Col: x.Col, EndLine: x.Line, EndCol: x.End})
		}
	}
	slices.SortStableFunc(out, func(a, b config.Diag) int { return a.Line - b.Line })
	skip := scriptIgnores(shown, src)
	out = skip.Filter(out)
	if whole {
		out = append(out, skip.Useless()...)
	}
	return out
}

func undeclared(cfg *config.Config, u starlib.Use) (config.Diag, bool) {
	kind := map[string]string{"ds": provider.KindStore, "topics": provider.KindTopic}[u.Root]
	names := cfg.Names(kind)
	if u.Name == "names" || u.Name == "default" || slices.Contains(names, u.Name) {
		return config.Diag{}, false
	}
	r, _ := config.LookupRule(config.RuleUndeclaredName)
	detail := fmt.Sprintf("The configuration declares no %s %q.", kind, fault.Printable(u.Name))
	switch s := config.Suggest(u.Name, names); {
	case s != "":
		detail += fmt.Sprintf(" Did you mean %q?", s)
	case len(names) > 0:
		detail += " It declares " + strings.Join(names, ", ") + "."
	}
	return config.Diag{Severity: r.Severity, Rule: r.ID, Summary: r.Summary, Detail: detail, Line: u.Line, Col: u.Col, EndLine: u.Line, EndCol: u.End}, true
}

func scriptSnippet(src []byte, u starlib.Use) *config.Snippet {
	lines := strings.Split(string(src), "\n")
	if u.Line > len(lines) {
		return nil
	}
	line := []rune(strings.TrimRight(lines[u.Line-1], "\r"))
	from, to := min(u.Col-1, len(line)), min(u.End-1, len(line))
	shown := func(r []rune) string { return fault.Printable(strings.ReplaceAll(string(r), "\t", "    ")) }
	s := &config.Snippet{Before: shown(line[:from]), Highlight: shown(line[from:to]), After: shown(line[to:])}
	s.Code = s.Before + s.Highlight + s.After
	return s
}

// scriptDiags makes diagnostics of what is wrong with a script's source.
func scriptDiags(err error, shown string) []config.Diag {
	var s *starlib.ScriptError
	if !errors.As(err, &s) {
		return []config.Diag{{Severity: "error", Summary: "Invalid script", Detail: said(err.Error()), File: fault.Printable(shown)}}
	}
	d := config.Diag{Severity: "error", Summary: "Invalid script", Detail: said(s.Message), File: fault.Printable(shown)}
	if hint := explain(s).Hint; hint != "" {
		d.Detail += ". " + said(hint)
	}
	if n := len(s.Frames); n > 0 {
		f := s.Frames[n-1]
		d.Line, d.Col, d.EndLine, d.EndCol = f.Line, f.Col, f.Line, max(f.End, f.Col)
		if f.Text != "" {
			d.Snippet = scriptSnippet([]byte(strings.Repeat("\n", max(0, f.Line-1))+f.Text), starlib.Use{Line: f.Line, Col: max(1, f.Col), End: max(f.End, f.Col+1)})
		}
	}
	out := []config.Diag{d}
	for _, o := range s.Others {
		out = append(out, scriptDiags(o, shown)...)
	}
	return out
}

var scriptComment = regexp.MustCompile(`(^|[\s;)\]}:,])#\s*(dsrun:ignore.*)$`)

// scriptIgnores finds the comments of a script that leave findings out.
func scriptIgnores(shown string, src []byte) *config.Ignores {
	g := &config.Ignores{}
	lines := strings.Split(string(src), "\n")
	for i, line := range lines {
		m := scriptComment.FindStringSubmatch(strings.TrimRight(line, "\r"))
		if m == nil {
			continue
		}
		counts := i
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			for counts++; counts < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[counts]), "#"); counts++ {
			}
		}
		g.Add(shown, strings.TrimSpace(m[2]), i+1, counts+1)
	}
	return g
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
