package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

func (a *app) uploadsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "uploads", Short: "List or abort unfinished uploads",
		Long: `Large objects go up in parts. Parts of an upload that was never finished, because a process was killed or kept it for
--resume, stay with the service, are invisible, and cost money until they are aborted.`,
		Args: func(cmd *cobra.Command, args []string) error { return unknownCommand(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	var ls, abort uploadsFlags
	list := &cobra.Command{
		Use: "ls [PLACE]", Short: "List unfinished uploads of a place, or of all datastores",
		Long:    "List unfinished uploads of keys that start with PLACE's path. Without PLACE, of every declared datastore that has such uploads.",
		Example: "  dsrun uploads ls\n  dsrun uploads ls backup:raw/ --older-than 24h",
		Args:    atMost(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.uploadsLs(cmd.Context(), cmd, args, ls) },
	}
	list.Flags().DurationVar(&ls.olderThan, "older-than", 0, "only those begun so long ago")
	drop := &cobra.Command{
		Use: "abort PLACE", Short: "Abort unfinished uploads",
		Long: `Abort the unfinished uploads of keys that start with PLACE's path, and drop their parts. Young ones may be under way right
now, in this or another program: they stay, unless --older-than says otherwise. Nothing is aborted when the listing of
uploads is incomplete.`,
		Example: "  dsrun uploads abort backup: --dry-run\n  dsrun uploads abort backup:raw/ --older-than 0s",
		Args:    exactly("PLACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.uploadsAbort(cmd.Context(), cmd, args[0], abort)
		},
	}
	drop.Flags().DurationVar(&abort.olderThan, "older-than", 24*time.Hour, "only those begun so long ago; 0s means all")
	drop.Flags().BoolVar(&abort.dryRun, "dry-run", false, "abort nothing; print what would be")
	cmd.AddCommand(list, drop)
	return cmd
}

type uploadsFlags struct {
	olderThan time.Duration
	dryRun    bool
}

func (o uploadsFlags) check(cmd *cobra.Command) error {
	if o.olderThan < 0 {
		return usagef(cmd, "--older-than is %s; it takes 0s or more", o.olderThan)
	}
	return nil
}

func (a *app) uploadsLs(ctx context.Context, cmd *cobra.Command, args []string, o uploadsFlags) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	ps, err := a.places()
	if err != nil {
		return err
	}
	print := func(p place) error {
		return a.eachUpload(ctx, p, o, func(u store.PendingUpload) error { return a.printUpload(p.store, u, "") })
	}
	if len(args) > 0 {
		p, err := ps.open(ctx, args[0])
		if err != nil {
			return err
		}
		return print(p)
	}
	for _, name := range ps.project.Config().Names(provider.KindStore) {
		s, err := ps.project.Store(ctx, name)
		if err == nil {
			err = print(place{store: s})
		}
		if fault.Is(err, fault.Unimplemented) {
			continue // has none by nature
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) uploadsAbort(ctx context.Context, cmd *cobra.Command, arg string, o uploadsFlags) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	ps, err := a.places()
	if err != nil {
		return err
	}
	p, err := ps.open(ctx, arg)
	if err != nil {
		return err
	}
	var all []store.PendingUpload
	if err := a.eachUpload(ctx, p, o, func(u store.PendingUpload) error { all = append(all, u); return nil }); err != nil {
		return err
	}
	var failed []store.KeyError
	for _, u := range all {
		verb := "would abort"
		if !o.dryRun {
			verb = "aborted"
			if err := p.store.AbortUpload(ctx, u); ctx.Err() != nil {
				return err
			} else if err != nil {
				failed = append(failed, store.KeyError{Key: u.Key, Err: err})
				continue
			}
		}
		if err := a.printUpload(p.store, u, verb); err != nil {
			return err
		}
	}
	return someFailed(len(all), failed, nil)
}

// eachUpload calls fn with the uploads of a place that are old enough. One whose age is unknown is not.
func (a *app) eachUpload(ctx context.Context, p place, o uploadsFlags, fn func(store.PendingUpload) error) error {
	for u, err := range p.store.Uploads(ctx, p.path) {
		if err != nil {
			return err
		}
		if o.olderThan > 0 && (u.Started.IsZero() || a.w.Clock.Now().Sub(u.Started) < o.olderThan) {
			continue
		}
		if err := fn(u); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printUpload(s *store.Store, u store.PendingUpload, verb string) error {
	started := "-"
	if !u.Started.IsZero() {
		started = u.Started.UTC().Format(time.RFC3339)
	}
	if a.g.json {
		v := map[string]any{"store": s.Name(), "path": u.Key, "uri": s.URI(u.Key), "id": u.ID, "size": u.Size}
		if started != "-" {
			v["started"] = started
		}
		if verb != "" {
			v["aborted"] = verb == "aborted"
		}
		return a.printJSON(v)
	}
	size := "-"
	if u.Size >= 0 {
		size = humanBytes(u.Size)
	}
	if verb != "" {
		verb += " "
	}
	_, err := fmt.Fprintf(a.w.Stdout, "%s%s  %s  %s\n", verb, started, size, fault.Printable(s.Name()+":"+u.Key))
	return err
}
