package main

import (
	"fmt"
	"sort"
	"time"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

func (a *app) statCmd() *cobra.Command {
	return &cobra.Command{
		Use: "stat PLACE...", Short: "Describe objects", Example: "  dsrun stat raw:birdstrikes.csv",
		Args: atLeast(1, "PLACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ps, err := a.places()
			if err != nil {
				return err
			}
			for _, arg := range args {
				p, err := ps.open(cmd.Context(), arg)
				if err != nil {
					return err
				}
				e, err := p.store.Stat(cmd.Context(), p.path, store.Cond{})
				if err != nil {
					return err
				}
				if err := a.printEntry(p.store, e); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) printEntry(s *store.Store, e store.Entry) error {
	j := toJSON(s, e)
	if a.g.json {
		return a.printJSON(j)
	}
	line := func(k, v string) {
		if v != "" {
			fmt.Fprintf(a.w.Stdout, "%-13s %s\n", k, fault.Printable(v)) // Main looks for what failed
		}
	}
	line("path", j.Path)
	line("uri", j.URI)
	if j.Size != nil {
		line("size", fmt.Sprintf("%d (%s)", e.Size, humanBytes(e.Size)))
	}
	if !e.Modified.IsZero() {
		line("modified", e.Modified.UTC().Format(time.RFC3339Nano))
	}
	line("etag", j.ETag)
	line("version", j.Version)
	line("content type", j.Type)
	line("encoding", j.Encoding)
	keys := make([]string, 0, len(j.Metadata))
	for k := range j.Metadata {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		line("metadata", k+"="+j.Metadata[k])
	}
	return nil
}
