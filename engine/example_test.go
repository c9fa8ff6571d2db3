package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/starlib"
)

type mailbox struct{ Greeting string }

func (m *mailbox) Fields(f *schema.Fields) {
	f.String(&m.Greeting, "greeting", "What lies in the box.")
}

func openMailbox(ctx context.Context, env provider.Env, m *mailbox) (store.Driver, error) {
	box := memory.New(env.Name, 1<<20, env.Clock)
	_, err := box.Put(ctx, "greeting", store.BytesBody([]byte(m.Greeting)), store.PutOptions{})
	return box, err
}

// A program with a script function and a kind of datastore of its own: it loads a configuration and runs a script.
func Example() {
	shout := starlib.Declare(starlib.Func{Name: "shout", Doc: "Upper-cases a text."}, func(p *starlib.Params) starlib.Impl {
		text := p.String("text", "What to shout.")
		return func(c *starlib.Call) (starlark.Value, error) {
			return starlark.String(strings.ToUpper(text.Get(c))), nil
		}
	})
	eng := engine.New(engine.Options{Stdout: os.Stdout, Functions: []*starlib.Function{shout},
		Providers: provider.NewRegistry(provider.Store("mailbox", "A box with a greeting in it.", openMailbox))})
	project, diags := eng.Load(engine.Source{Files: []config.File{
		engine.File("app.hcl", "", `datastore "mailbox" "box" { greeting = "hello" }`)}})
	if diags.HasErrors() {
		log.Fatal(diags)
	}
	defer project.Close()
	script := engine.Script{Name: "app.star", Source: []byte(`print(shout(ds.box.read_text("greeting")))`)}
	fmt.Println(project.Run(context.Background(), script))
	// Output:
	// HELLO
	// <nil>
}
