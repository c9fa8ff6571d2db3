package main

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

func (a *app) cpCmd() *cobra.Command {
	o := cpFlags{overwrite: "never", workers: 8}
	cmd := &cobra.Command{
		Use: "cp FROM TO", Short: "Copy objects between any two places",
		Long: `Copy an object, or with -r or a glob all that a place holds. TO is a folder when it ends with / or names the top of a
datastore; else it is the whole name of the one object that is copied. Below a folder, keys keep their path relative to
FROM's folder.

Existing objects stay unless --overwrite says otherwise. Copies are whole or absent: nothing half-written is ever visible.`,
		Example: "  dsrun cp raw:a.csv ./a.csv\n  dsrun cp -r raw:2024/ backup:raw/2024/ --overwrite if_changed\n  dsrun cp 'raw:**.csv' backup: --dry-run",
		Args:    exactly("FROM", "TO"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.cp(cmd.Context(), cmd, args[0], args[1], o) },
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "copy all that a folder holds")
	cmd.Flags().StringVar(&o.overwrite, "overwrite", o.overwrite, "never, if_changed or always")
	cmd.Flags().IntVar(&o.workers, "workers", o.workers, "objects under way at once")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "copy nothing; print what would be")
	cmd.Flags().BoolVar(&o.failEmpty, "fail-empty", false, "exit with 1 when a folder or glob holds nothing")
	cmd.Flags().BoolVar(&o.keepGoing, "keep-going", false, "go on after a failure")
	return cmd
}

type cpFlags struct {
	recursive, dryRun, keepGoing, failEmpty bool
	overwrite                               string
	workers                                 int
}

var overwrites = map[string]store.Overwrite{"never": store.OverwriteNever, "if_changed": store.OverwriteIfChanged, "always": store.OverwriteAlways}

func (a *app) cp(ctx context.Context, cmd *cobra.Command, from, to string, o cpFlags) error {
	over, ok := overwrites[o.overwrite]
	if !ok {
		return usagef(cmd, "--overwrite is %q; it takes never, if_changed or always", o.overwrite)
	}
	if o.workers < 1 || o.workers > 1024 {
		return usagef(cmd, "--workers is %d; it takes 1 to 1024", o.workers)
	}
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
	job := store.CopyJob{Overwrite: over, Workers: o.workers, Collect: o.keepGoing}
	folder := dst.path == "" || strings.HasSuffix(dst.path, "/")
	switch {
	case isPattern(src.path):
		if !folder {
			return usagef(cmd, "%s is one object, but %s may match many: end it with / to name a folder", to, from)
		}
		base, _ := splitPattern(src.path)
		job.List, job.Strip, job.Prefix = store.ListOptions{Pattern: src.path}, base, dst.path
	case src.path == "" || strings.HasSuffix(src.path, "/") || o.recursive:
		if !o.recursive {
			return &usageError{cmd: "dsrun cp", text: from + " is a folder", hint: "Add -r to copy all that it holds."}
		}
		if src.path != "" && !strings.HasSuffix(src.path, "/") {
			src.path += "/"
		}
		if !folder {
			dst.path += "/"
		}
		job.List, job.Strip, job.Prefix = store.ListOptions{Prefix: src.path}, src.path, dst.path
	default:
		e, err := src.store.Stat(ctx, src.path, store.Cond{})
		if err != nil {
			return err
		}
		job.Keys = []store.Entry{e}
		if folder {
			job.Strip, job.Prefix = dirOf(src.path), dst.path
		} else {
			job.Rename = dst.path
		}
	}
	return a.copyAll(ctx, src.store, dst.store, job, o)
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

func (a *app) copyAll(ctx context.Context, src, dst *store.Store, job store.CopyJob, o cpFlags) error {
	var overlay *store.OverlayDriver
	if o.dryRun {
		overlay = store.Overlay(dst.Driver())
		dst = dst.WithDriver(overlay)
	}
	res, err := store.Copy(ctx, src, dst, job)
	total := int(res.Copied+res.Skipped) + len(res.Failed)
	if err == nil && total == 0 {
		err = a.nothing("nothing to copy: the source matches no object", o.failEmpty)
	}
	if o.dryRun && err == nil {
		for _, c := range engine.Changes(dst, overlay) {
			if err := a.printChange(c); err != nil {
				return err
			}
		}
	}
	if a.g.json {
		_ = a.printJSON(map[string]any{"copied": res.Copied, "skipped": res.Skipped, "failed": len(res.Failed),
			"bytes": res.Bytes, "client_bytes": res.ClientBytes, "dry_run": o.dryRun})
	} else if err == nil || res.Copied > 0 {
		verb := "copied"
		if o.dryRun {
			verb = "would copy"
		}
		fmt.Fprintf(a.w.Stderr, "%s %d, skipped %d, failed %d; %s\n", verb, res.Copied, res.Skipped, len(res.Failed), humanBytes(res.Bytes))
	}
	return someFailed(total, res.Failed, err)
}

func (a *app) printChange(c engine.Change) error {
	if a.g.json {
		return a.printJSON(c)
	}
	_, err := fmt.Fprintf(a.w.Stdout, "would %s %s (%s)\n", c.Action, fault.Printable(c.Store+":"+c.Path), humanBytes(c.Size))
	return err
}
