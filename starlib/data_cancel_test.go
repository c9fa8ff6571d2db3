package starlib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
	"go.uber.org/goleak"
)

// endlessHost has a store whose one object has no end in sight.
func endlessHost(t testing.TB) *dataHost {
	h, _ := newGeneratedHost(t, 1<<40)
	return h
}

// TestDataCancel ends scripts from outside at random moments: they stop at once, leave nothing half-written and nothing
// running, and say why.
func TestDataCancel(t *testing.T) {
	errStop := errors.New("stopped from outside")
	for name, src := range map[string]string{
		"loop":        "for r in ds.gen.read(\"big.csv\"):\n    pass",
		"list":        "x = [r.number for r in ds.gen.read(\"big.csv\") if False]",
		"count":       "ds.gen.read(\"big.csv\").count()",
		"filter":      "ds.gen.read(\"big.csv\").filter(lambda r: False).first()",
		"write":       "ds.out.write(\"w.csv\", ds.gen.read(\"big.csv\").select(\"number\").filter(lambda r: False))",
		"create":      "def f(w):\n    for r in ds.gen.read(\"big.csv\"):\n        if False:\n            w.row(r)\nds.out.create(\"c.csv\", f)",
		"group":       "ds.gen.read(\"big.csv\").group(\"city    \", n = agg.count()).count()",
		"publish_all": "topics.events.publish_all(ds.gen.read(\"big.csv\"), type = \"t\")",
		"catch":       "for i in range(10000000):\n    catch(lambda: ds.gen.read(\"big.csv\").take(3000).count())",
		"parallel":    "parallel.map(lambda n: ds.gen.read(\"big.csv\").count(), range(8))",
		"iterable":    "stream.of(range(1 << 50)).count()",
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			h := endlessHost(t)
			h.topics["events"] = event.New("events", "memory", nullTopic{h.sent["events"]}, event.Options{RunID: "r"})
			for range 5 {
				ctx, cancel := context.WithCancelCause(context.Background())
				wait := time.Duration(rand.Int64N(int64(20 * time.Millisecond)))
				var stopped time.Time
				timer := time.AfterFunc(wait, func() { stopped = time.Now(); cancel(errStop) })
				p, err := Parse("main.star", []byte(src+"\nprint(\"went on\")\n"), asserts...)
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				err = p.Run(ctx, RunOptions{Host: h, Stdout: &out})
				timer.Stop()
				if err == nil || !errors.Is(err, errStop) {
					t.Errorf("got %v, want the cause", err)
				}
				most := 5 * time.Second // a promise of one second, on a machine that may be busy
				if raceEnabled {
					most *= 4
				}
				if late := time.Since(stopped); late > most {
					t.Errorf("took %v to stop", late)
				}
				if out.Len() > 0 {
					t.Errorf("printed %q", out.String())
				}
				if keys := h.keys(t, "out"); keys != "" {
					t.Errorf("wrote %s", keys)
				}
			}
		})
	}
}

// TestOddNames: objects whose names are odd are listed, read, written and published as they are.
func TestOddNames(t *testing.T) {
	h := newDataHost(t)
	h.addStore(t, "odd", memory.New("odd", 1<<30, clock.Real), store.Options{})
	names := []string{"a b.csv", "tab\t.csv", "new\nline.csv", "esc\x1b[31m.csv", "\u00e9.csv", "e\u0301.csv", "*.csv", "[x].csv", "{a,b}.csv", "back\\slash.csv", "日本/名.csv", "dot./..x.csv", "%2F.csv"}
	for _, n := range names {
		h.put(t, "odd", n, "n\n1\n")
	}
	out := h.must(t, `
n = 0
for o in ds.odd.list():
    n += o.read(types = {"n": "int"}).first().n
    ds.out.write(o.path, o.read())
    ds.out.delete(o.path)
    str(o)
print(n)
print(ds.odd.read("**").count())
print(len(ds.out.write_parts("p/{key}.csv", ds.odd.list(), by = "path")))
ds.odd.list().show()
`)
	if want := fmt.Sprintf("%d\n%d\n%d\n", len(names), len(names), len(names)); !strings.HasPrefix(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	if strings.ContainsAny(out, "\x1b\t") {
		t.Errorf("control characters in %q", out)
	}
}

// TestChangedWhileRead: an object that is replaced while it is read is an error of code failed_precondition or a whole
// reading of one state, never a mixture.
func TestChangedWhileRead(t *testing.T) {
	h, _ := newHoldsHost(t)
	out, err := h.run(`
seen = []
n = 0
for r in ds.held.read("a.csv"):
    n += 1
    if n == 10:
        ds.held.write("a.csv", [{"n": "new"} for i in range(9000)], overwrite = True)
    if r.n == "new":
        seen.append(r.n)
print(len(seen), n)
`)
	if err != nil {
		if !fault.Is(err, fault.FailedPrecondition) {
			t.Errorf("got %v", err)
		}
	} else if out != "0 5000\n" {
		t.Errorf("a mixture: %q", out)
	}
}
