package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
)

// besideSuffix names the folder beside a plan for content that does not stand in it.
const besideSuffix = ".d"

// maxPlanText bounds a plan file, in bytes.
const maxPlanText = 256 << 20

func (a *app) applyCmd() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Carry out the plan of a dry run",
		Long: `Carry out a plan that "dsrun run SCRIPT --dry-run --plan-out FILE" has written: exactly its changes, without running the
script again.

Every object that the plan writes, deletes or copies from is pinned to the state that the dry run saw (version, ETag, size,
time). All of them are looked at first; when one has changed since, each difference is named, nothing is done, and the exit
code is 1. Events are published last, with the ids of the plan.

What was carried out is recorded in the state folder. When an execution is ended half-way, run the same command again: it
goes on with what is left, or says what has changed meanwhile.

The configuration is that of the dry run; -c names another. Variables given with --var are not in the plan: give them
again. Content of more than 4 KiB lies beside the plan in FILE.d, which belongs to it; a dry run keeps at most 256 MiB of what
a script writes to one datastore.`,
		Example: "  dsrun run clean.star --dry-run --plan-out plan.json\n  dsrun apply plan.json",
		Args:    exactly("FILE"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.apply(cmd.Context(), args[0], check) },
	}
	cmd.Flags().BoolVar(&check, "check", false, "only look whether the plan can still be carried out")
	return cmd
}

// writePlan writes a plan and what lies beside it. The plan itself comes last, so that a plan that is there is whole.
// path is that of the script, "" for standard input.
func (a *app) writePlan(file string, p *engine.Plan, path string, run engine.Script) error {
	abs := a.abs(file)
	dir := filepath.Dir(abs)
	kept := map[string]bool{}
	clean := func(text string) error {
		if a.redactor.Redact(text) != text {
			return fault.Hinted(fault.FailedPrecondition, "Run the script without a plan.", "the plan would hold a secret, so it was not written")
		}
		return nil
	}
	root, err := a.w.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	beside := filepath.Base(abs) + besideSuffix
	f, err := engine.NewPlanFile(p, func(name string, data []byte) error {
		if err := clean(string(data)); err != nil {
			return err
		}
		if err := root.Mkdir(beside, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		kept[name] = true
		return a.writeFile(filepath.Join(abs+besideSuffix, name), data, 0o600)
	})
	if err != nil {
		return err
	}
	f.Script, f.RunID, f.Made, f.Env = run.Name, run.RunID, a.w.Clock.Now().UTC(), a.g.env
	if f.Config, err = a.configFor(path, dir); err != nil {
		return err
	}
	text, err := f.Encode()
	if err == nil {
		err = clean(string(text))
	}
	if err != nil {
		return err
	}
	if err := a.writeFile(abs, text, 0o600); err != nil {
		return err
	}
	if !a.g.json {
		fmt.Fprintf(a.w.Stderr, "plan written; to carry it out: dsrun apply %s\n", fault.Printable(shellWord(file)))
	}
	return dropOld(root, beside, kept)
}

// configFor returns the configuration files of this command as a plan in the folder dir names them.
func (a *app) configFor(script, dir string) ([]string, error) {
	places := a.g.configs
	if len(places) == 0 {
		p, err := a.defaultConfig(script)
		if err != nil || p == "" {
			return nil, err
		}
		places = []string{p}
	}
	var out []string
	for _, p := range places {
		abs := a.abs(p)
		if rel, err := filepath.Rel(dir, abs); err == nil {
			abs = filepath.ToSlash(rel)
		}
		out = append(out, abs)
	}
	return out, nil
}

// dropOld removes what an earlier plan of the same name left beside it.
func dropOld(root *os.Root, beside string, kept map[string]bool) error {
	entries, err := fs.ReadDir(root.FS(), beside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if len(e.Name()) == 64 && !kept[e.Name()] { // the name of a checksum: ours
			if err := root.Remove(filepath.Join(beside, e.Name())); err != nil {
				return err
			}
		}
	}
	if len(kept) == 0 {
		_ = root.Remove(beside) // stays when somebody put something of their own in
	}
	return nil
}

func (a *app) apply(ctx context.Context, file string, check bool) error {
	abs := a.abs(file)
	text, err := a.readBytes(abs, maxPlanText)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Hinted(fault.InvalidArgument, "A plan is written by dsrun run --dry-run --plan-out FILE.", "%s does not exist", file)
	}
	if err != nil {
		return err
	}
	plan, err := engine.DecodePlan(text)
	if err != nil {
		return err
	}
	if len(a.g.configs) == 0 {
		for _, c := range plan.Config {
			if p := filepath.FromSlash(c); filepath.IsAbs(p) {
				a.g.configs = append(a.g.configs, p)
			} else {
				a.g.configs = append(a.g.configs, filepath.Join(filepath.Dir(abs), p))
			}
		}
	}
	if a.g.env == "" {
		a.g.env = plan.Env
	}
	a.dryRun = check
	_, project, err := a.load("")
	if err != nil {
		return err
	}
	done, err := project.Apply(ctx, plan, &engine.Applying{
		Check: check, Done: a.printStep,
		Beside: func(name string) ([]byte, error) {
			b, err := a.readBytes(filepath.Join(abs+besideSuffix, name), engine.MaxContent)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fault.New(fault.NotFound, "the file %s of the plan is missing in %s", name, a.shown(abs+besideSuffix))
			}
			return b, err
		},
	})
	var changed *engine.ChangedError
	if errors.As(err, &changed) {
		for _, c := range changed.Changed {
			if perr := a.printChanged(c); perr != nil {
				return perr
			}
		}
	}
	a.applied(plan, done, check, err)
	return err
}

// printStep prints a step or event that was carried out.
func (a *app) printStep(s *engine.Step, e *engine.PlannedEvent) error {
	if a.g.json {
		if e != nil {
			return a.printJSON(map[string]any{"action": "publish", "topic": e.Topic, "id": e.ID, "type": e.Type, "data": json.RawMessage(e.Data)})
		}
		return a.printJSON(changeOf(s))
	}
	if e != nil {
		_, err := fmt.Fprintf(a.w.Stdout, "publish   %s to %s\n", fault.Printable(e.Type), e.Topic)
		return err
	}
	size := ""
	if s.Size >= 0 && s.Action != "delete" {
		size = " (" + humanBytes(s.Size) + ")"
	}
	_, err := fmt.Fprintf(a.w.Stdout, "%-9s %s%s\n", s.Action, fault.Printable(s.Store+":"+s.Path), size)
	return err
}

func changeOf(s *engine.Step) engine.Change {
	c := engine.Change{Action: s.Action, Store: s.Store, Path: s.Path, Size: s.Size}
	if s.From != nil {
		c.From = s.From.Store + ":" + s.From.Path
	}
	return c
}

func (a *app) printChanged(c engine.Changed) error {
	if a.g.json {
		return a.printJSON(map[string]engine.Changed{"changed": c})
	}
	where := c.Store
	if c.Path != "" {
		where += ":" + c.Path
	}
	text := fmt.Sprintf("changed   %s (%s): %s\n", fault.Printable(where), c.What, fault.Printable(c.Reason))
	_, err := io.WriteString(a.w.Stdout, a.redactor.Redact(text))
	return err
}

// applied prints what was done.
func (a *app) applied(plan *engine.PlanFile, done engine.Applied, check bool, err error) {
	earlier := done.EarlierSteps + done.EarlierEvents
	left := len(plan.Steps) + len(plan.Events) - done.Steps - done.Events - earlier
	if a.g.json {
		_ = a.printJSON(struct {
			Planned int   `json:"planned"`
			Done    int   `json:"done"`
			Earlier int   `json:"earlier"`
			Left    int   `json:"left"`
			Bytes   int64 `json:"bytes"`
			Check   bool  `json:"check,omitempty"`
		}{len(plan.Steps) + len(plan.Events), done.Steps + done.Events, earlier, left, done.Bytes, check})
		return
	}
	var changed *engine.ChangedError
	var b strings.Builder
	switch {
	case errors.As(err, &changed):
		b.WriteString("nothing was done\n")
	case err != nil && done.Steps+done.Events == 0:
		return
	case check:
		fmt.Fprintf(&b, "nothing has changed: the plan can be carried out; %s left\n", count(left, "change"))
	default:
		fmt.Fprintf(&b, "%s done, %s published", count(done.Steps, "change"), count(done.Events, "event"))
		if earlier > 0 {
			fmt.Fprintf(&b, ", %d done earlier", earlier)
		}
		if left > 0 {
			fmt.Fprintf(&b, ", %d left: run the same command again to go on", left)
		}
		b.WriteString("\n")
	}
	_, _ = io.WriteString(a.w.Stderr, b.String())
}
