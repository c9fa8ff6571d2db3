package starlib

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
)

// generated is a store whose one object, big.csv, has a million rows that nobody holds, and which forgets what is
// written to it.
type generated struct {
	*memory.Driver
	rows    int64
	written atomic.Int64
}

// generatedLine is the length of one line of big.csv.
const generatedLine = 16

func (g *generated) entry() store.Entry {
	return store.Entry{Key: "big.csv", Size: generatedLine * (g.rows + 1), ETag: "e", Modified: time.Unix(1, 0), Attrs: &store.Attributes{}}
}

func (g *generated) Stat(context.Context, string, store.Cond) (store.Entry, error) {
	return g.entry(), nil
}

func (g *generated) Get(_ context.Context, _ string, o store.GetOptions) (store.Object, error) {
	e := g.entry()
	if o.Range != nil {
		return store.Object{}, fault.New(fault.Unimplemented, "no ranges")
	}
	return store.Object{Body: &generatedBody{g: g}, Entry: e, Range: store.Range{Len: e.Size}, Total: e.Size}, nil
}

func (g *generated) Put(ctx context.Context, key string, b store.Body, _ store.PutOptions) (store.Entry, error) {
	r, err := b.Open(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	g.written.Add(n)
	return store.Entry{Key: key, Size: n, ETag: "w"}, err
}

// generatedBody writes lines as it is read.
type generatedBody struct {
	g    *generated
	line int64
	rest string
}

func (b *generatedBody) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if b.rest == "" {
			if b.line > b.g.rows {
				if n == 0 {
					return 0, io.EOF
				}
				break
			}
			if b.rest = "number,city    \n"; b.line > 0 {
				b.rest = fmt.Sprintf("%07d,city%03d\n", b.line, b.line%1000)
			}
			b.line++
		}
		k := copy(p[n:], b.rest)
		n, b.rest = n+k, b.rest[k:]
	}
	return n, nil
}

func (b *generatedBody) Close() error { return nil }

func newGeneratedHost(t testing.TB, rows int64) (*dataHost, *generated) {
	h := newDataHost(t)
	g := &generated{Driver: memory.New("gen", 1<<30, clock.Real), rows: rows}
	h.addStore(t, "gen", g, store.Options{})
	return h, g
}

// peakHeap runs fn and returns by how many bytes the heap grew at most.
func peakHeap(fn func()) int64 {
	runtime.GC()
	base := heapBytes()
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		peak := int64(0)
		for {
			select {
			case <-stop:
				done <- peak - base
				return
			case <-time.After(time.Millisecond):
				peak = max(peak, heapBytes())
			}
		}
	}()
	fn()
	close(stop)
	return <-done
}

// TestFlatMemory: streams of any length are worked on in a few MiB. The loop and the write have a million rows, all do
// with DSRUN_TEST_LONG=1.
func TestFlatMemory(t *testing.T) {
	const million = 1_000_000
	some := million / 5
	if os.Getenv("DSRUN_TEST_LONG") == "1" {
		some = million
	}
	for name, c := range map[string]struct{ src, want string }{
		"loop":        {"def main():\n    n = 0\n    for r in ds.gen.read(\"big.csv\"):\n        n += 1\n    print(n)\n", "1000000\n"},
		"map filter":  {"print(ds.gen.read(\"big.csv\").filter(lambda r: r.number > \"0000100\").map(lambda r: {\"n\": r.number}).count())", fmt.Sprintln(some - 100)},
		"write":       {"print(ds.gen.write(\"out.csv\", ds.gen.read(\"big.csv\").select(\"number\"), overwrite = True).size)", fmt.Sprintln(7 + 8*million)},
		"write parts": {"print(len(ds.gen.write_parts(\"p/{n}.csv\", ds.gen.read(\"big.csv\"), max_rows = 100000, overwrite = True)))", fmt.Sprintln(some / 100000)},
		"group":       {"print(ds.gen.read(\"big.csv\").group(ds.gen.read(\"big.csv\").first().keys()[1], n = agg.count()).count())", "1000\n"},
		"lines":       {"print(ds.gen.read_lines(\"big.csv\").count())", fmt.Sprintln(some + 1)},
		"publish":     {"print(topics.events.publish_all(ds.gen.read(\"big.csv\").take(20000), type = \"t\"))", "20000\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := some
			if name == "loop" || name == "write" {
				n = million
			}
			h, _ := newGeneratedHost(t, int64(n))
			h.topics["events"] = event.New("events", "memory", nullTopic{h.sent["events"]}, event.Options{RunID: "r"})
			var out string
			var err error
			start := time.Now()
			peak := peakHeap(func() { out, err = h.run(c.src) })
			if err != nil {
				t.Fatal(describeScriptError(err))
			}
			t.Logf("%s: %v, heap grew by %s", name, time.Since(start).Round(time.Millisecond), formatBytes(peak))
			if out != c.want {
				t.Errorf("got %q, want %q", out, c.want)
			}
			if peak > 48<<20 {
				t.Errorf("the heap grew by %s", formatBytes(peak))
			}
		})
	}
}

// nullTopic forgets what is published.
type nullTopic struct{ *memory.Topic }

func (nullTopic) Publish(context.Context, []event.Message) error { return nil }

// TestHonestLimits: what has to hold all rows says so when they are too many.
func TestHonestLimits(t *testing.T) {
	const limit = 24 << 20
	for name, c := range map[string]struct{ src, want string }{
		"list":     {"x = list(ds.gen.read(\"big.csv\"))", "memory limit"},
		"sorted":   {"x = sorted(ds.gen.read(\"big.csv\"), key = lambda r: r.number)", "memory limit"},
		"zip":      {"x = zip(ds.gen.read(\"big.csv\"), ds.gen.read(\"big.csv\"))", "memory limit"},
		"collect":  {"x = ds.gen.read(\"big.csv\").collect(limit = 10000000)", "memory limit"},
		"capped":   {"x = ds.gen.read(\"big.csv\").collect()", "stream.collect: the stream has more than 100000 elements"},
		"sort":     {"x = ds.gen.read(\"big.csv\").sort(\"city    \").first()", "stream.sort: sort needs more than 12582912 bytes"},
		"sort fn":  {"x = ds.gen.read(\"big.csv\").sort(lambda r: r.number).first()", "memory limit"},
		"distinct": {"x = ds.gen.read(\"big.csv\").distinct().count()", "stream.distinct: distinct needs more than 12582912 bytes"},
		"join":     {"x = ds.gen.read(\"big.csv\").join(ds.gen.read(\"big.csv\"), on = \"number\").first()", "stream.join: join needs more than 12582912 bytes"},
		"group":    {"x = ds.gen.read(\"big.csv\").group(\"number\", n = agg.count()).first()", "stream.group: group needs more than 12582912 bytes"},
		"text":     {"x = ds.gen.read_text(\"big.csv\")", "memory limit"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newGeneratedHost(t, 1_000_000)
			var err error
			peak := peakHeap(func() {
				_, err = h.run(c.src, func(o *RunOptions) { o.Limits.Memory = limit })
			})
			if !fault.Is(err, fault.Limit) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if fault.ClassOf(err).Hint == "" {
				t.Error("no hint")
			}
			if peak > 4*limit {
				t.Errorf("the heap grew by %s under a limit of %s", formatBytes(peak), formatBytes(limit))
			}
			t.Logf("heap grew by %s: %v", formatBytes(peak), err)
		})
	}
}
