package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

func (a *app) eventsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "events", Short: "Send events that wait, and those that were refused",
		Long: `A topic with durable = true keeps each event in the state folder until its bus has taken it. A topic with dead_letter
stores what its bus refuses for good in a datastore, with the reason. These commands send them.`,
		Args: func(cmd *cobra.Command, args []string) error { return unknownCommand(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	var o replayFlags
	ls := &cobra.Command{
		Use: "ls [TOPIC]", Short: "Count the events that wait, and list the refused ones",
		Example: "  dsrun events ls\n  dsrun events ls events --json",
		Args:    atMost(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.eventsLs(cmd.Context(), args) },
	}
	flush := &cobra.Command{
		Use: "flush [TOPIC]", Short: "Send the events that earlier runs left in the outbox",
		Long: `Send what the outboxes of all durable topics hold, or that of TOPIC. Ids stay as they were, so that receivers can drop
what they have seen. What a bus refuses for good goes to the topic's dead letters, or stays and is an error.`,
		Example: "  dsrun events flush",
		Args:    atMost(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.eventsFlush(cmd.Context(), args) },
	}
	replay := &cobra.Command{
		Use: "replay TOPIC", Short: "Send the dead letters of a topic again",
		Long: `Send what the bus of TOPIC refused before, under the same ids. A dead letter whose event is accepted now is removed; the
others stay.`,
		Example: "  dsrun events replay events --dry-run\n  dsrun events replay events",
		Args:    exactly("TOPIC"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.eventsReplay(cmd.Context(), args[0], o) },
	}
	replay.Flags().BoolVar(&o.dryRun, "dry-run", false, "send nothing; print what would be")
	cmd.AddCommand(ls, flush, replay)
	return cmd
}

type replayFlags struct{ dryRun bool }

// outboxes returns the named topic, or all that are durable.
func (a *app) outboxes(ctx context.Context, project *engine.Project, args []string) ([]*event.Topic, error) {
	names := args
	if len(names) == 0 {
		names = project.Durable()
	}
	var out []*event.Topic
	for _, name := range names {
		t, err := project.Topic(ctx, name)
		if err != nil {
			return nil, err
		}
		if !t.Durable() {
			return nil, &fault.Error{Op: "flush", Resource: name, Class: fault.Class{Code: fault.FailedPrecondition,
				Hint: "Declare it with durable = true."}, Err: fmt.Errorf("the topic has no outbox")}
		}
		out = append(out, t)
	}
	return out, nil
}

func (a *app) eventsFlush(ctx context.Context, args []string) error {
	_, project, err := a.load("")
	if err != nil {
		return err
	}
	topics, err := a.outboxes(ctx, project, args)
	if err != nil {
		return err
	}
	var first error
	for _, t := range topics {
		f, err := t.Flush(ctx)
		if first == nil {
			first = err
		}
		if err := a.printFlushed(t.Name(), f); err != nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

func (a *app) printFlushed(topic string, f event.Flushed) error {
	if a.g.json {
		return a.printJSON(struct {
			Topic string `json:"topic"`
			event.Flushed
		}{topic, f})
	}
	_, err := fmt.Fprintf(a.w.Stdout, "%s: %d sent, %d refused, %d left\n", topic, f.Sent, f.Refused, f.Left)
	return err
}

// letterLine is a dead letter as it is listed.
type letterLine struct {
	Topic   string `json:"topic"`
	ID      string `json:"id"`
	Type    string `json:"type"`
	Refused string `json:"refused"`
	Code    string `json:"code"`
	Reason  string `json:"reason"`
	State   string `json:"state"` // refused, sent, or would send
}

func (a *app) printLetter(l event.Letter, state string) error {
	line := letterLine{l.Topic, l.Message.ID, l.Message.Type, l.Refused.UTC().Format("2006-01-02T15:04:05Z"), string(l.Code), l.Reason, state}
	if a.g.json {
		return a.printJSON(line)
	}
	_, err := fmt.Fprintf(a.w.Stdout, "%s\t%s\t%s\t%s\t%s\n", state, fault.Printable(line.ID), fault.Printable(line.Type), line.Refused, fault.Printable(line.Reason))
	return err
}

func (a *app) eventsLs(ctx context.Context, args []string) error {
	_, project, err := a.load("")
	if err != nil {
		return err
	}
	found := false
	for _, d := range project.Config().Decls {
		if d.Kind != "topic" || len(args) > 0 && d.Name != args[0] {
			continue
		}
		found = true
		if d.Common.Durable {
			t, err := project.Topic(ctx, d.Name)
			if err != nil {
				return err
			}
			n, err := t.Waiting(ctx)
			if err != nil {
				return err
			}
			if a.g.json {
				err = a.printJSON(map[string]any{"topic": d.Name, "waiting": n})
			} else {
				_, err = fmt.Fprintf(a.w.Stdout, "%s: %d events wait\n", d.Name, n)
			}
			if err != nil {
				return err
			}
		}
		if !d.Common.DeadLetter.IsZero() {
			if _, err := project.DeadLetters(ctx, d.Name, func(l event.Letter) (bool, error) { return false, a.printLetter(l, "refused") }); err != nil {
				return err
			}
		}
	}
	if len(args) > 0 && !found {
		_, err := project.Topic(ctx, args[0]) // says what is near
		return err
	}
	return nil
}

func (a *app) eventsReplay(ctx context.Context, name string, o replayFlags) error {
	a.dryRun = o.dryRun
	_, project, err := a.load("")
	if err != nil {
		return err
	}
	topic, err := project.Topic(ctx, name)
	if err != nil {
		return err
	}
	var failed error
	stay := 0
	n, err := project.DeadLetters(ctx, name, func(l event.Letter) (bool, error) {
		if o.dryRun {
			return false, a.printLetter(l, "would send")
		}
		if err := topic.Replay(ctx, l.Message); err != nil {
			if ctx.Err() != nil {
				return false, err
			}
			stay++
			if failed == nil {
				failed = err
			}
			l.Reason = err.Error()
			return false, a.printLetter(l, "refused")
		}
		return true, a.printLetter(l, "sent")
	})
	if err == nil && failed != nil {
		err = fmt.Errorf("%d of %d dead letters stay: %w", stay, n, failed)
	}
	return err
}
