package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

func (a *app) lsCmd() *cobra.Command {
	var o lsFlags
	cmd := &cobra.Command{
		Use: "ls [PLACE]", Short: "List datastores, or what a place holds",
		Long: `List the declared datastores, or one level of a place, folders first. With -r, or a path that ends with **, all the way
down in key order, one key a line. A glob lists what it matches.`,
		Example: "  dsrun ls\n  dsrun ls raw:\n  dsrun ls -l raw:2024/\n  dsrun ls 'raw:**/*.csv' --json",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.lsStores()
			}
			return a.ls(cmd.Context(), args[0], o)
		},
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "all the way down, in key order")
	cmd.Flags().BoolVarP(&o.long, "long", "l", false, "with size, time and ETag")
	cmd.Flags().BoolVar(&o.failEmpty, "fail-empty", false, "exit with 1 when nothing is found")
	return cmd
}

type lsFlags struct{ recursive, long, failEmpty bool }

func (a *app) lsStores() error {
	_, project, err := a.load("")
	if err != nil {
		return err
	}
	cfg := project.Config()
	if a.g.json {
		type item struct {
			Kind        string `json:"kind"`
			Type        string `json:"type"`
			Name        string `json:"name"`
			Mode        string `json:"mode,omitempty"`
			Default     bool   `json:"default,omitempty"`
			Description string `json:"description,omitempty"`
		}
		for _, d := range cfg.Decls {
			if d.Kind == provider.KindCredential {
				continue
			}
			if err := a.printJSON(item{d.Kind, d.Type, d.Name, d.Common.Mode, d.Common.Default, d.Common.Description}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(cfg.Names(provider.KindStore))+len(cfg.Names(provider.KindTopic)) == 0 {
		return fault.Hinted(fault.NotFound, "Give the configuration with -c, or make a dsrun.hcl here.", "no datastore and no topic is declared")
	}
	t := newTable(a.w.Stdout, 4)
	for _, d := range cfg.Decls {
		if d.Kind == provider.KindCredential {
			continue
		}
		name, mark := d.Name+":", ""
		if d.Kind == provider.KindTopic {
			name = d.Name
		}
		if d.Common.Default {
			mark = " (default)"
		}
		t.row(name, d.Kind, d.Type, d.Common.Description+mark)
	}
	return t.flush()
}

func (a *app) ls(ctx context.Context, arg string, o lsFlags) error {
	ps, err := a.places()
	if err != nil {
		return err
	}
	p, err := ps.open(ctx, arg)
	if err != nil {
		return err
	}
	n := 0
	w := bufio.NewWriterSize(a.w.Stdout, 64<<10)
	defer w.Flush()
	print := a.entryPrinter(w, p.store, o)
	if isPattern(p.path) || o.recursive {
		opts := store.ListOptions{Prefix: p.path}
		if isPattern(p.path) {
			opts = store.ListOptions{Pattern: p.path}
		}
		err = eachEntry(ctx, p.store, opts, func(e store.Entry) error { n++; return print(e) })
	} else {
		n, err = a.lsLevel(ctx, p, print)
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil && n == 0 && p.local && p.path != "" && !isPattern(p.path) {
		return fault.New(fault.NotFound, "%s does not exist or is an empty folder", arg) // a slip of the fingers, on a path of this machine
	}
	if err == nil && n == 0 && o.failEmpty {
		return a.nothing(arg+" holds nothing", true)
	}
	return err
}

// lsLevel prints one level, folders first. A path without a slash at its end that is an object is listed alone; one that
// is a folder is listed as the folder.
func (a *app) lsLevel(ctx context.Context, p place, print func(store.Entry) error) (int, error) {
	n := 0
	var objects []store.Entry
	level := func(prefix string) error {
		return eachEntry(ctx, p.store, store.ListOptions{Prefix: prefix, OneLevel: true}, func(e store.Entry) error {
			if strings.HasSuffix(e.Key, "/") && e.Size < 0 {
				n++
				return print(e)
			}
			objects = append(objects, e)
			return nil
		})
	}
	if p.path != "" && !strings.HasSuffix(p.path, "/") {
		e, err := p.store.Stat(ctx, p.path, store.Cond{})
		if err == nil {
			return 1, print(e)
		}
		if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.InvalidArgument) {
			return 0, err
		}
		p.path += "/"
	}
	if err := level(p.path); err != nil {
		return n, err
	}
	for _, e := range objects {
		if err := print(e); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// eachEntry calls fn for every entry of a listing; an incomplete listing is an error.
func eachEntry(ctx context.Context, s *store.Store, o store.ListOptions, fn func(store.Entry) error) error {
	l := s.List(ctx, o)
	defer l.Close()
	return l.Each(ctx, fn)
}

type jsonEntry struct {
	Path     string            `json:"path"`
	URI      string            `json:"uri,omitempty"`
	Size     *int64            `json:"size,omitempty"`
	Modified string            `json:"modified,omitempty"`
	ETag     string            `json:"etag,omitempty"`
	Version  string            `json:"version,omitempty"`
	Type     string            `json:"content_type,omitempty"`
	Encoding string            `json:"content_encoding,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Folder   bool              `json:"folder,omitempty"`
}

func toJSON(s *store.Store, e store.Entry) jsonEntry {
	if e.Size < 0 && strings.HasSuffix(e.Key, "/") {
		return jsonEntry{Path: e.Key, Folder: true}
	}
	j := jsonEntry{Path: e.Key, URI: s.URI(e.Key), ETag: e.ETag, Version: e.Version}
	if e.Size >= 0 {
		j.Size = &e.Size
	}
	if !e.Modified.IsZero() {
		j.Modified = e.Modified.UTC().Format(time.RFC3339Nano)
	}
	if e.Attrs != nil {
		j.Type, j.Encoding, j.Metadata = e.Attrs.ContentType, e.Attrs.ContentEncoding, e.Attrs.User
	}
	return j
}

func (a *app) entryPrinter(w *bufio.Writer, s *store.Store, o lsFlags) func(store.Entry) error {
	if a.g.json {
		enc := newEncoder(w)
		return func(e store.Entry) error { return enc.Encode(toJSON(s, e)) }
	}
	if !o.long {
		return func(e store.Entry) error {
			_, err := w.WriteString(a.name(e.Key) + "\n")
			return err
		}
	}
	return func(e store.Entry) error {
		size, when := "-", "-"
		if e.Size >= 0 {
			size = humanBytes(e.Size)
		}
		if !e.Modified.IsZero() {
			when = e.Modified.UTC().Format("2006-01-02 15:04:05Z")
		}
		_, err := fmt.Fprintf(w, "%10s  %-20s  %s\n", size, when, a.name(e.Key))
		return err
	}
}

// name is how a key is shown: on a terminal nothing in it can drive the terminal; in a pipe only what would break the
// line is escaped.
func (a *app) name(key string) string {
	if a.w.StdoutTTY || strings.ContainsAny(key, "\n\r") {
		return fault.Printable(key)
	}
	return key
}
