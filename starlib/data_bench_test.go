package starlib

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/store"
)

// benchRows is how many rows the benchmarks read in one run of a script.
const benchRows = 100_000

// benchHost has a store with benchRows rows of three columns.
func benchHost(b *testing.B) *dataHost {
	h := newDataHost(b)
	var s strings.Builder
	s.WriteString("name,n,city\n")
	for i := range benchRows {
		fmt.Fprintf(&s, "name%d,%d,Oslo\n", i, i)
	}
	h.put(b, "lake", "big.csv", s.String())
	return h
}

func benchScript(b *testing.B, src string) {
	h := benchHost(b)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		h.must(b, src)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
}

// The cost of a row: reading alone, a loop over it, one column, a function for each.
func BenchmarkRowCount(b *testing.B) { benchScript(b, `ds.lake.read("big.csv").count()`) }
func BenchmarkRowLoop(b *testing.B) {
	benchScript(b, "def main():\n    for r in ds.lake.read(\"big.csv\"):\n        pass\n")
}
func BenchmarkRowLoopColumn(b *testing.B) {
	benchScript(b, "def main():\n    for r in ds.lake.read(\"big.csv\"):\n        r.name\n")
}
func BenchmarkRowMapFilterLoop(b *testing.B) {
	benchScript(b, "def main():\n    for r in ds.lake.read(\"big.csv\").filter(lambda r: r.name).map(lambda r: r.n):\n        pass\n")
}
func BenchmarkRowMapFilterCount(b *testing.B) {
	benchScript(b, `ds.lake.read("big.csv").filter(lambda r: r.name).map(lambda r: r.n).count()`)
}
func BenchmarkRowMapDictWrite(b *testing.B) {
	benchScript(b, `ds.lake.write("o.csv", ds.lake.read("big.csv").map(lambda r: {"a": r.n, "b": r.name}), overwrite = True)`)
}
func BenchmarkRowSelectWrite(b *testing.B) {
	benchScript(b, `ds.lake.write("o.csv", ds.lake.read("big.csv").select("n", "name"), overwrite = True)`)
}
func BenchmarkDictLoop(b *testing.B) {
	benchScript(b, "rows = [{\"name\": str(i), \"n\": i, \"city\": \"Oslo\"} for i in range(100000)]\ndef main():\n    for r in rows:\n        r[\"name\"]\n")
}

// BenchmarkListLoop is the cost of an object in a loop over a listing.
func BenchmarkListLoop(b *testing.B) {
	h := newDataHost(b)
	for i := range benchRows {
		if _, err := h.stores["out"].Put(b.Context(), fmt.Sprintf("k/%07d", i), store.BytesBody([]byte("x")), store.WriteOptions{Overwrite: true}); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct{ name, src string }{
		{"count", `ds.out.list("k/**").count()`},
		{"loop", "def main():\n    for o in ds.out.list(\"k/**\"):\n        pass\n"},
		{"path", "def main():\n    for o in ds.out.list(\"k/**\"):\n        o.path\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.must(b, c.src)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/object")
		})
	}
}
