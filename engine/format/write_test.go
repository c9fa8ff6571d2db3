package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

func batch(t testing.TB, names []string, recs ...[]any) *rows.Batch {
	t.Helper()
	b := rows.NewBuilder(nil)
	for _, vals := range recs {
		if err := b.AppendObject(&rows.Object{Keys: names, Vals: vals}); err != nil {
			t.Fatal(err)
		}
	}
	out := b.Batch()
	out.Schema.Open = false
	return out
}

func write(format, path string, o WriteOptions, batches ...*rows.Batch) (string, error) {
	var buf bytes.Buffer
	w, err := Create(format, path, &buf, o)
	if err != nil {
		return "", err
	}
	for _, b := range batches {
		if err := w.Write(b); err != nil {
			if again := w.Write(b); again != err {
				return "", fmt.Errorf("a broken writer goes on: %v", again)
			}
			return buf.String(), err
		}
	}
	err = w.Close()
	if w.Write(batches[0]) == nil {
		return "", errors.New("a closed writer writes")
	}
	return buf.String(), err
}

func TestWrite(t *testing.T) {
	names := []string{"s", "i", "f", "b", "t", "n", "l"}
	b := batch(t, names,
		[]any{"a,\"b\"\n<&>\u2028", int64(math.MaxInt64), 1.0, true, time.Date(2026, 1, 31, 12, 0, 0, 500e6, time.UTC), nil, []any{int64(1), "x"}},
		[]any{"", int64(-1), 1e-7, false, time.Date(2026, 1, 31, 0, 0, 0, 0, time.FixedZone("", 3600)), nil, new(big.Int).Lsh(big.NewInt(1), 70)})
	for _, tt := range []struct {
		format string
		o      WriteOptions
		want   string
	}{
		{"csv", WriteOptions{}, "s,i,f,b,t,n,l\n\"a,\"\"b\"\"\n<&>\u2028\",9223372036854775807,1.0,true,2026-01-31T12:00:00.5Z,,\"[1,\"\"x\"\"]\"\n" +
			",-1,1e-07,false,2026-01-31T00:00:00+01:00,,1180591620717411303424\n"},
		{"tsv", WriteOptions{Columns: []string{"i", "s"}, Header: &no}, "9223372036854775807\t\"a,\"\"b\"\"\n<&>\u2028\"\n-1\t\n"},
		{"jsonl", WriteOptions{}, "{\"s\":\"a,\\\"b\\\"\\n<&>\u2028\",\"i\":9223372036854775807,\"f\":1.0,\"b\":true,\"t\":\"2026-01-31T12:00:00.5Z\",\"n\":null,\"l\":[1,\"x\"]}\n" +
			"{\"s\":\"\",\"i\":-1,\"f\":1e-07,\"b\":false,\"t\":\"2026-01-31T00:00:00+01:00\",\"n\":null,\"l\":1180591620717411303424}\n"},
		{"jsonl", WriteOptions{Columns: []string{"b", "i"}}, "{\"b\":true,\"i\":9223372036854775807}\n{\"b\":false,\"i\":-1}\n"},
		{"lines", WriteOptions{Columns: []string{"i"}}, "9223372036854775807\n-1\n"},
	} {
		if got, err := write(tt.format, "", tt.o, b); err != nil || got != tt.want {
			t.Errorf("%s: got %v\n%s\nwant\n%s", tt.format, err, got, tt.want)
		}
	}
	open, _ := rows.Build(&rows.Object{Keys: []string{"a"}, Vals: []any{int64(1)}}, &rows.Object{Keys: []string{"b"}, Vals: []any{nil}}, &rows.Object{})
	if got, err := write("jsonl", "", WriteOptions{}, open); err != nil || got != "{\"a\":1}\n{\"b\":null}\n{}\n" {
		t.Errorf("absent fields: %s, %v", got, err)
	}
	if got, err := write("csv", "", WriteOptions{}, open); err != nil || got != "a,b\n1,\n,\n,\n" {
		t.Errorf("absent cells: %s, %v", got, err)
	}
	if got, err := write("csv", "", WriteOptions{}, batch(t, []string{"a"}, []any{""}, []any{nil}, []any{"\ufeffx"})); err != nil || got != "a\n\"\"\n\"\"\n\ufeffx\n" {
		t.Errorf("single cells: %q, %v", got, err)
	}
	if got, err := write("csv", "", WriteOptions{}, batch(t, []string{"\ufeffa"}, []any{"x"})); err != nil || got != "\"\ufeffa\"\nx\n" {
		t.Errorf("mark in the header: %q, %v", got, err)
	}
}

func TestWriteErrors(t *testing.T) {
	one := batch(t, []string{"a", "b"}, []any{int64(1), int64(2)})
	turned := batch(t, []string{"b", "a"}, []any{int64(4), int64(3)})
	if got, err := write("csv", "", WriteOptions{}, one, turned, one); err != nil || got != "a,b\n1,2\n3,4\n1,2\n" {
		t.Errorf("another order: %q, %v", got, err)
	}
	for _, tt := range []struct {
		format string
		o      WriteOptions
		in     []*rows.Batch
		err    string
	}{
		{"csv", WriteOptions{}, []*rows.Batch{one, batch(t, []string{"a"}, []any{nil})}, `invalid_argument: no column is named "b"; there are a`},
		{"csv", WriteOptions{}, []*rows.Batch{one, batch(t, []string{"a", "b", "c"}, []any{nil, nil, nil})}, `invalid_argument: row 2: column "c" is not in the header that was written`},
		{"csv", WriteOptions{Columns: []string{"z"}}, []*rows.Batch{one}, `invalid_argument: no column is named "z"; there are a, b`},
		{"jsonl", WriteOptions{}, []*rows.Batch{batch(t, []string{"x"}, []any{1.0}, []any{math.NaN()})}, `invalid_argument: row 2: column "x": NaN has no JSON`},
		{"jsonl", WriteOptions{}, []*rows.Batch{batch(t, []string{"x"}, []any{[]any{math.Inf(1)}})}, `invalid_argument: row 1: column "x": +Inf has no JSON`},
		{"jsonl", WriteOptions{}, []*rows.Batch{batch(t, []string{"x"}, []any{"caf\xe9"})}, `invalid_argument: row 1: column "x": a string is not UTF-8`},
		{"lines", WriteOptions{}, []*rows.Batch{one}, `invalid_argument: lines have one column, and the rows have 2`},
		{"lines", WriteOptions{}, []*rows.Batch{batch(t, []string{"x"}, []any{"a\nb"})}, `invalid_argument: row 1: the text holds a line end`},
		{"lines", WriteOptions{}, []*rows.Batch{batch(t, []string{"x"}, []any{[]any{}})}, `invalid_argument: row 1: a list cannot be a line of text`},
	} {
		if _, err := write(tt.format, "", tt.o, tt.in...); err == nil || !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s: got %v, want %s", tt.format, err, tt.err)
		}
	}
	if _, err := Create("", "a.parquet", nil, WriteOptions{}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("unknown suffix: %v", err)
	}
}

// What is written is read back the same, through each compression.
func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	texts := []string{"", " ", "a", "\"", "\"\"", ",", "\t", "\n", "\r\n", "\r", "a\"b", "é", "\x00", "\ufeff", "\ufeffx", "日本", strings.Repeat("long", 5000), "null", "1", "{", "\\"}
	for round := range 150 {
		names := []string{"a", "b c", "d\"", "\ufeff"}[:1+rng.IntN(4)]
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		names = slices.Clone(names)
		var batches []*rows.Batch
		var want [][]string
		for range 1 + rng.IntN(3) {
			var recs [][]any
			for range 1 + rng.IntN(50) {
				var vals []any
				var line []string
				for range names {
					s := texts[rng.IntN(len(texts))]
					vals, line = append(vals, s), append(line, s)
				}
				recs, want = append(recs, vals), append(want, line)
			}
			batches = append(batches, batch(t, names, recs...))
		}
		path := []string{"x.csv", "x.tsv.gz", "x.jsonl.zst", "x.csv.zst", "x.jsonl"}[round%5]
		out, err := write("", path, WriteOptions{}, batches...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := drain(Open(context.Background(), "", Input{Name: path, Body: strings.NewReader(out)}, ReadOptions{}))
		if err != nil || !slices.EqualFunc(table(got), want, slices.Equal[[]string]) || !slices.Equal(got[0].Schema.Names, names) {
			t.Fatalf("%s: %v\n%q\nfrom %.2000q\nwant %q", path, err, table(got), out, want)
		}
	}
	// Typed values keep their types in JSON lines, and in csv with Types.
	b := batch(t, []string{"i", "f"}, []any{int64(math.MinInt64), 0.1}, []any{int64(1), 3.0}, []any{nil, -1e300})
	for _, f := range []string{"jsonl", "csv"} {
		out, err := write(f, "", WriteOptions{}, b)
		if err != nil {
			t.Fatal(err)
		}
		o := ReadOptions{}
		if f == "csv" {
			o.Types = map[string]rows.Type{"i": rows.Int, "f": rows.Float}
		}
		got, err := readAll(t, f, out, o)
		if err != nil || fmt.Sprint(table(got)) != fmt.Sprint(table([]*rows.Batch{b})) || got[0].Cols[0].Type != rows.Int || got[0].Cols[1].Type != rows.Float {
			t.Errorf("%s: %v, %v", f, table(got), err)
		}
	}
}

// A full disk is the error of the write, and the writer does not go on.
func TestWriteFails(t *testing.T) {
	full := errors.New("no space")
	b := batch(t, []string{"a"}, []any{"x"})
	for _, f := range Names() {
		w, err := Create(f, "", failingWriter{full}, WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(b); err != full {
			t.Errorf("%s: %v", f, err)
		}
		if err := w.Close(); err != full {
			t.Errorf("%s: close: %v", f, err)
		}
		w, _ = Create(f, "a.gz", failingWriter{full}, WriteOptions{})
		err = errors.Join(w.Write(b), w.Close())
		if !errors.Is(err, full) {
			t.Errorf("%s packed: %v", f, err)
		}
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
