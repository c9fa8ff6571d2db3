package main

import (
	"context"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/store"
)

func (a *app) cpCmd() *cobra.Command {
	var o cpFlags
	cmd := &cobra.Command{
		Use: "cp FROM TO", Short: "Copy objects between any two places",
		Long: `Copy an object, or with -r or a glob all that a place holds. TO is a folder when it ends with / or names the top of a
datastore; else it is the whole name of the one object that is copied. Below a folder, keys keep their path relative to
FROM's folder.

Existing objects stay unless --overwrite says otherwise. Copies are whole or absent: nothing half-written is ever visible.`,
		Example: "  dsrun cp raw:a.csv ./a.csv\n  dsrun cp -r raw:2024/ backup:raw/2024/ --overwrite if_changed\n  dsrun cp 'raw:**/*.csv' backup: --dry-run",
		Args:    exactly("FROM", "TO"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.cp(cmd.Context(), cmd, args[0], args[1], o) },
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "copy all that a folder holds")
	cmd.Flags().StringVar(&o.overwrite, "overwrite", "never", "never, if_changed or always")
	o.register(cmd)
	return cmd
}

type cpFlags struct {
	transferFlags
	recursive bool
	overwrite string
}

var overwrites = map[string]store.Overwrite{"never": store.OverwriteNever, "if_changed": store.OverwriteIfChanged, "always": store.OverwriteAlways}

func (a *app) cp(ctx context.Context, cmd *cobra.Command, from, to string, o cpFlags) error {
	over, err := overwriteOf(cmd, o.overwrite)
	if err == nil {
		err = o.check(cmd)
	}
	if err != nil {
		return err
	}
	m := a.meter()
	defer m.stop()
	ps, err := a.places()
	if err != nil {
		return err
	}
	t := &transfer{verb: "copied", o: o.transferFlags}
	if t.src, t.dst, t.job, err = a.copyJob(ctx, cmd, ps, from, to, o.recursive); err != nil {
		return err
	}
	t.job.Overwrite = over
	return a.transfer(ctx, ps, t, m)
}

func dirOf(key string) string {
	if d := path.Dir(key); d != "." {
		return d + "/"
	}
	return ""
}

// splitPattern returns the folder above the first segment with a meta character.
func splitPattern(p string) (base, rest string) {
	i := strings.IndexAny(p, "*?[{")
	j := strings.LastIndexByte(p[:i], '/') + 1
	return p[:j], p[j:]
}
