package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/starlib"
)

func (a *app) fmtCmd() *cobra.Command {
	var o fmtFlags
	cmd := &cobra.Command{
		Use: "fmt [FILE|DIR|-...]", Short: "Bring configuration and scripts into the canonical style",
		Long: `Format *.hcl and *.star files in place and print the names of those that changed. Folders are not searched below their
first level. Scripts get the style of buildifier, configuration that of HCL's own formatter.

- formats standard input to standard output, as editors do on saving; what it is follows from --stdin-name, else from the
text. With --check or --diff nothing is changed, and the exit code is 1 when something would be.`,
		Example: "  dsrun fmt\n  dsrun fmt --check examples\n  dsrun fmt --diff dsrun.hcl\n  dsrun fmt --stdin-name check.star - < check.star",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.fmt(cmd, args, o) },
	}
	cmd.Flags().BoolVar(&o.check, "check", false, "change nothing; exit with 1 when a file is not formatted")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "change nothing; print what would change, as diff -u; exit with 1 when there is something")
	cmd.Flags().StringVar(&o.stdinName, "stdin-name", "", "`FILE` that standard input is from, for its suffix and for messages")
	return cmd
}

type fmtFlags struct {
	check, diff bool
	stdinName   string
}

func (a *app) fmt(cmd *cobra.Command, args []string, o fmtFlags) error {
	if o.stdinName != "" && formatter(o.stdinName) == nil {
		return usagef(cmd, "--stdin-name is %q; it ends with .hcl or .star", o.stdinName)
	}
	if len(args) == 0 {
		args = []string{"."}
	}
	changed := 0
	for _, arg := range args {
		if arg == "-" {
			did, err := a.fmtStdin(o)
			if err != nil {
				return err
			}
			if did {
				changed++
			}
			continue
		}
		files, err := a.fmtFiles(arg)
		if err != nil {
			return err
		}
		for _, f := range files {
			did, err := a.fmtFile(f, o)
			if err != nil {
				return err
			}
			if did {
				changed++
			}
		}
	}
	if (o.check || o.diff) && changed > 0 {
		return fault.Hinted(fault.Fail, "Run dsrun fmt.", "%s not formatted", count(changed, "file"))
	}
	return nil
}

// fmtChanged says that a file is, or would be, another: by its name, or by what differs.
func (a *app) fmtChanged(shown string, src, out []byte, o fmtFlags) error {
	switch {
	case o.diff && a.g.json:
		return a.printJSON(map[string]string{"file": shown, "diff": string(diff.Diff(shown, src, shown, out))})
	case o.diff:
		_, err := io.WriteString(a.w.Stdout, a.block(string(diff.Diff(shown, src, shown, out))))
		return err
	case a.g.json:
		return a.printJSON(map[string]string{"file": shown})
	}
	_, err := fmt.Fprintln(a.w.Stdout, a.name(shown))
	return err
}

// block is a text of several lines as it is shown: on a terminal nothing in it can drive the terminal.
func (a *app) block(text string) string {
	if a.w.StdoutTTY {
		return printableText(text)
	}
	return text
}

func (a *app) fmtFiles(arg string) ([]string, error) {
	abs := a.abs(arg)
	root, err := a.w.OpenRoot(abs)
	if err != nil {
		if ok, ferr := a.isFile(abs); ferr == nil && ok {
			return []string{abs}, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &usageError{cmd: "dsrun fmt", text: arg + " does not exist"}
		}
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && formatter(e.Name()) != nil {
			out = append(out, filepath.Join(abs, e.Name()))
		}
	}
	return out, nil
}

// formatter returns how files of a name are formatted, or nil.
func formatter(name string) func(name string, src []byte) ([]byte, error) {
	switch {
	case strings.HasSuffix(name, ".hcl"):
		return formatHCL
	case strings.HasSuffix(name, ".star"):
		return formatStar
	}
	return nil
}

func formatHCL(name string, src []byte) ([]byte, error) {
	out, cfg, diags := config.Format(config.File{Name: name, Bytes: src})
	if diags.HasErrors() {
		return nil, &engine.DiagnosticsError{Diags: cfg.Diags(diags)}
	}
	return out, nil
}

func formatStar(name string, src []byte) ([]byte, error) {
	if err := starlib.CheckSyntax(name, src); err != nil {
		return nil, &staticError{err} // the interpreter's own message, with the line
	}
	f, err := build.ParseDefault(name, src)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "%v", err)
	}
	return build.Format(f), nil
}

func (a *app) fmtFile(abs string, o fmtFlags) (bool, error) {
	format := formatter(abs)
	if format == nil {
		return false, &usageError{cmd: "dsrun fmt", text: a.shown(abs) + " is neither .hcl nor .star"}
	}
	src, err := a.readBytes(abs, maxConfigRead)
	if err != nil {
		return false, err
	}
	out, err := format(a.shown(abs), src)
	if err != nil || bytes.Equal(out, src) {
		return false, err
	}
	if !o.check && !o.diff {
		if err := a.writeFile(abs, out, 0o644); err != nil {
			return false, err
		}
	}
	return true, a.fmtChanged(a.shown(abs), src, out, o)
}

func (a *app) fmtStdin(o fmtFlags) (bool, error) {
	src, err := io.ReadAll(io.LimitReader(a.w.Stdin, maxScript+1))
	if err != nil {
		return false, err
	}
	if len(src) > maxScript {
		return false, fault.New(fault.Limit, "standard input is larger than %d MiB", maxScript>>20)
	}
	name := o.stdinName
	if name == "" {
		name = guessName(src)
	}
	out, err := formatter(name)(name, src)
	if err != nil {
		return false, err
	}
	if o.check || o.diff {
		if bytes.Equal(out, src) {
			return false, nil
		}
		return true, a.fmtChanged(name, src, out, o)
	}
	_, err = a.w.Stdout.Write(out)
	return false, err
}

// guessName finds out what a text is. Configuration consists of blocks, which no script can begin with, so that nothing
// but comments is both.
func guessName(src []byte) string {
	if blockHeader.Match(src) && starlib.CheckSyntax("stdin.star", src) != nil {
		return "stdin.hcl"
	}
	return "stdin.star"
}

var blockHeader = regexp.MustCompile(`(?m)^[a-z_]+([ \t]+("[^"\n]*"|[a-z_]+))*[ \t]*\{`)
