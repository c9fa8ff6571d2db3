package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) mvCmd() *cobra.Command {
	var o mvFlags
	cmd := &cobra.Command{
		Use: "mv FROM TO", Short: "Move objects between any two places",
		Long: `Copy as cp does, and delete each source object once the target has proven to hold it. A source that changed meanwhile
is not deleted and is reported; so is one whose copy cannot be proven.

Existing targets stay, and so do their sources, unless --overwrite says otherwise: if_changed deletes the source of a
target that has the same checksum without copying it again, and finishes a move that was interrupted.`,
		Example: "  dsrun mv inbox:a.csv archive:2024/\n  dsrun mv -r inbox:done/ archive:done/ --dry-run\n  dsrun mv 'inbox:**/*.csv' archive: --overwrite if_changed",
		Args:    exactly("FROM", "TO"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.mv(cmd.Context(), cmd, args[0], args[1], o) },
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "move all that a folder holds")
	cmd.Flags().StringVar(&o.overwrite, "overwrite", "never", "never, if_changed or always")
	o.register(cmd)
	return cmd
}

type mvFlags struct {
	transferFlags
	recursive bool
	overwrite string
}

func (a *app) mv(ctx context.Context, cmd *cobra.Command, from, to string, o mvFlags) error {
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
	t := &transfer{verb: "moved", o: o.transferFlags}
	if t.src, t.dst, t.job, err = a.copyJob(ctx, cmd, ps, from, to, o.recursive); err != nil {
		return err
	}
	t.job.Overwrite, t.job.Move = over, true
	return a.transfer(ctx, ps, t, m)
}
