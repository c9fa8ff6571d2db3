package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store/record"
	"github.com/dsrun/dsrun/starlib"
)

const runUsage = "run SCRIPT [--PARAMETER VALUE ...]"

func (a *app) runCmd() *cobra.Command {
	var o runFlags
	cmd := &cobra.Command{
		Use: runUsage, Short: "Run a script",
		Long: `Run a Starlark script. The parameters of its main() become flags: main(pattern = "*.csv", max_bad = 0) takes
--pattern and --max-bad. "dsrun run SCRIPT --help" lists them. SCRIPT may be - for standard input.

The configuration is SCRIPT.hcl beside the script, else dsrun.hcl in the working folder or the nearest one above;
-c names another.`,
		Example:            "  dsrun run examples/quickstart.star\n  dsrun run check.star -c prod.hcl --max-bad 10",
		DisableFlagParsing: true, // a script's own flags are known only once it is parsed
	}
	o.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.run(cmd, &o, args) }
	return cmd
}

type runFlags struct {
	dryRun    bool
	untrusted bool
	runID     string
	planOut   string
	record    string
	help      bool
	manifest  string
	otlp      string
	summary   bool
}

func (o *runFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&o.dryRun, "dry-run", false, "write and send nothing; print what would be")
	f.StringVar(&o.runID, "run-id", "", "`ID` of the run: the same id gives events the same ids")
	f.StringVar(&o.planOut, "plan-out", "", "with --dry-run: write the plan to `FILE`, for dsrun apply")
	f.StringVar(&o.record, "record", "", "keep what datastores answer in the folder `DIR`, for dsrun test --replay")
	f.StringVar(&o.manifest, "manifest", "", "write what the run read, wrote and published to `FILE`, as JSON")
	f.StringVar(&o.otlp, "otlp", "", "report traces and metrics of the run to the OpenTelemetry collector at `URL`")
	f.BoolVar(&o.summary, "summary", false, "end with a line of what was done; a terminal always gets it")
	f.BoolVar(&o.untrusted, "untrusted", false, "run the script as one that nobody has reviewed")
	f.BoolVarP(&o.help, "help", "h", false, "help for the script")
}

func (a *app) run(cmd *cobra.Command, o *runFlags, args []string) error {
	own := pflag.NewFlagSet("run", pflag.ContinueOnError)
	own.SetOutput(io.Discard)
	own.SetInterspersed(false)
	a.g.register(own)
	o.register(own)
	if err := own.Parse(args); err != nil {
		return usage(cmd, err)
	}
	if own.NArg() == 0 {
		if o.help {
			return cmd.Help()
		}
		return usagef(cmd, "the script is missing")
	}
	script, rest := own.Arg(0), own.Args()[1:]
	src, shown, err := a.readScript(script)
	if err != nil {
		return err
	}
	program, err := parseScript(shown, src)
	if err != nil {
		return err
	}
	values, err := a.scriptArgs(cmd, own, program, rest)
	if err != nil {
		return err
	}
	if o.help {
		return a.scriptHelp(shown, program)
	}
	if o.untrusted {
		return usagef(cmd, "--untrusted is not supported by this version: it runs reviewed scripts only")
	}
	if o.planOut != "" && !o.dryRun {
		return usagef(cmd, "--plan-out goes with --dry-run")
	}
	if err := a.setLogLevel(cmd); err != nil {
		return err
	}
	if err := checkRunID(cmd, o.runID); err != nil {
		return err
	}
	path := script
	if script == "-" {
		path = ""
	}
	a.dryRun = o.dryRun
	m := a.meter()
	_, project, err := a.load(path)
	if err != nil {
		return err
	}
	if limit := project.Limits(shown).Memory; limit > 0 {
		// Near the limit the collector works harder instead of letting garbage add up to twice of it.
		a.w.SoftMemoryLimit(limit + limit/8)
	}
	run := engine.Script{Name: shown, Source: src, Dir: a.scriptDir(script), Args: values, RunID: o.runID, DryRun: o.dryRun}
	if o.dryRun {
		run.Plan = &engine.Plan{Keep: o.planOut != ""}
	}
	var rec *record.Recording
	if o.record != "" {
		if rec, err = a.newRecording(o.record); err != nil {
			return err
		}
		project.Record(rec)
	}
	if run.RunID == "" {
		run.RunID = engine.NewRunID(a.w.Clock.Now())
	}
	manifest, err := a.manifestFile(project, o.manifest, run.RunID)
	if err != nil {
		return err
	}
	if manifest != "" {
		run.Manifest = &engine.Manifest{}
	}
	if endpoint := cmp.Or(o.otlp, project.Config().Settings.OTLPEndpoint); endpoint != "" {
		if run.Telemetry, err = project.Telemetry(cmd.Context(), endpoint); err != nil {
			return err
		}
		defer func() {
			if err := run.Telemetry.Close(); err != nil { // the run is what counts
				a.logger().Warn("the run could not be reported in full", "collector", endpoint, "error", err.Error())
			}
		}()
	}
	begun := a.w.Clock.Now()
	a.showRun(m, project, run.RunID)
	err = project.RunProgram(cmd.Context(), program, run)
	m.stop()
	if rec != nil {
		err = a.recorded(rec, shown, o.record, err)
	}
	if o.dryRun && err == nil {
		err = a.printPlan(run.Plan)
	}
	if o.planOut != "" && err == nil {
		err = a.writePlan(o.planOut, run.Plan, path, run)
	}
	if run.Manifest != nil {
		err = errors.Join(err, a.writeManifest(run.Manifest, manifest))
	}
	if o.summary || a.w.StderrTTY {
		a.runSummary(project, run.RunID, a.w.Clock.Now().Sub(begun), err)
	}
	return err
}

func parseScript(shown string, src []byte) (*starlib.Program, error) {
	p, err := starlib.Parse(shown, src)
	if err != nil {
		return nil, &staticError{err}
	}
	return p, nil
}

// maxScript bounds the source of the entry script.
const maxScript = 4 << 20

func (a *app) readScript(script string) (src []byte, shown string, err error) {
	if script == "-" {
		src, err = io.ReadAll(io.LimitReader(a.w.Stdin, maxScript+1))
		return src, "stdin.star", err
	}
	src, err = a.readBytes(a.abs(script), maxScript)
	if fault.Is(err, fault.NotFound) {
		hint := "Give the path of a Starlark file."
		if strings.HasSuffix(script, ".hcl") {
			hint = "The script comes first; the configuration goes with -c."
		}
		err = fault.Hinted(fault.InvalidArgument, hint, "script %s does not exist", script)
	}
	return src, a.shown(a.abs(script)), err
}

// scriptDir is the folder that load() in a script counts from.
func (a *app) scriptDir(script string) string {
	if script == "-" {
		return a.w.Dir
	}
	return filepath.Dir(a.abs(script))
}

// scriptArgs parses what follows the script: dsrun's own flags and one flag a parameter of main(). After "--" every
// flag is the script's, also one that dsrun has too.
func (a *app) scriptArgs(cmd *cobra.Command, own *pflag.FlagSet, program *starlib.Program, args []string) (map[string]string, error) {
	before, after := args, []string(nil)
	for i, arg := range args {
		if arg == "--" {
			before, after = args[:i], args[i+1:]
			break
		}
	}
	values := map[string]string{}
	parse := func(args []string, own *pflag.FlagSet) error {
		f := pflag.NewFlagSet("script", pflag.ContinueOnError)
		f.SetOutput(io.Discard)
		f.AddFlagSet(own) // the flags themselves, so that what stood before the script is kept
		for _, p := range program.Params() {
			name := flagName(p.Name)
			if f.Lookup(name) != nil {
				continue // dsrun's own; reachable after --
			}
			f.Var(&scriptValue{values: values, name: p.Name, isBool: p.Type == "bool"}, name, "")
			if p.Type == "bool" {
				f.Lookup(name).NoOptDefVal = "True"
			}
		}
		if err := f.Parse(args); err != nil {
			return a.unknownFlag(cmd, f, err)
		}
		if f.NArg() > 0 {
			return usagef(cmd, "%q is no flag; parameters are given as --name value", f.Arg(0))
		}
		return nil
	}
	if err := parse(before, own); err != nil {
		return nil, err
	}
	return values, parse(after, nil)
}

func flagName(param string) string { return strings.ReplaceAll(param, "_", "-") }

// scriptValue keeps the text of a flag; the script's side converts it by the parameter's default.
type scriptValue struct {
	values map[string]string
	name   string
	isBool bool
}

func (v *scriptValue) String() string { return "" }
func (v *scriptValue) Type() string   { return "value" }
func (v *scriptValue) Set(s string) error {
	v.values[v.name] = s
	return nil
}

func (a *app) scriptHelp(shown string, p *starlib.Program) error {
	var b strings.Builder
	if doc := strings.TrimSpace(p.Doc()); doc != "" {
		b.WriteString(printableText(doc) + "\n\n")
	}
	fmt.Fprintf(&b, "Usage:\n  dsrun run %s", fault.Printable(shown))
	if len(p.Params()) > 0 {
		b.WriteString(" [flags]\n\nFlags of the script:\n")
		for _, q := range p.Params() {
			note := "default " + q.Default
			if q.Required {
				note = "required"
			}
			fmt.Fprintf(&b, "  %-28s %s\n", "--"+flagName(q.Name)+" "+strings.ToUpper(q.Type), fault.Printable(note))
		}
	} else {
		b.WriteString("\n\nThe script takes no flags.\n")
	}
	b.WriteString("\nFlags of dsrun: dsrun run --help\n")
	_, err := io.WriteString(a.w.Stdout, b.String())
	return err
}
