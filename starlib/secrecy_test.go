package starlib

import (
	"bytes"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

const canary = "CANARY-7f3a91"

// keyedDriver is a driver that holds a credential, as those of the clouds do.
type keyedDriver struct {
	store.Driver
	Key   secret.String
	Plain string
	token []byte
}

// TestSecretsAreOutOfReach walks everything that a script can reach with dir and getattr, and shows it with str, repr,
// json, help and fmt: the credential of an open store is nowhere.
func TestSecretsAreOutOfReach(t *testing.T) {
	h := newDataHost(t)
	h.addStore(t, "keyed", &keyedDriver{Driver: memory.New("keyed", 1<<20, clock.Real), Key: secret.New(canary), Plain: canary, token: []byte(canary)}, store.Options{})
	h.put(t, "keyed", "a.csv", "x\n1\n")
	var out bytes.Buffer
	values := 0
	walk := Declare(Func{Name: "test.walk"}, func(p *Params) Impl {
		x := p.Value("x", ".")
		return func(c *Call) (starlark.Value, error) {
			seen := map[string]bool{}
			var visit func(v starlark.Value, path string, depth int)
			visit = func(v starlark.Value, path string, depth int) {
				values++
				text := v.String()
				out.WriteString(path + " " + text + "\n" + explain(c.Run.execution.program.words, v) + "\n")
				if s, err := encodeJSON(c.Thread, v, ""); err == nil {
					out.WriteString(s + "\n")
				} else {
					out.WriteString(err.Error() + "\n")
				}
				if depth > 5 || seen[v.Type()+text] {
					return
				}
				seen[v.Type()+text] = true
				if a, ok := v.(starlark.HasAttrs); ok {
					for _, n := range a.AttrNames() {
						if x, err := a.Attr(n); err == nil && x != nil {
							visit(x, path+"."+n, depth+1)
						} else if err != nil {
							out.WriteString(err.Error() + "\n")
						}
					}
					for _, n := range []string{"driver", "Driver", "key", "Key", "Plain", "token", "_", "__dict__", "__class__", "credential", "env", "open"} {
						if x, err := a.Attr(n); err == nil && x != nil {
							visit(x, path+"."+n, depth+1)
						}
					}
				}
				if b, ok := v.(*starlark.Builtin); ok && b.Receiver() != nil {
					visit(b.Receiver(), path+".<receiver>", depth+1)
				}
				if it, ok := v.(starlark.Iterable); ok {
					n := 0
					_ = Each(c.Thread, it, func(e starlark.Value) error {
						if n++; n < 20 {
							visit(e, path+"[]", depth+1)
						}
						return nil
					})
				}
			}
			visit(x.Get(c), "x", 0)
			return nil, nil
		}
	})
	var names []string
	for _, w := range words() {
		names = append(names, w.Name)
	}
	src := "everything = [" + strings.Join(names, ", ") + `, ds.keyed, ds["keyed"], ds.keyed.list(), ds.keyed.stat("a.csv"), ds.keyed.read("a.csv"), topics.events]
everything += [catch(ds.keyed.stat, "none"), catch(ds.keyed.read_text, "../x"), catch(lambda: ds.keyed.nosuch), catch(lambda: ds.nosuch)]
test.walk(everything)
print(everything)
fmt("{!r} {}", everything, everything)
`
	p, err := Parse("walk.star", []byte(src), walk)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), RunOptions{Host: h, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	if values < 200 {
		t.Errorf("only %d values were seen", values)
	}
	if i := strings.Index(out.String(), canary); i >= 0 {
		t.Errorf("the credential shows: %s", out.String()[max(0, i-200):i+50])
	}
	t.Logf("%d values, %d bytes shown", values, out.Len())
}
