package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/internal/markdown"
)

func (a *app) docsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "docs [WORD...]", Short: "Show the reference of a word",
		Long: `Show what the reference says of a command, a flag, a kind of block or one of its attributes, a credential's method, a
module, function or type of scripts, a format, an error code or a lint rule. A word may be the beginning of a name, or
its last part. Where several things have the name they are listed. The word of a group lists what is in it: commands,
blocks, options, methods, modules, functions, types, formats, errors, lint.

On a terminal, what is longer than the screen goes through $PAGER.`,
		Example: "  dsrun docs\n  dsrun docs store.copy\n  dsrun docs datastore s3\n  dsrun docs assume_role\n  dsrun docs not_found\n  dsrun docs lint",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.docs(cmd, strings.Join(args, " ")) },
	}
}

// docGroups are the words that list topics of a kind.
var docGroups = []struct{ word, kind, title string }{
	{"commands", "command", "Commands"},
	{"blocks", "block", "Blocks of the configuration"},
	{"options", "option", "Attributes of blocks"},
	{"methods", "method", "Ways to log in"},
	{"modules", "module", "Modules of scripts"},
	{"types", "type", "Types of values in scripts"},
	{"functions", "function", "Functions and methods of scripts"},
	{"formats", "format", "File formats"},
	{"errors", "error", "Error codes"},
	{"lint", "rule", "Lint rules"},
}

func (a *app) docs(cmd *cobra.Command, word string) error {
	all := topics(referenceOf(cmd.Root(), a.w.Providers()))
	if word == "" {
		return a.docsOverview(cmd.Context(), all)
	}
	for _, g := range docGroups {
		if g.word == word || g.kind+"s" == word {
			return a.docsList(cmd.Context(), g.title, ofKind(all, g.kind))
		}
	}
	found, near := lookup(all, word)
	switch {
	case len(found) == 0 && near != "":
		return fault.Hinted(fault.NotFound, fmt.Sprintf("Did you mean %q?", near), "the reference has no %q", word)
	case len(found) == 0:
		return fault.Hinted(fault.NotFound, "dsrun docs without a word lists what there is.", "the reference has no %q", word)
	case a.g.json:
		for _, t := range found {
			if err := a.printJSON(t); err != nil {
				return err
			}
		}
		return nil
	case len(found) == 1:
		return a.page(cmd.Context(), markdown.Text(found[0].Text, a.textWidth(), a.outColor()))
	}
	return a.docsList(cmd.Context(), fmt.Sprintf("%d matches for %s", len(found), fault.Printable(word)), found)
}

func ofKind(all []topic, kind string) []topic {
	var out []topic
	for _, t := range all {
		if t.Kind == kind {
			out = append(out, t)
		}
	}
	return out
}

func (a *app) docsOverview(ctx context.Context, all []topic) error {
	if a.g.json {
		for _, t := range all {
			t.Text = ""
			if err := a.printJSON(t); err != nil {
				return err
			}
		}
		return nil
	}
	var b strings.Builder
	b.WriteString("# What dsrun docs WORD knows\n")
	for _, g := range docGroups {
		var names []string
		for _, t := range ofKind(all, g.kind) {
			names = append(names, "`"+strings.TrimPrefix(t.Name, "dsrun ")+"`")
		}
		const enough = 40
		more := ""
		if n := len(names) - enough; n > 0 {
			names, more = names[:enough], fmt.Sprintf(" and %d more: dsrun docs %s", n, g.word)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s%s\n", g.title, strings.Join(names, ", "), more)
	}
	return a.page(ctx, markdown.Text(b.String(), a.textWidth(), a.outColor()))
}

func (a *app) docsList(ctx context.Context, title string, list []topic) error {
	if a.g.json {
		for _, t := range list {
			t.Text = ""
			if err := a.printJSON(t); err != nil {
				return err
			}
		}
		return nil
	}
	var b strings.Builder
	mixed := false
	for _, t := range list {
		mixed = mixed || t.Kind != list[0].Kind
	}
	cell := func(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
	fmt.Fprintf(&b, "# %s\n\n", title)
	for i, t := range list {
		switch {
		case mixed && i == 0:
			b.WriteString("| name | kind | what |\n|---|---|---|\n")
		case i == 0:
			b.WriteString("| name | what |\n|---|---|\n")
		}
		fmt.Fprintf(&b, "| `%s` ", cell(t.Name))
		if mixed {
			fmt.Fprintf(&b, "| %s ", t.Kind)
		}
		fmt.Fprintf(&b, "| %s |\n", cell(firstSentence(t.Summary)))
	}
	return a.page(ctx, markdown.Text(b.String(), a.textWidth(), a.outColor()))
}

func firstSentence(s string) string {
	if i := strings.Index(s, ". "); i >= 0 {
		return s[:i+1]
	}
	return s
}

// textWidth is how wide prose is set.
func (a *app) textWidth() int { return min(max(a.w.Width, 40), 100) }

// page prints a text, through a pager when it is longer than the terminal.
func (a *app) page(ctx context.Context, text string) error {
	if a.w.StdoutTTY && a.w.Page != nil && strings.Count(text, "\n") >= a.w.Height {
		if err := a.w.Page(ctx, text); err == nil || ctx.Err() != nil {
			return err
		} // no pager on this machine: print
	}
	_, err := io.WriteString(a.w.Stdout, text)
	return err
}
