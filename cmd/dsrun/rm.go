package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

func (a *app) rmCmd() *cobra.Command {
	var o rmFlags
	cmd := &cobra.Command{
		Use: "rm PLACE...", Short: "Delete objects",
		Long:    "Delete objects. A folder or a glob needs -r. Nothing is deleted when the listing of what to delete is incomplete.",
		Example: "  dsrun rm clean:summary.json\n  dsrun rm -r --dry-run 'clean:tmp/**'",
		Args:    atLeast(1, "PLACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := a.meter()
			ps, err := a.places()
			if err != nil {
				return err
			}
			for _, arg := range args {
				if err := a.rm(cmd.Context(), ps, m, arg, o); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "delete all that a folder or glob holds")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "delete nothing; print what would be")
	cmd.Flags().BoolVar(&o.failEmpty, "fail-empty", false, "exit with 1 when a folder or glob holds nothing")
	cmd.Flags().BoolVar(&o.missingOK, "missing-ok", false, "an object that is not there is no error")
	return cmd
}

type rmFlags struct{ recursive, dryRun, missingOK, failEmpty bool }

func (a *app) rm(ctx context.Context, ps *places, m *meter, arg string, o rmFlags) error {
	p, err := ps.open(ctx, arg)
	if err != nil {
		return err
	}
	many := isPattern(p.path) || p.path == "" || strings.HasSuffix(p.path, "/") || o.recursive
	if !many {
		if o.dryRun {
			e, err := p.store.Stat(ctx, p.path, store.Cond{})
			if fault.Is(err, fault.NotFound) && o.missingOK {
				return nil
			}
			if err != nil {
				return err
			}
			return a.removed(p.store, e.Key, true)
		}
		if err := p.store.Delete(ctx, p.path, o.missingOK); err != nil {
			return err
		}
		return a.removed(p.store, p.path, false)
	}
	if !o.recursive {
		return &usageError{text: arg + " names more than one object", hint: "Add -r to delete all of them, and --dry-run to see them first."}
	}
	keys, err := matching(ctx, p)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return a.nothing(arg+" holds nothing", o.failEmpty)
	}
	if o.dryRun {
		for _, k := range keys {
			if err := a.removed(p.store, k, true); err != nil {
				return err
			}
		}
		return nil
	}
	before := p.store.Stats().Deleted.Load()
	m.render = func(time.Time, int) string {
		return fmt.Sprintf("deleted %d of %d objects", p.store.Stats().Deleted.Load()-before, len(keys))
	}
	m.counts = func() any {
		return map[string]int64{"deleted": p.store.Stats().Deleted.Load() - before, "planned": int64(len(keys))}
	}
	m.start()
	failed, err := p.store.DeleteKeys(ctx, keys)
	m.stop()
	bad := map[string]bool{}
	for _, f := range failed {
		bad[f.Key] = true
	}
	if err == nil {
		for _, k := range keys {
			if !bad[k] {
				if err := a.removed(p.store, k, false); err != nil {
					return err
				}
			}
		}
	}
	return someFailed(len(keys), failed, err)
}

// matching lists all keys of a folder or glob before anything is done with them.
func matching(ctx context.Context, p place) ([]string, error) {
	o := store.ListOptions{Prefix: p.path}
	if isPattern(p.path) {
		o = store.ListOptions{Pattern: p.path}
	} else if p.path != "" && !strings.HasSuffix(p.path, "/") {
		o.Prefix += "/"
	}
	var keys []string
	err := eachEntry(ctx, p.store, o, func(e store.Entry) error { keys = append(keys, e.Key); return nil })
	return keys, err
}

func (a *app) removed(s *store.Store, key string, dry bool) error {
	if a.g.json {
		return a.printJSON(map[string]any{"deleted": !dry, "path": key, "uri": s.URI(key)})
	}
	verb := "deleted"
	if dry {
		verb = "would delete"
	}
	_, err := fmt.Fprintf(a.w.Stdout, "%s %s\n", verb, fault.Printable(s.Name()+":"+key))
	return err
}

// partialError says that some of many items failed; each is printed.
type partialError struct {
	total  int
	failed []store.KeyError
}

func (e *partialError) Error() string {
	return fmt.Sprintf("%d of %d objects failed", len(e.failed), e.total)
}

func someFailed(total int, failed []store.KeyError, err error) error {
	if err != nil || len(failed) == 0 {
		return err
	}
	return &partialError{total, failed}
}
