package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/store"
)

// maxDelete is how many objects sync --delete removes unless the person says otherwise.
const maxDelete = 1000

func (a *app) syncCmd() *cobra.Command {
	var o syncFlags
	cmd := &cobra.Command{
		Use: "sync FROM TO", Short: "Make a folder hold what another holds",
		Long: `Copy to the folder TO what the folder or glob FROM holds and TO does not, or holds in another state: objects that differ
in size, then in checksum where both sides have one, then in time. Keys keep their path relative to FROM.

What TO holds beyond that stays. With --delete it is removed, once all else went right: not after an incomplete listing,
not when an object could not be copied, not when FROM is empty, and not when there is more of it than --max-delete.`,
		Example: "  dsrun sync raw:2024/ backup:raw/2024/\n  dsrun sync ./site web: --delete --dry-run\n  dsrun sync raw: backup: --resume --keep-going",
		Args:    exactly("FROM", "TO"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.sync(cmd.Context(), cmd, args[0], args[1], o) },
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&o.delete, "delete", false, "delete from TO what FROM does not have")
	cmd.Flags().IntVar(&o.maxDelete, "max-delete", maxDelete, "delete nothing when it would be more objects; 0 means no bound")
	return cmd
}

type syncFlags struct {
	transferFlags
	delete    bool
	maxDelete int
}

func (a *app) sync(ctx context.Context, cmd *cobra.Command, from, to string, o syncFlags) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	if o.maxDelete < 0 {
		return usagef(cmd, "--max-delete is %d; it takes 0, for no bound, or more", o.maxDelete)
	}
	m := a.meter()
	defer m.stop()
	ps, err := a.places()
	if err != nil {
		return err
	}
	src, err := ps.open(ctx, from)
	if err != nil {
		return err
	}
	dst, err := ps.open(ctx, to)
	if err != nil {
		return err
	}
	if src.path != "" && !strings.HasSuffix(src.path, "/") && !isPattern(src.path) {
		if _, err := src.store.Stat(ctx, src.path, store.Cond{}); err == nil {
			return &usageError{cmd: cmd.CommandPath(), text: from + " is one object", hint: "Copy it: dsrun cp --overwrite if_changed."}
		}
	}
	t := &transfer{verb: "copied", o: o.transferFlags, job: folderJob(&src, &dst), src: src, dst: dst}
	t.job.Overwrite, t.job.DeleteExtra, t.job.MaxDelete = store.OverwriteIfChanged, o.delete, o.maxDelete
	return a.transfer(ctx, ps, t, m)
}
