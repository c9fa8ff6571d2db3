package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/starlib"
)

func (a *app) fmtCmd() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "fmt [FILE|DIR...]", Short: "Bring configuration and scripts into the canonical style",
		Long:    "Format *.hcl and *.star files in place and print the names of those that changed. Folders are not searched below their first level. - formats standard input as a script.",
		Example: "  dsrun fmt\n  dsrun fmt --check examples",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.fmt(args, check) },
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit with 1 when a file is not formatted")
	return cmd
}

func (a *app) fmt(args []string, check bool) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	changed := 0
	for _, arg := range args {
		if arg == "-" {
			return a.fmtStdin()
		}
		files, err := a.fmtFiles(arg)
		if err != nil {
			return err
		}
		for _, f := range files {
			did, err := a.fmtFile(f, check)
			if err != nil {
				return err
			}
			if did {
				changed++
				if err := a.printName(f); err != nil {
					return err
				}
			}
		}
	}
	if check && changed > 0 {
		return fault.Hinted(fault.Fail, "Run dsrun fmt.", "%s not formatted", count(changed, "file"))
	}
	return nil
}

func (a *app) printName(abs string) error {
	if a.g.json {
		return a.printJSON(map[string]string{"file": a.shown(abs)})
	}
	_, err := fmt.Fprintln(a.w.Stdout, a.shown(abs))
	return err
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

func (a *app) fmtFile(abs string, check bool) (bool, error) {
	format := formatter(abs)
	if format == nil {
		return false, &usageError{cmd: "dsrun fmt", text: a.shown(abs) + " is neither .hcl nor .star"}
	}
	src, err := a.readBytes(abs, maxConfigRead)
	if err != nil {
		return false, err
	}
	out, err := format(a.shown(abs), src)
	if err != nil || bytes.Equal(out, src) || check {
		return err == nil && !bytes.Equal(out, src), err
	}
	return true, a.replaceFile(abs, out)
}

func (a *app) fmtStdin() error {
	src, err := io.ReadAll(io.LimitReader(a.w.Stdin, maxScript+1))
	if err != nil {
		return err
	}
	out, err := formatStar("stdin.star", src)
	if err != nil {
		return err
	}
	_, err = a.w.Stdout.Write(out)
	return err
}

// replaceFile puts a new text in the place of a file, whole or not at all, with the old one's mode.
func (a *app) replaceFile(abs string, text []byte) error {
	if real, err := a.w.RealPath(abs); err == nil {
		abs = real
	}
	root, err := a.w.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Base(abs)
	st, err := root.Stat(name)
	if err != nil {
		return err
	}
	tmp := "." + name + ".dsrun-fmt"
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, st.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(st.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		_ = root.Remove(tmp)
	}
	return err
}
