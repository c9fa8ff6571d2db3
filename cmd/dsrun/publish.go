package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format"
	"github.com/dsrun/dsrun/engine/rows"
)

func (a *app) publishCmd() *cobra.Command {
	var o publishFlags
	cmd := &cobra.Command{
		Use: "publish TOPIC", Short: "Publish events",
		Long:    "Publish one event, or with --file one event a line: the data of an event as a JSON object. The ids of what was accepted are printed.",
		Example: "  dsrun publish events --type dataset.validated --data '{\"rows\": 7125}'\n  dsrun publish events --type row.bad --file bad.jsonl",
		Args:    exactly("TOPIC"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.publish(cmd.Context(), cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.typ, "type", "", "the event's type, such as dataset.validated (required)")
	f.StringVar(&o.data, "data", "", "the event's data, `JSON`")
	f.StringVar(&o.file, "file", "", "publish one event a line of `FILE`; - is standard input")
	f.StringVar(&o.subject, "subject", "", "the event's subject")
	f.StringVar(&o.id, "id", "", "the event's id (default: made from --run-id)")
	f.StringVar(&o.runID, "run-id", "", "`ID` of the run: the same id gives events the same ids")
	f.BoolVar(&o.dryRun, "dry-run", false, "send nothing; print what would be")
	return cmd
}

type publishFlags struct {
	typ, data, file, subject, id, runID string
	dryRun                              bool
}

func (a *app) publish(ctx context.Context, cmd *cobra.Command, name string, o publishFlags) error {
	switch {
	case o.typ == "":
		return usagef(cmd, "--type is missing: every event has one, such as dataset.validated")
	case o.file != "" && (o.data != "" || o.id != ""):
		return usagef(cmd, "--file goes with neither --data nor --id")
	case o.data != "" && !json.Valid([]byte(o.data)):
		return usagef(cmd, "--data is not JSON: %s", jsonMistake(o.data))
	}
	if err := checkRunID(cmd, o.runID); err != nil {
		return err
	}
	_, project, err := a.load("")
	if err != nil {
		return err
	}
	if o.runID == "" {
		o.runID = engine.NewRunID(a.w.Clock.Now())
	}
	session := project.Session(engine.Script{Name: "dsrun publish", RunID: o.runID, DryRun: o.dryRun})
	topic, err := session.Topic(ctx, name)
	if err != nil {
		return err
	}
	e := event.Event{Type: o.typ, Subject: o.subject, ID: o.id, Site: "publish"}
	if o.data != "" {
		e.Data = []byte(o.data)
	}
	if o.file == "" {
		var id string
		if id, err = topic.Publish(ctx, e); err == nil && !o.dryRun {
			err = a.published(id)
		}
	} else {
		err = a.publishFile(ctx, topic, e, o)
	}
	plan := &engine.Plan{}
	if cerr := session.Close(plan); err == nil {
		err = cerr
	}
	if err == nil && o.dryRun {
		err = a.printPlan(plan)
	}
	return err
}

func (a *app) published(id string) error {
	if a.g.json {
		return a.printJSON(map[string]string{"id": id})
	}
	_, err := fmt.Fprintln(a.w.Stdout, a.name(id))
	return err
}

// jsonMistake says where a text stops being JSON.
func jsonMistake(text string) string {
	var v any
	err := json.Unmarshal([]byte(text), &v)
	var e *json.SyntaxError
	if errors.As(err, &e) {
		return fmt.Sprintf("%v at character %d", e, e.Offset)
	}
	return err.Error()
}

// publishFile sends one event a line; each line must be a JSON object.
func (a *app) publishFile(ctx context.Context, topic *event.Topic, e event.Event, o publishFlags) error {
	in := a.w.Stdin
	if o.file != "-" {
		f, err := a.openFile(a.abs(o.file))
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	src, err := format.Open(ctx, "lines", format.Input{Name: o.file, Size: -1, Body: in}, format.ReadOptions{})
	if err != nil {
		return err
	}
	defer src.Close()
	var batch *rows.Batch
	i, line := 0, 0
	n, err := topic.PublishAll(ctx, func(ctx context.Context) (event.Event, error) {
		for {
			for batch == nil || i == batch.N {
				var err error
				if batch, err = src.Next(ctx); err != nil {
					return event.Event{}, err
				}
				i = 0
			}
			text := strings.TrimSpace(batch.Cols[0].Str(i))
			i++
			line++
			if text == "" {
				continue
			}
			if !json.Valid([]byte(text)) || text[0] != '{' {
				return event.Event{}, fault.New(fault.BadRow, "%s:%d: not a JSON object", o.file, line)
			}
			e := e
			e.Data = []byte(text)
			return e, nil
		}
	}, nil)
	if err == nil && !o.dryRun {
		if a.g.json {
			return a.printJSON(map[string]int{"published": n})
		}
		_, err = fmt.Fprintf(a.w.Stdout, "published %d events\n", n)
	}
	return err
}
