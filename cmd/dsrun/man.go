package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) manCmd() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write manual pages",
		Long:    "Write a manual page for dsrun and for each of its commands into a folder, for man(1). Files of the same names are replaced.",
		Example: "  dsrun man /usr/local/share/man/man1\n  man -l man1/dsrun-cp.1",
		Args:    exactly("DIR"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.man(cmd.Root(), args[0]) },
	}
}

func (a *app) man(root *cobra.Command, dir string) error {
	abs := a.abs(dir)
	r, err := a.w.OpenRoot(abs)
	if err != nil {
		parent, perr := a.w.OpenRoot(filepath.Dir(abs))
		if perr != nil {
			return perr
		}
		defer parent.Close()
		if err := parent.Mkdir(filepath.Base(abs), 0o755); err != nil {
			return err
		}
		if r, err = a.w.OpenRoot(abs); err != nil {
			return err
		}
	}
	defer r.Close()
	for _, c := range manned(root) {
		name := manName(c) + ".1"
		if err := r.WriteFile(name, []byte(manPage(c)), 0o644); err != nil {
			return err
		}
		if err := a.printName(filepath.Join(abs, name)); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printName(abs string) error {
	if a.g.json {
		return a.printJSON(map[string]string{"file": a.shown(abs)})
	}
	_, err := fmt.Fprintln(a.w.Stdout, a.name(a.shown(abs)))
	return err
}

// manned are the commands that have a page.
func manned(root *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			out = append(out, manned(c)...)
		}
	}
	return out
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage writes a page in the man macros of roff, as man-pages(7) arranges it.
func manPage(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"dsrun %s\" \"dsrun manual\"\n", strings.ToUpper(manName(c)), roff(version()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(c)), roff(lowerFirst(c.Short)))
	b.WriteString(".SH SYNOPSIS\n")
	if c.HasParent() {
		fmt.Fprintf(&b, ".B %s\n%s\n", roff(c.CommandPath()), roff(strings.TrimSpace(strings.TrimPrefix(c.Use, c.Name())+" [flags]")))
	} else {
		b.WriteString(".B dsrun\n.I command\n[arguments] [flags]\n")
	}
	b.WriteString(".SH DESCRIPTION\n")
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	manText(&b, text)
	if c.LocalNonPersistentFlags().HasAvailableFlags() {
		b.WriteString(".SH OPTIONS\n")
		manFlags(&b, c.LocalNonPersistentFlags())
	}
	b.WriteString(".SH OPTIONS OF EVERY COMMAND\n")
	manFlags(&b, c.Root().PersistentFlags())
	if c.Example != "" {
		b.WriteString(".SH EXAMPLES\n.nf\n")
		for line := range strings.SplitSeq(c.Example, "\n") {
			b.WriteString(roff(strings.TrimPrefix(line, "  ")) + "\n")
		}
		b.WriteString(".fi\n")
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, x := range [][2]string{{"0", "done"}, {"1", "the script or I/O failed, or some items failed"}, {"2", "invalid configuration or wrong usage"},
		{"3", "a limit or a time-out"}, {"4", "denied or unauthenticated"}, {"130, 143", "interrupted, terminated"}} {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", x[0], x[1])
	}
	var also []string
	if c.HasParent() {
		also = append(also, ".BR "+roff(manName(c.Parent()))+" (1)")
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			also = append(also, ".BR "+roff(manName(sub))+" (1)")
		}
	}
	if len(also) > 0 {
		b.WriteString(".SH SEE ALSO\n" + strings.Join(also, ",\n") + "\n")
	}
	return b.String()
}

func manText(b *strings.Builder, text string) {
	fixed := false
	start := true
	for line := range strings.SplitSeq(text, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != fixed {
			fixed = indented
			if !start {
				b.WriteString(".PP\n")
			}
			b.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[fixed])
			start = !fixed && line == ""
		}
		if line == "" {
			if !start {
				b.WriteString(".PP\n")
			}
			start = true
			continue
		}
		b.WriteString(roff(strings.TrimPrefix(line, "  ")) + "\n")
		start = false
	}
	if fixed {
		b.WriteString(".fi\n")
	}
}

func manFlags(b *strings.Builder, f *pflag.FlagSet) {
	f.VisitAll(func(x *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(x)
		name := `\fB` + roff("--"+x.Name) + `\fR`
		if x.Shorthand != "" {
			name = `\fB` + roff("-"+x.Shorthand) + `\fR, ` + name
		}
		if value != "" {
			name += ` \fI` + roff(value) + `\fR`
		}
		fmt.Fprintf(b, ".TP\n%s\n%s\n", name, roff(usage))
	})
}

// roff escapes a line: nothing in it is a request or an escape, and a hyphen is one that can be copied.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`).Replace(strings.TrimRight(s, " "))
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
