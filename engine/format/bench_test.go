package format

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/rows"
)

// benchText returns n records of ten fields, some of them quoted, in a fixed order.
func benchText(format string, n int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	if format == "csv" {
		b.WriteString("id,name,city,amount,created,active,count,category,comment,code\n")
	}
	word := func() string { return strings.Repeat("abcdefg ", 3)[:3+rng.IntN(16)] }
	for i := range n {
		if format == "csv" {
			comment := word()
			if rng.IntN(10) == 0 {
				comment = `"` + word() + `, ""` + word() + `"""`
			}
			fmt.Fprintf(&b, "%d,%s,%s,%.2f,2026-01-%02d,%v,%d,%s,%s,X%05d\n", i, word(), word(), rng.Float64()*1000, 1+rng.IntN(28), rng.IntN(2) == 0, rng.IntN(100), word(), comment, i)
			continue
		}
		fmt.Fprintf(&b, `{"id": %d, "name": "%s", "city": "%s", "amount": %.2f, "created": "2026-01-%02d", "active": %v, "count": %d, "tag": null, "comment": "%s", "code": "X%05d"}`+"\n",
			i, word(), word(), rng.Float64()*1000, 1+rng.IntN(28), rng.IntN(2) == 0, rng.IntN(100), word(), i)
	}
	return b.String()
}

func benchRead(b *testing.B, format string, o ReadOptions) {
	const n = 20000
	text := benchText(format, n)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		src, err := Open(context.Background(), format, Input{Body: strings.NewReader(text)}, o)
		if err != nil {
			b.Fatal(err)
		}
		got := 0
		for {
			batch, err := src.Next(context.Background())
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			got += batch.N
		}
		if got != n {
			b.Fatalf("%d rows", got)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkReadCSV(b *testing.B) { benchRead(b, "csv", ReadOptions{}) }
func BenchmarkReadCSVTyped(b *testing.B) {
	benchRead(b, "csv", ReadOptions{Types: map[string]rows.Type{"id": rows.Int, "amount": rows.Float, "created": rows.Time, "active": rows.Bool, "count": rows.Int}})
}
func BenchmarkReadCSVTwoColumns(b *testing.B) {
	benchRead(b, "csv", ReadOptions{Columns: []string{"id", "code"}})
}
func BenchmarkReadJSONL(b *testing.B) { benchRead(b, "jsonl", ReadOptions{}) }
func BenchmarkReadJSONLTwoColumns(b *testing.B) {
	benchRead(b, "jsonl", ReadOptions{Columns: []string{"id", "code"}})
}

func benchWrite(b *testing.B, format string) {
	batches, err := drain(Open(context.Background(), "csv", Input{Body: strings.NewReader(benchText("csv", 20000))}, ReadOptions{}))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var buf bytes.Buffer
	for b.Loop() {
		buf.Reset()
		w, err := Create(format, "", &buf, WriteOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for _, batch := range batches {
			if err := w.Write(batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.SetBytes(int64(buf.Len()))
}

func BenchmarkWriteCSV(b *testing.B)   { benchWrite(b, "csv") }
func BenchmarkWriteJSONL(b *testing.B) { benchWrite(b, "jsonl") }
