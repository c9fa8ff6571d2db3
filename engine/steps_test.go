package engine

import (
	"context"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
)

// Copies come before what changes their sources; the order of everything else stays; where objects change places in a
// circle, one of them goes into the plan.
func TestSequence(t *testing.T) {
	ctx := context.Background()
	eng := New(Options{Providers: provider.NewRegistry(memory.Provider())})
	p, diags := eng.Load(Source{Files: []config.File{File("x.hcl", "", `datastore "memory" "m" {}`)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	defer p.Close()
	s, err := p.Store(ctx, "m")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]State{}
	for _, key := range []string{"a", "b", "c", "d"} {
		e, err := s.Put(ctx, key, store.BytesBody([]byte("content of "+key)), store.WriteOptions{Attrs: store.Attributes{ContentType: "text/" + key}})
		if err != nil {
			t.Fatal(err)
		}
		states[key] = stateOf(e)
	}
	h := &host{p: p}
	// "b<a" copies a to b, "-a" deletes a, "a" writes it.
	steps := func(text string) (out []Step) {
		for word := range strings.FieldsSeq(text) {
			to, from, copied := strings.Cut(word, "<")
			name, gone := strings.CutPrefix(to, "-")
			st := Step{Action: "create", Store: "m", Path: name}
			if was, ok := states[name]; ok {
				st.Target, st.Action = &was, "overwrite"
			}
			switch {
			case copied:
				st.Action, st.Size, st.From = "copy", 12, &StepSource{"m", from, states[from]}
			case gone:
				st.Action = "delete"
			default:
				st.hold([]byte("new"))
			}
			out = append(out, st)
		}
		return out
	}
	show := func(list []Step) string {
		var out []string
		for _, s := range list {
			switch {
			case s.From != nil:
				out = append(out, s.Path+"<"+s.From.Path)
			case s.Action == "delete":
				out = append(out, "-"+s.Path)
			case string(s.data) == "new":
				out = append(out, s.Path)
			default:
				out = append(out, s.Path+"="+string(s.data[len("content of "):]))
			}
		}
		return strings.Join(out, " ")
	}
	for text, want := range map[string]string{
		"x y z":           "x y z",
		"x<a -a":          "x<a -a",
		"-a x<a":          "x<a -a",
		"a y x<a z":       "y x<a z a",
		"b<a c<b d<c":     "d<c c<b b<a",
		"-a -b x<a y<b w": "x<a y<b w -a -b",
		"x<a y<a a":       "x<a y<a a",
	} {
		got, err := h.sequence(ctx, steps(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if text == "a<b b<a" {
			// Either may be held; the other is copied before its source changes.
			if g := show(got); g != "b<a a=b" {
				t.Errorf("%s: got %s", text, g)
			}
			if got[1].Action != "overwrite" || got[1].Attrs == nil || got[1].Attrs.ContentType != "text/b" {
				t.Errorf("what is held: %+v", got[1])
			}
			continue
		}
		if g := show(got); g != want {
			t.Errorf("%s: got %s, want %s", text, g, want)
		}
	}
	big := steps("a<b b<a")
	big[0].Size = maxMoved + 1
	if _, err := h.sequence(ctx, big); !fault.Is(err, fault.Limit) {
		t.Errorf("a large circle: %v", err)
	}
	stale := steps("a<b b<a")
	stale[0].From.State.ETag = "another"
	stale[0].From.State.Version = "another"
	if _, err := h.sequence(ctx, stale); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("a source that has changed: %v", err)
	}
}
