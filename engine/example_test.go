package engine_test

import (
	"context"
	"fmt"
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

type mailOptions struct{ Greeting string }

func (o *mailOptions) Fields(f *schema.Fields) {
	f.String(&o.Greeting, "greeting", "What lies in the box.").Required()
}

func openMail(ctx context.Context, env provider.Env, o *mailOptions) (store.Driver, error) {
	box := memory.New(env.Name, 1<<20, env.Clock)
	_, err := box.Put(ctx, "greeting", store.BytesBody([]byte(o.Greeting)), store.PutOptions{})
	return box, err
}

// A program of its own: a kind of datastore, a function for scripts, a configuration and a script.
func Example() {
	shout := starlib.Declare(starlib.Func{Name: "shout", Doc: "Upper-cases a text.", Returns: "string"},
		func(p *starlib.Params) starlib.Impl {
			text := p.String("text", "What to shout.")
			return func(c *starlib.Call) (starlark.Value, error) {
				return starlark.String(strings.ToUpper(text.Get(c))), nil
			}
		})
	eng := engine.New(engine.Options{
		Providers: provider.NewRegistry(provider.Store("mailbox", "A box with a greeting in it.", openMail)),
		Functions: []*starlib.Function{shout},
		Stdout:    os.Stdout,
	})
	project, diags := eng.Load(engine.Source{Files: []config.File{
		engine.File("app.hcl", "", `datastore "mailbox" "box" { greeting = "hello" }`)}})
	if diags.HasErrors() {
		fmt.Println(diags)
		return
	}
	defer project.Close()
	err := project.Run(context.Background(), engine.Script{Name: "app.star",
		Source: []byte(`print(shout(ds.box.read_text("greeting")))`)})
	fmt.Println(err)
	// Output:
	// HELLO
	// <nil>
}
