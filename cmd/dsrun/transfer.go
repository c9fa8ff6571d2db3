package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/state"
	"github.com/dsrun/dsrun/engine/store"
)

// transferFlags are what cp, sync and mv share.
type transferFlags struct {
	workers                              int
	dryRun, keepGoing, failEmpty, resume bool
}

func (o *transferFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&o.workers, "workers", 0, "objects under way at once; 0: as many as make it faster")
	f.BoolVar(&o.dryRun, "dry-run", false, "change nothing; print what would be done")
	f.BoolVar(&o.failEmpty, "fail-empty", false, "exit with 1 when a folder or glob holds nothing")
	f.BoolVar(&o.keepGoing, "keep-going", false, "go on after a failure")
	f.BoolVar(&o.resume, "resume", false, "keep unfinished uploads of large objects when the run ends early; go on with those of the last run")
}

func (o *transferFlags) check(cmd *cobra.Command) error {
	if o.workers < 0 || o.workers > 1024 {
		return usagef(cmd, "--workers is %d; it takes 0 to 1024", o.workers)
	}
	return nil
}

// transfer is one copy, sync or move.
type transfer struct {
	verb     string // "copied", "moved"
	src, dst place
	job      store.CopyJob
	o        transferFlags
	journal  *state.Journal
}

// transfer runs a job and tells of it: the plan of a dry run on standard output, a summary on standard error, or with
// --json one value.
func (a *app) transfer(ctx context.Context, ps *places, t *transfer, m *meter) error {
	src, dst := t.src.store, t.dst.store
	t.job.Workers, t.job.Collect = t.o.workers, t.o.keepGoing
	var overlays []dryStore
	if t.o.dryRun {
		src, dst, overlays = dryRun(src, dst, t.job.Move)
	} else if t.o.resume {
		if err := a.openJournal(ctx, ps, t); err != nil {
			return err
		}
		defer t.journal.Close()
	}
	m.start()
	res, err := store.Copy(store.WithProgress(ctx, m), src, dst, t.job)
	m.stop()
	total := int(res.Copied+res.Skipped) + len(res.Failed)
	if err == nil && total == 0 {
		err = a.nothing("nothing to do: the source matches no object", t.o.failEmpty)
	}
	if err == nil {
		for _, o := range overlays {
			for _, c := range engine.Changes(o.Store, o.overlay) {
				if err := a.printChange(c); err != nil {
					return err
				}
			}
		}
	}
	left := a.kept(t, err != nil || len(res.Failed) > 0)
	a.summary(t, m, res, left, err)
	if err != nil && t.o.keepGoing && len(res.Failed) > 0 {
		return &mixedError{err, &partialError{total, res.Failed}}
	}
	return someFailed(total, res.Failed, err)
}

// dryStore is a store that is only planned with.
type dryStore struct {
	*store.Store
	overlay *store.OverlayDriver
}

// dryRun lays an overlay over the target, and over the source where it is changed too. Two places of one store share
// one, so that each sees what the other made.
func dryRun(src, dst *store.Store, both bool) (*store.Store, *store.Store, []dryStore) {
	over := store.Overlay(dst.Driver())
	to := dst.WithDriver(over)
	dry := []dryStore{{to, over}}
	switch {
	case !both:
		return src, to, dry
	case src.Driver() == dst.Driver():
		if src == dst {
			return to, to, dry
		}
		return src.WithDriver(over), to, dry
	}
	under := store.Overlay(src.Driver())
	from := src.WithDriver(under)
	return from, to, append(dry, dryStore{from, under})
}

// openJournal opens the journal of a job, which is named by its two places.
func (a *app) openJournal(ctx context.Context, ps *places, t *transfer) error {
	s, err := ps.project.State()
	if err != nil {
		return err
	}
	name := func(p place) string { return p.store.Kind() + " " + p.store.Name() + " " + p.store.URI(p.path) }
	j, err := s.Sub("transfers").OpenJournal(ctx, name(t.src), name(t.dst))
	if err != nil {
		return err
	}
	t.journal, t.job.Journal = j, j
	return nil
}

// kept returns how many uploads wait for another run, and after a failure says how to go on with them.
func (a *app) kept(t *transfer, failed bool) int {
	if t.journal == nil || !failed {
		return 0
	}
	names, _ := t.journal.Names()
	if len(names) > 0 && !a.g.json {
		words := make([]string, 0, len(a.w.Args)+1)
		for _, arg := range append([]string{"dsrun"}, a.w.Args...) {
			words = append(words, shellWord(arg))
		}
		line := fmt.Sprintf("unfinished uploads that are kept: %d; go on with: %s\n", len(names), fault.Printable(strings.Join(words, " ")))
		fmt.Fprint(a.w.Stderr, a.redactor.Redact(line))
	}
	return len(names)
}

// shellWord quotes an argument for a POSIX shell where it has to be.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// summary prints what was done.
func (a *app) summary(t *transfer, m *meter, res store.CopyResult, left int, err error) {
	if a.g.json {
		v := struct {
			Planned     int64 `json:"planned"`
			Done        int64 `json:"done"`
			Skipped     int64 `json:"skipped"`
			Deleted     int64 `json:"deleted"`
			Failed      int   `json:"failed"`
			Bytes       int64 `json:"bytes"`
			ClientBytes int64 `json:"client_bytes"`
			Unfinished  int   `json:"unfinished,omitempty"`
			DryRun      bool  `json:"dry_run"`
		}{m.planned.Load(), res.Copied, res.Skipped, res.Deleted, len(res.Failed), res.Bytes, res.ClientBytes, left, t.o.dryRun}
		_ = a.printJSON(v)
		return
	}
	if err != nil && res.Copied+res.Deleted == 0 {
		return
	}
	verb := t.verb
	if t.o.dryRun {
		verb = map[string]string{"copied": "would copy", "moved": "would move"}[verb]
	}
	deleted := ""
	if t.job.DeleteExtra {
		deleted = fmt.Sprintf(", deleted %d", res.Deleted)
	}
	fmt.Fprintf(a.w.Stderr, "%s %d, skipped %d%s, failed %d; %s\n", verb, res.Copied, res.Skipped, deleted, len(res.Failed), humanBytes(res.Bytes))
}

func (a *app) printChange(c engine.Change) error {
	if a.g.json {
		return a.printJSON(c)
	}
	size := ""
	if c.Size >= 0 && c.Action != "delete" {
		size = " (" + humanBytes(c.Size) + ")"
	}
	_, err := fmt.Fprintf(a.w.Stdout, "would %s %s%s\n", c.Action, fault.Printable(c.Store+":"+c.Path), size)
	return err
}

// mixedError is the failure of a whole job after some of its objects had failed too.
type mixedError struct {
	err  error
	part *partialError
}

func (e *mixedError) Error() string   { return e.err.Error() }
func (e *mixedError) Unwrap() []error { return []error{e.err, e.part} }

// copyJob says what FROM and TO mean to cp and mv.
func (a *app) copyJob(ctx context.Context, cmd *cobra.Command, ps *places, from, to string, recursive bool) (src, dst place, job store.CopyJob, err error) {
	if src, err = ps.open(ctx, from); err == nil {
		dst, err = ps.open(ctx, to)
	}
	if err != nil {
		return src, dst, job, err
	}
	folder := dst.path == "" || strings.HasSuffix(dst.path, "/")
	switch {
	case isPattern(src.path):
		if !folder {
			return src, dst, job, usagef(cmd, "%s is one object, but %s may match many: end it with / to name a folder", to, from)
		}
		job = folderJob(&src, &dst)
	case src.path == "" || strings.HasSuffix(src.path, "/") || recursive:
		if !recursive {
			return src, dst, job, &usageError{cmd: cmd.CommandPath(), text: from + " is a folder", hint: "Add -r for all that it holds."}
		}
		job = folderJob(&src, &dst)
	default:
		e, err := src.store.Stat(ctx, src.path, store.Cond{})
		if err != nil {
			return src, dst, job, err
		}
		job.Keys = []store.Entry{e}
		if folder {
			job.Strip, job.Prefix = dirOf(src.path), dst.path
		} else {
			job.Rename = dst.path
		}
	}
	return src, dst, job, nil
}

// folderJob is a job over a glob, or all of a folder; the places get the slash that a folder's path ends with.
func folderJob(src, dst *place) (job store.CopyJob) {
	if dst.path != "" && !strings.HasSuffix(dst.path, "/") {
		dst.path += "/"
	}
	job.Prefix = dst.path
	if isPattern(src.path) {
		base, _ := splitPattern(src.path)
		job.List, job.Strip = store.ListOptions{Pattern: src.path}, base
		return job
	}
	if src.path != "" && !strings.HasSuffix(src.path, "/") {
		src.path += "/"
	}
	job.List, job.Strip = store.ListOptions{Prefix: src.path}, src.path
	return job
}

// overwriteOf reads the flag --overwrite.
func overwriteOf(cmd *cobra.Command, word string) (store.Overwrite, error) {
	over, ok := overwrites[word]
	if !ok {
		return 0, usagef(cmd, "--overwrite is %q; it takes never, if_changed or always", word)
	}
	return over, nil
}
