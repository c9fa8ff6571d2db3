package starlib

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
)

// eventsOf runs a script on a new host and returns the ids of what it published, with their types.
func eventsOf(t *testing.T, src string) []string {
	t.Helper()
	h := newDataHost(t)
	h.must(t, src)
	var out []string
	for _, m := range h.sent["events"].Events() {
		out = append(out, m.Type+" "+m.ID)
	}
	return out
}

// TestEventIDs: a run that is repeated under its id gives each event the id it had, however its work is scheduled, and
// no two events have one id.
func TestEventIDs(t *testing.T) {
	const src = `
def item(n):
    for r in ds.lake.read("raw/*.csv"):
        topics.events.publish("row", r)
    ds.lake.read("raw/*.csv").each(lambda r: topics.events.publish("each", r))
    for id in ds.lake.read("raw/*.csv").map(lambda r: topics.events.publish("map", r)):
        pass
    topics.events.publish_all(ds.lake.read("raw/*.csv"), type = "all")
    parallel.each(lambda m: topics.events.publish("inner", m), [1, 2])
    catch(topics.events.publish, "caught")

parallel.each(item, range(20), workers = 8)
topics.events.publish("last")
parallel.each(topics.events.publish, ["direct.a", "direct.b"])
`
	first, second := eventsOf(t, src), eventsOf(t, src)
	slices.Sort(first)
	slices.Sort(second)
	if !slices.Equal(first, second) {
		t.Error("the second run gave other ids")
	}
	if want := 20*(3+3+3+3+2+1) + 3; len(first) != want {
		t.Errorf("%d events, want %d", len(first), want)
	}
	ids := map[string]bool{}
	for _, e := range first {
		_, id, _ := strings.Cut(e, " ")
		if ids[id] {
			t.Errorf("id %s twice", id)
		}
		ids[id] = true
	}
}

// TestEventContent: what reaches the bus.
func TestEventContent(t *testing.T) {
	h := newDataHost(t)
	h.must(t, `
topics.events.publish("a.b", {"z": 1, "a": [None, 1.5]}, subject = "s", id = "i", time = "2026-01-31T10:00:00Z", attributes = {"team": "x"})
topics.events.publish("bare")
topics.events.publish_all(ds.lake.read("raw/a.csv", types = {"n": "int"}), type = lambda r: "t." + r.name, subject = "all", id = lambda r: "id" + r.name)
topics.events.publish_all(["x", 5], type = "plain")
`)
	var got []string
	for _, m := range h.sent["events"].Events() {
		got = append(got, fmt.Sprintf("%s %s %s %v", m.Type, m.Subject, m.Data, m.Attributes))
	}
	want := []string{`a.b s {"z":1,"a":[null,1.5]} map[team:x]`, `bare  {} map[]`, `t.a all {"name":"a","n":1} map[]`, `t.b all {"name":"b","n":2} map[]`,
		`plain  "x" map[]`, `plain  5 map[]`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if m := h.sent["events"].Events()[0]; m.ID != "i" || m.Time.Format("2006-01-02T15:04:05Z") != "2026-01-31T10:00:00Z" {
		t.Errorf("got id %s, time %s", m.ID, m.Time)
	}
}

// picky refuses messages whose type is bad.
type picky struct{ *memory.Topic }

func (p picky) Publish(ctx context.Context, batch []event.Message) error {
	var failed []event.Failure
	var ok []event.Message
	for i, m := range batch {
		if m.Type == "bad" {
			failed = append(failed, event.Failure{Index: i, Err: fault.New(fault.InvalidArgument, "type refused")})
		} else {
			ok = append(ok, m)
		}
	}
	p.Topic.Publish(ctx, ok)
	if failed != nil {
		return &event.BatchError{Failed: failed}
	}
	return nil
}

func TestPublishRefused(t *testing.T) {
	h := newDataHost(t)
	bus := memory.NewTopic(event.Limits{})
	h.topics["events"] = event.New("events", "memory", picky{bus}, event.Options{RunID: "r"})
	out := h.must(t, `
types = ["a", "bad", "b", "bad"]
v, err = catch(lambda: topics.events.publish_all(types, type = lambda t: t))
print(err.code)
print(topics.events.publish_all(types, type = lambda t: t, on_error = "skip"))
seen = []
print(topics.events.publish_all(types, type = lambda t: t, on_error = lambda f: seen.append((f.type, f.code))), seen)
def stop(f):
    fail("enough")

v, err = catch(lambda: topics.events.publish_all(types, type = lambda t: t, on_error = stop))
print(err.code, err.message)
`)
	want := "invalid_argument\n2\n2 [(\"bad\", \"invalid_argument\"), (\"bad\", \"invalid_argument\")]\nfail enough\n"
	if out != want {
		t.Errorf("got %q\nwant %q", out, want)
	}
	if n := strings.Count(strings.Join(h.logs, "\n"), "warn event refused topic=events"); n != 2 {
		t.Errorf("logs %q", h.logs)
	}
}

// TestPublishAllOfFailingStream: what came before the failure may have been sent; the failure is reported, not the count.
func TestPublishAllOfFailingStream(t *testing.T) {
	h := newDataHost(t)
	_, err := h.run("n = topics.events.publish_all(stream.of(range(100)).map(lambda n: n if n < 50 else fail(\"at 50\")), type = \"t\")\nprint(n)\n")
	if !fault.Is(err, fault.Fail) || !strings.Contains(err.Error(), "at 50") {
		t.Errorf("got %v", err)
	}
	for _, m := range h.sent["events"].Events() {
		if len(m.Data) > 2 {
			t.Errorf("sent %s", m.Data)
		}
	}
	if errors.Is(err, io.EOF) {
		t.Error("the end passed for an error")
	}
}
