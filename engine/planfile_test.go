package engine

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

func aPlan() *Plan {
	st := State{Size: 3, ETag: `"e"`, Version: "7", Modified: time.Date(2026, 11, 29, 1, 2, 3, 4, time.UTC)}
	p := &Plan{stores: map[string]storeID{"m": {"memory", "memory://m/"}}, Steps: []Step{
		{Action: "create", Store: "m", Path: "short"}, {Action: "overwrite", Store: "m", Path: "long", Target: &st},
		{Action: "create", Store: "m", Path: "same"}, {Action: "create", Store: "m", Path: "binary"}, {Action: "create", Store: "m", Path: "empty"},
		{Action: "copy", Store: "m", Path: "copy", Size: 3, From: &StepSource{"m", "from", st}}, {Action: "delete", Store: "m", Path: "gone", Target: &st},
	}}
	for i, text := range []string{"text\u2028<&>", strings.Repeat("x", shortText+1), strings.Repeat("x", shortText+1), "\xff\x00", ""} {
		p.Steps[i].hold([]byte(text))
	}
	p.Steps[0].Attrs = attributesOf(&store.Attributes{ContentType: "text/plain", User: map[string]string{"a": "b"}})
	p.Events = []PlannedEvent{{"bus", event.Message{ID: "1", Type: "t", Source: "s", Data: []byte(`{"n":1}`), Time: st.Modified}}}
	return p
}

// A plan comes back as it was written; content that is long or no text lies beside it, once.
func TestPlanFile(t *testing.T) {
	beside := map[string][]byte{}
	f, err := NewPlanFile(aPlan(), func(name string, data []byte) error {
		if beside[name] != nil {
			t.Errorf("%s comes twice", name)
		}
		beside[name] = data
		return nil
	})
	if err != nil || len(beside) != 2 {
		t.Fatalf("%v, %d beside", err, len(beside))
	}
	text, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodePlan(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Encode()
	if err != nil || !bytes.Equal(again, text) {
		t.Errorf("%v\n%s\n%s", err, text, again)
	}
	a := &Applying{f: back, Beside: func(name string) ([]byte, error) { return beside[name], nil }}
	for i, want := range aPlan().Steps[:5] {
		if got, err := a.content(&back.Steps[i]); err != nil || !bytes.Equal(got, want.data) {
			t.Errorf("content %d: %d bytes, %v", i, len(got), err)
		}
	}
	for old, bad := range map[string]string{
		`"dsrun_plan": 1`: `"dsrun_plan": 2`, `"action": "copy"`: `"action": "move"`, `"action": "delete"`: `"action": "create"`, `"path": "gone"`: `"path": ""`,
		`"topic": "bus"`: `"topic": ""`, `"specversion": "1.0"`: `"specversion": "9"`, `"steps"`: `"stepz"`, `"sha256": "`: `"sha256": "zz`,
	} {
		if !bytes.Contains(text, []byte(old)) {
			t.Errorf("%s is not in the plan", old)
		}
		if _, err := DecodePlan(bytes.Replace(text, []byte(old), []byte(bad), 1)); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzDecodePlan(f *testing.F) {
	p, err := NewPlanFile(aPlan(), func(string, []byte) error { return nil })
	if err != nil {
		f.Fatal(err)
	}
	text, err := p.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"dsrun_plan":1,"steps":[{"action":"create","store":"a","path":"b"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePlan(b)
		if err != nil {
			return
		}
		once, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodePlan(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once)
		}
		if twice, _ := again.Encode(); !bytes.Equal(once, twice) {
			t.Fatalf("changed:\n%s\n%s", once, twice)
		}
	})
}
