package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format"
	"github.com/dsrun/dsrun/engine/store"
)

func (a *app) catCmd() *cobra.Command {
	failEmpty := false
	cmd := &cobra.Command{
		Use: "cat PLACE...", Short: "Print objects",
		Long: `Print the bytes of objects one after another, as they are; on a terminal, controls in them are shown escaped. With --json,
print the rows of tabular objects (csv, tsv, jsonl, also compressed) as JSON, one a line. A glob prints what it matches in
key order.`,
		Example: "  dsrun cat clean:summary.json\n  dsrun cat --json 'raw:*.csv' | head",
		Args:    atLeast(1, "PLACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ps, err := a.places()
			if err != nil {
				return err
			}
			for _, arg := range args {
				if err := a.cat(cmd.Context(), ps, arg, failEmpty); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&failEmpty, "fail-empty", false, "exit with 1 when a glob matches nothing")
	return cmd
}

func (a *app) cat(ctx context.Context, ps *places, arg string, failEmpty bool) error {
	p, err := ps.open(ctx, arg)
	if err != nil {
		return err
	}
	if p.path == "" || strings.HasSuffix(p.path, "/") {
		return &usageError{text: arg + " is a folder", hint: "Name an object, or a glob such as " + arg + "**."}
	}
	one := func(key string, version string) error {
		r, err := p.store.Open(ctx, key, store.ReadOptions{Version: version})
		if err != nil {
			return err
		}
		defer r.Close()
		if a.g.json {
			return a.catRows(ctx, r, key)
		}
		if a.w.StdoutTTY { // for people: what the object holds cannot drive the terminal
			t := &ttyWriter{w: a.w.Stdout}
			_, err = io.Copy(struct{ io.Writer }{t}, r)
			return errors.Join(err, t.Flush())
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{a.w.Stdout}, r, make([]byte, 256<<10))
		return err
	}
	if !isPattern(p.path) {
		return one(p.path, "")
	}
	found := false
	err = eachEntry(ctx, p.store, store.ListOptions{Pattern: p.path}, func(e store.Entry) error {
		found = true
		return one(e.Key, e.Version)
	})
	if err == nil && !found {
		return a.nothing("nothing matches "+arg, failEmpty)
	}
	return err
}

// catRows prints the rows of a tabular object as JSON lines.
func (a *app) catRows(ctx context.Context, r *store.Reader, key string) error {
	src, err := format.Open(ctx, "auto", format.Input{Name: key, Size: r.Entry().Size, Body: r}, format.ReadOptions{})
	var f *fault.Error
	if errors.As(err, &f) && f.Class.Code == fault.InvalidArgument && f.Op == "" {
		return fault.Hinted(fault.InvalidArgument, "Leave --json out to print the bytes.", "%w", f.Err)
	}
	if err != nil {
		return err
	}
	defer src.Close()
	lines, err := format.Lookup("jsonl")
	if err != nil {
		return err
	}
	w, err := lines.Create(jsonWriter{a.w.Stdout}, format.WriteOptions{})
	if err != nil {
		return err
	}
	for {
		b, err := src.Next(ctx)
		if err == io.EOF {
			return w.Close()
		}
		if err != nil {
			return err
		}
		if err := w.Write(b); err != nil {
			return err
		}
	}
}
