package starlib

import (
	"fmt"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

var runType = NewMethods("run", "What is known of the current run.", []AttrDoc{
	{"id", "string", "The id of the run; the same id makes the same event ids."},
	{"env", "string", "The name given with --env, or \"\"."},
	{"script", "string", "The path of the script."},
	{"started", "time.time", "When the run began."},
	{"dry_run", "bool", "Whether nothing is really written or published."},
})

// runValue is `run`.
type runValue struct{ attrs starlark.StringDict }

func newRunValue(r *Run) starlark.Value {
	var info RunInfo
	if r.Host != nil {
		info = r.Host.Info()
	}
	return &runValue{starlark.StringDict{
		"id":      starlark.String(info.ID),
		"env":     starlark.String(info.Env),
		"script":  starlark.String(info.Script),
		"started": startime.Time(info.Started),
		"dry_run": starlark.Bool(info.DryRun),
	}}
}

// Attr implements starlark.HasAttrs.
func (v *runValue) Attr(name string) (starlark.Value, error) { return v.attrs[name], nil }

// AttrNames implements starlark.HasAttrs.
func (v *runValue) AttrNames() []string { return runType.Names() }

func (v *runValue) String() string        { return fmt.Sprintf("run(id = %s)", v.attrs["id"]) }
func (v *runValue) Type() string          { return "run" }
func (v *runValue) Freeze()               {}
func (v *runValue) Truth() starlark.Bool  { return true }
func (v *runValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: run") }
