package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/starlib"
)

//go:generate go test -run ^TestReference$ . -args -write

var writePages = flag.Bool("write", false, "write the reference pages instead of comparing them")

const referenceDir = "../../internal/docs/reference"

// TestReference fails when the generated pages are not what the code declares; `make docs` writes them.
func TestReference(t *testing.T) {
	want := referencePages(t)
	if *writePages {
		if err := os.RemoveAll(referenceDir); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range want {
		path := filepath.Join(referenceDir, name)
		if *writePages {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(have, []byte(text)) {
			t.Errorf("%s is not fresh: run make docs", name)
		}
	}
	_ = fs.WalkDir(os.DirFS(referenceDir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && want[name] == "" {
			t.Errorf("%s is not generated any more: run make docs", name)
		}
		return err
	})
}

// referencePages makes every page, by its path.
func referencePages(t *testing.T) map[string]string {
	reg := providers.All()
	pages := map[string]string{}
	for _, p := range referenceOf(commandTree(), reg) {
		pages[p.Path] = p.Markdown
	}
	pages["dsrun.schema.json"] = string(schema.JSONSchema(reg)) + "\n"
	pages["dsrun.pyi"] = starlib.Stubs()
	pages["features.md"] = featurePage(t, reg)
	pages["README.md"] = indexPage(referenceOf(commandTree(), reg))
	pages["index.html"] = htmlPage(referenceOf(commandTree(), reg), pages["features.md"])

	return pages
}

// commandTree is the root of all commands.
func commandTree() *cobra.Command { return (&app{w: testWorld("/", nil)}).command() }

// featurePage is a table of what each kind of datastore can do, and why not where it cannot.
func featurePage(t *testing.T, reg *provider.Registry) string {
	var b strings.Builder
	b.WriteString("# What each datastore can do\n\n| | order of listings | create only if absent | replace only if unchanged | reads pinned to a state | content type and metadata | time of modification kept | upload in parts | checksums |\n|---|---|---|---|---|---|---|---|---|\n")
	var why strings.Builder
	for _, label := range reg.Labels(provider.KindStore) {
		caps := openCaps(t, reg, label)
		yes := func(ok bool) string {
			if ok {
				return "yes"
			}
			return "no"
		}
		parts := "no"
		if caps.Part.Count > 0 {
			parts = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n", label, caps.Order, yes(caps.IfAbsent), yes(caps.IfMatch),
			yes(caps.Pin), yes(caps.Metadata), yes(caps.Modified), parts, strings.Join(caps.Sums, ", "))
		for _, ability := range []string{"Order", "IfAbsent", "IfMatch", "Pin", "Metadata", "Modified", "Part", "Sums"} {
			if text := caps.Why[ability]; text != "" {
				fmt.Fprintf(&why, "- `%s`, %s: %s\n", label, ability, text)
			}
		}
	}
	if why.Len() > 0 {
		b.WriteString("\nWhere something is missing, the reason:\n\n" + why.String())
	}
	return b.String()
}

// openCaps opens a datastore that needs no server in a folder of its own.
func openCaps(t *testing.T, reg *provider.Registry, label string) store.Caps {
	p, _ := reg.Get(provider.KindStore, label)
	options, fields := p.Body.Declare()
	for _, f := range fields.List {
		switch text, ok := f.Target().(*string); {
		case !ok || !f.IsRequired && f.Name != "region":
		case f.Kind == schema.KindPath:
			*text = t.TempDir()
		default:
			*text = strings.Trim(f.Example, `"`)
		}
	}
	client, err := httpclient.New(httpclient.Options{Name: label})
	if err != nil {
		t.Fatal(err)
	}
	env := provider.Env{Name: label, Clock: clock.Real, HTTP: client, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(),
		Getenv: func(string) string { return "" }}
	d, err := p.OpenStore(context.Background(), env, options)
	if fault.Is(err, fault.Unauthenticated) { // some look at the credential when they are opened
		env.Credential = anybody{}
		d, err = p.OpenStore(context.Background(), env, options)
	}
	if err != nil {
		t.Fatalf("datastore %q: %v", label, err)
	}
	defer d.Close()
	return d.Caps()
}

// anybody is a credential that is never used.
type anybody struct{}

func (anybody) Resolve(context.Context, credential.Want) (credential.Value, error) {
	return credential.Value{Fields: map[string]secret.String{"username": secret.New("user"), "password": secret.New("password")}}, nil
}
func (anybody) Explain(context.Context) []credential.Step { return nil }
