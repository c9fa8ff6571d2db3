package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

// vaultOptions are those of a datastore that is given every kind of secret.
type vaultOptions struct {
	A, B, C, D secret.String
	Broken     bool
}

func (o *vaultOptions) Fields(f *schema.Fields) {
	f.Secret(&o.A, "a", "A secret.")
	f.Secret(&o.B, "b", "A secret.")
	f.Secret(&o.C, "c", "A secret.")
	f.Secret(&o.D, "d", "A secret.")
	f.Bool(&o.Broken, "broken", "Whether opening fails, with all secrets in the error.")
}

func openVault(_ context.Context, env provider.Env, o *vaultOptions) (store.Driver, error) {
	if o.Broken {
		return nil, errors.New("refused: " + o.A.Reveal() + " " + o.B.Reveal() + " " + o.C.Reveal() + " " + o.D.Reveal())
	}
	return memory.New(env.Name, 1<<20, env.Clock), nil
}

const canaryHCL = `
variable "v" {
  sensitive = true
  default   = "canary-variable-1111"
}
datastore "vault" "a" {
  a = var.v
  b = env("CANARY")
  c = secret::file("secret.txt")
  d = secret::exec("echo", "canary-exec-4444")
}
datastore "vault" "bad" {
  a      = var.v
  b      = env("CANARY")
  c      = secret::file("secret.txt")
  d      = secret::exec("echo", "canary-exec-4444")
  broken = true
}
topic "memory" "t" {}
`

// canaryScript looks at whatever can be reached from the predeclared names, three steps deep.
const canaryScript = `
ds.a.write_text("x", "1")
todo = [(0, v) for v in [ds, topics, run, log, json, re, hash, base64, path, time, human, csv, math, parallel, stream,
    agg, ds.a, topics.t, ds["a"], ds.a.stat("x"), ds.a.list(), catch(lambda: ds.bad.list())[1]]]
n = 0
for i in range(5000):
    if i >= len(todo):
        break
    depth, v = todo[i]
    n += 1
    print(repr(v), str(v), type(v), catch(json.encode, v), catch(lambda: help(v)))
    for name in dir(v):
        x, err = catch(getattr, v, name)
        print(name, x, err)
        if err == None and depth < 3:
            todo.append((depth + 1, x))
log.info("seen", n = n, canary = "canary-" + "variable-1111")
ds.bad.read_text("x")
`

// TestScriptsReachNoSecret gives secrets from a variable, the environment, a file and a command to datastores, prints
// all that a script can reach, and searches every output for them.
func TestScriptsReachNoSecret(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", canaryHCL)
	write(t, dir, "secret.txt", "canary-file-3333\n")
	write(t, dir, "look.star", canaryScript)
	for _, args := range [][]string{{"run", "look.star"}, {"run", "look.star", "--json"}, {"ls", "bad:"}, {"ls", "bad:", "--json"}, {"ls", "--json"}} {
		w := testWorld(dir, append(args, "--log-level", "debug"))
		var out, errs bytes.Buffer
		w.Stdout, w.Stderr = &out, &errs
		w.LookupEnv = func(name string) (string, bool) { return "canary-env-2222", name == "CANARY" }
		w.Providers = func() *provider.Registry {
			all := append(providers.All().All(), provider.Store("vault", "Takes secrets.", openVault))
			return provider.NewRegistry(all...)
		}
		code := Main(w)
		if want := map[bool]int{true: 0, false: 1}[len(args) == 2 && args[1] == "--json"]; code != want {
			t.Errorf("%v: exit code %d, want %d: %s", args, code, want, &errs)
		}
		for name, text := range map[string]string{"stdout": out.String(), "stderr": errs.String()} {
			for _, canary := range []string{"canary-variable-1111", "canary-env-2222", "canary-file-3333", "canary-exec-4444", dir} {
				if i := strings.Index(text, canary); i >= 0 {
					t.Errorf("%v: %s holds %s: ...%s", args, name, canary, text[max(0, i-100):min(len(text), i+60)])
				}
			}
		}
		if args[0] == "run" && strings.Count(out.String(), "\n") < 500 {
			t.Errorf("only %d lines were printed: %.300s", strings.Count(out.String(), "\n"), &errs)
		}
	}
}
