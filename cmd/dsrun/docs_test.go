package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/starlib"
)

// TestDocsKnowsAll looks up everything that is declared in the code.
func TestDocsKnowsAll(t *testing.T) {
	all := topics(referenceOf(commandTree(), providers.All()))
	finds := func(kind, word string) {
		t.Helper()
		found, near := lookup(all, word)
		for _, x := range found {
			if x.Kind == kind {
				if x.Text == "" || x.Summary == "" || !strings.HasPrefix(x.Text, "# ") {
					t.Errorf("%s %q has no text: %+v", kind, word, x)
				}
				return
			}
		}
		t.Errorf("%s %q is not found: %d others, near %q", kind, word, len(found), near)
	}
	for _, f := range starlib.Functions() {
		finds("function", f.Name)
	}
	for _, b := range allBodies(providers.All()) {
		name := strings.TrimSpace(b.Block + " " + b.Label)
		finds("block", name)
		_, fields := b.Declare()
		for _, f := range fields.List {
			finds("option", name+" "+f.Name)
			if b.Label != "" {
				finds("option", b.Label+"."+f.Name)
			}
		}
		for _, m := range fields.Methods {
			finds("method", name+" "+m.Name)
			finds("method", m.Name)
		}
	}
	for _, c := range fault.Codes() {
		finds("error", string(c))
	}
	for _, r := range config.Rules() {
		finds("rule", string(r.ID))
	}
	for _, n := range format.Names() {
		finds("format", n)
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				finds("command", sub.CommandPath())
				finds("command", strings.TrimPrefix(sub.CommandPath(), "dsrun "))
				visit(sub)
			}
		}
	}
	visit(commandTree())
	seen := map[string]bool{}
	for _, x := range all {
		if id := x.Kind + " " + x.Name + " " + x.Page; seen[id] {
			t.Errorf("two topics are %s", id)
		} else {
			seen[id] = true
		}
	}
}

// TestPager pages only what is longer than the terminal, and prints where there is no pager.
func TestPager(t *testing.T) {
	for _, c := range []struct {
		tty    bool
		height int
		fails  bool
		paged  bool
		shown  bool
	}{
		{true, 10, false, true, false}, {true, 10000, false, false, true}, {false, 10, false, false, true}, {true, 10, true, true, true},
	} {
		w := testWorld(t.TempDir(), []string{"docs", "cp"})
		var out bytes.Buffer
		paged := ""
		w.Stdout, w.StdoutTTY, w.Height = &out, c.tty, c.height
		w.Page = func(_ context.Context, text string) error {
			paged = text
			if c.fails {
				return errors.New("no pager")
			}
			return nil
		}
		if code := Main(w); code != 0 {
			t.Errorf("%+v: exit code %d", c, code)
		}
		if strings.Contains(paged, "dsrun cp FROM TO") != c.paged || strings.Contains(out.String(), "dsrun cp FROM TO") != c.shown {
			t.Errorf("%+v: paged %d bytes, shown %d", c, len(paged), out.Len())
		}
	}
}

// TestPagerOnTerminal runs dsrun on a terminal with a pager of its own, with one that is missing, and with none wanted.
func TestPagerOnTerminal(t *testing.T) {
	dir, env := shellWorld(t)
	if err := os.WriteFile(filepath.Join(dir, ".bin/mypager"), []byte("#!/bin/sh\nhead -1\necho \"paged with $1 and LESS=$LESS\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for pager, want := range map[string]string{"mypager -x": "paged with -x and LESS=FRX", "nosuchpager": "(default 0)", "cat": "(default 0)"} {
		t.Run(pager, func(t *testing.T) {
			term := testbed.NewTerminal(t, 80, 12, dir, append(env, "PAGER="+pager, "NO_COLOR=1"), filepath.Join(dir, ".bin/dsrun"), "docs", "cp")
			s := term.WaitFor(want) // the end of what is to be seen
			if paged := strings.Contains(s, "paged with"); !strings.Contains(s, "dsrun cp FROM TO") || paged != (pager == "mypager -x") || paged == strings.Contains(s, "--overwrite") {
				t.Errorf("the terminal shows:\n%s", s)
			}
		})
	}
}
