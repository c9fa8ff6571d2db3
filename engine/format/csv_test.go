package format

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

func long() bool { return os.Getenv("DSRUN_TEST_LONG") == "1" }

// readAll reads a text as a format and returns all batches, or the error with those before it.
func readAll(t testing.TB, format, text string, o ReadOptions) ([]*rows.Batch, error) {
	t.Helper()
	return drain(Open(context.Background(), format, Input{Name: "in." + format, Size: -1, Body: strings.NewReader(text)}, o))
}

func drain(src rows.Source, err error) ([]*rows.Batch, error) {
	if err != nil {
		return nil, err
	}
	defer src.Close()
	var out []*rows.Batch
	for {
		b, err := src.Next(context.Background())
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, b)
	}
}

// table prints batches as cells, with nil for null and <absent>.
func table(batches []*rows.Batch) [][]string {
	var out [][]string
	for _, b := range batches {
		for i := range b.N {
			var rec []string
			for c := range b.Cols {
				switch {
				case b.Cols[c].Absent.Has(i):
					rec = append(rec, "<absent>")
				case b.Cols[c].Type == rows.String && !b.Cols[c].Null.Has(i):
					rec = append(rec, b.Cols[c].Str(i))
				default:
					rec = append(rec, fmt.Sprint(rows.At(b, i, c)))
				}
			}
			out = append(out, rec)
		}
	}
	return out
}

var no = false

func TestCSVRecords(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "a,b\n1,2\n3,4\n", "[[1 2] [3 4]]"},
		{"no last line end", "a,b\n1,2", "[[1 2]]"},
		{"CRLF", "a,b\r\n1,2\r\n", "[[1 2]]"},
		{"CRLF without the LF at the end", "a,b\r\n1,2\r", "[[1 2]]"},
		{"mark", "\ufeffa,b\n1,2\n", "[[1 2]]"},
		{"quotes", "a,b\n\"x,\"\"y\"\"\nz\",2\n", "[[x,\"y\"\nz 2]]"},
		{"quoted CRLF", "a,b\r\n\"x\r\ny\",\"2\"\r\n", "[[x\r\ny 2]]"},
		{"quoted header", "\"a\",\"b\"\n1,2\n", "[[1 2]]"},
		{"empty lines", "\n\na,b\n\n1,2\n\r\n\n3,4\n\n", "[[1 2] [3 4]]"},
		{"empty cells", "a,b\n,\n\"\",\n,\"\"\n", "[[ ] [ ] [ ]]"},
		{"one empty quoted cell", "a\n\"\"\n\nx\n", "[[] [x]]"},
		{"quote at the end", "a,b\n1,\"2\"", "[[1 2]]"},
		{"NUL and odd bytes", "a,b\n\x00,\xff\n", "[[\x00 \xff]]"},
		{"spaces stay", "a,b\n 1 ,\t2\n", "[[ 1  \t2]]"},
		{"header only", "a,b\n", "[]"},
		{"nothing", "", "[]"},
		{"only empty lines", "\n\n", "[]"},
		{"only a mark", "\ufeff", "[]"},
	} {
		got, err := readAll(t, "csv", tt.in, ReadOptions{})
		if s := fmt.Sprint(table(got)); err != nil || s != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, s, err, tt.want)
		}
	}
}

func TestCSVBadRows(t *testing.T) {
	for _, tt := range []struct{ name, in, err, rest string }{
		{"short", "a,b\n1\n3,4\n", `in.csv:2: record 1: the record has 1 cell, not 2: "1"`, "[[3 4]]"},
		{"long", "a,b\n1,2\n1,2,3\n3,4\n", `in.csv:3: record 2: the record has 3 cells, not 2: "1,2,3"`, "[[1 2] [3 4]]"},
		{"bare quote", "a,b\n1,x\"y\n3,4\n", `in.csv:2: record 1: a quote stands inside of an unquoted cell: "1,x\"y"`, "[[3 4]]"},
		{"text behind a quote", "a,b\n1,\"x\"y\n3,4\n", `in.csv:2: record 1: text stands behind the closing quote: "1,\"x\"y"`, "[[3 4]]"},
		{"lone CR", "a,b\n1,x\ry\n3,4\n", `in.csv:2: record 1: a carriage return without a line feed is not in quotes: "1,x\ry"`, "[[3 4]]"},
		{"open quote", "a,b\n3,4\n1,\"x\ny\n", `in.csv:3: record 2: a quote is not closed until the end of the file, 2 lines on: "1,\"x\ny\n"`, "[[3 4]]"},
		{"open quote at the end", "a,b\n3,4\n1,\"", `in.csv:3: record 2: a quote is not closed until the end of the file, 1 lines on: "1,\""`, "[[3 4]]"},
		{"line numbers", "a,b\n\n\"1\n\n\",2\n\n9\n3,4\n", `in.csv:7: record 2: the record has 1 cell, not 2: "9"`, "[[1\n\n 2] [3 4]]"},
	} {
		got, err := readAll(t, "csv", tt.in, ReadOptions{})
		if err == nil || err.Error() != tt.err || !fault.Is(err, fault.BadRow) {
			t.Errorf("%s: got error %v (%s), want %s", tt.name, err, fault.CodeOf(err), tt.err)
		}
		if fault.ClassOf(err).Hint == "" {
			t.Errorf("%s: no hint", tt.name)
		}
		var seen []string
		skip := ReadOptions{OnBad: func(b *BadRow) error { seen = append(seen, b.Error()); return nil }}
		got, err = readAll(t, "csv", tt.in, skip)
		if s := fmt.Sprint(table(got)); err != nil || s != tt.rest || !slices.Equal(seen, []string{tt.err}) {
			t.Errorf("%s, skipped: got %s, %v, %q, want %s", tt.name, s, err, seen, tt.rest)
		}
	}
}

func TestCSVHeader(t *testing.T) {
	for _, tt := range []struct{ name, in, err string }{
		{"twice", "a,b,a\n1,2,3\n", `in.csv:1: column "a": the header names columns 1 and 3 alike`},
		{"no name", "\na,\n1,2\n", `in.csv:2: column 2 of the header has no name`},
		{"open quote", "a,\"b\n1,2\n", `in.csv:1: a quote is not closed until the end of the file, 2 lines on: "a,\"b\n1,2\n"`},
		{"bare quote", "a,b\"c\n1,2\n", `in.csv:1: a quote stands inside of an unquoted cell: "a,b\"c"`},
		{"UTF-16", "\xff\xfea\x00,\x00", `invalid_argument: the text is in UTF-16`},
	} {
		skip := ReadOptions{OnBad: func(*BadRow) error { return nil }} // no header, no rows: nothing can be skipped
		if _, err := readAll(t, "csv", tt.in, skip); err == nil || err.Error() != tt.err {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.err)
		}
	}
	got, err := readAll(t, "csv", "a,a\n1,2\n", ReadOptions{Header: &no})
	if fmt.Sprint(table(got)) != "[[a a] [1 2]]" || err != nil || fmt.Sprint(got[0].Schema.Names) != "[c0 c1]" {
		t.Errorf("without a header: %v, %v", table(got), err)
	}
	got, err = readAll(t, "csv", "1,2\n", ReadOptions{Header: &no, Names: []string{"x", "y"}, Columns: []string{"y"}})
	if fmt.Sprint(table(got)) != "[[2]]" || err != nil || fmt.Sprint(got[0].Schema.Names) != "[y]" {
		t.Errorf("with names: %v, %v", table(got), err)
	}
	for _, o := range []ReadOptions{{Columns: []string{"z"}}, {Types: map[string]rows.Type{"z": rows.Int}}} {
		_, err = readAll(t, "csv", "a,b\n1,2\n", o)
		if want := `invalid_argument: in.csv: no column is named "z"; there are a, b`; err == nil || err.Error() != want {
			t.Errorf("unknown column: got %v, want %s", err, want)
		}
	}
	if _, err = readAll(t, "csv", "1,2\n", ReadOptions{Header: &no, Names: []string{"x"}}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("too few names: %v", err)
	}
}

func TestCSVTypes(t *testing.T) {
	types := map[string]rows.Type{"i": rows.Int, "f": rows.Float, "b": rows.Bool, "t": rows.Time, "s": rows.String}
	in := "i,f,b,t,s\n" +
		"1,2.5,true,2026-01-31,x\n" +
		" -9223372036854775808 ,\"1e3\",N,2026-01-31T12:00:00+01:00,\n" +
		",\"\", ,,\"\"\n"
	got, err := readAll(t, "csv", in, ReadOptions{Types: types})
	want := "[[1 2.5 true 2026-01-31 00:00:00 +0000 UTC x] [-9223372036854775808 1000 false 2026-01-31 12:00:00 +0100 +0100 ]" +
		" [<nil> <nil> <nil> <nil> ]]"
	if s := fmt.Sprint(table(got)); err != nil || s != want {
		t.Errorf("got %s, %v\nwant %s", s, err, want)
	}
	for _, tt := range []struct{ cells, err string }{
		{"x,1,1,2026-01-01,", `column "i": not an int: "x"`},
		{"9223372036854775808,1,1,2026-01-01,", `column "i": beyond the range of an int (64 bits): "9223372036854775808"`},
		{"1.0,1,1,2026-01-01,", `column "i": not an int: "1.0"`},
		{"1,0x10,1,2026-01-01,", `column "f": not a float: "0x10"`},
		{"1,1_0,1,2026-01-01,", `column "f": not a float: "1_0"`},
		{"1,1e999,1,2026-01-01,", `column "f": beyond the range of a float (64 bits): "1e999"`},
		{"1,1,maybe,2026-01-01,", `column "b": not a bool`},
		{"1,1,1,31.01.2026,", `column "t": not a time`},
	} {
		_, err := readAll(t, "csv", "i,f,b,t,s\n"+tt.cells+"\n", ReadOptions{Types: types})
		if err == nil || !strings.HasPrefix(err.Error(), "in.csv:2: record 1: "+tt.err) {
			t.Errorf("%s: got %v, want %s", tt.cells, err, tt.err)
		}
	}
}

// Bad cells and bad records are reported in the order of the file, and rows before a failure are delivered.
func TestCSVOnBadOrder(t *testing.T) {
	var in strings.Builder
	in.WriteString("k,v\n")
	for i := range 5000 {
		switch {
		case i%7 == 3:
			in.WriteString("x,bad\n")
		case i%11 == 5:
			in.WriteString("short\n")
		default:
			fmt.Fprintf(&in, "%d,%d\n", i, i)
		}
	}
	o := ReadOptions{Types: map[string]rows.Type{"k": rows.Int, "v": rows.Int}}
	last, n := int64(0), 0
	o.OnBad = func(b *BadRow) error {
		if b.Record <= last || b.Line != b.Record+1 {
			t.Fatalf("record %d on line %d after %d", b.Record, b.Line, last)
		}
		if i := b.Record - 1; (i%7 == 3) != (b.Column == "k") || (i%7 != 3) != (b.Column == "") {
			t.Fatalf("record %d: column %q", b.Record, b.Column)
		}
		last = b.Record
		n++
		return nil
	}
	got, err := readAll(t, "csv", in.String(), o)
	if err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	kept := 0
	for _, b := range got {
		if b.First != int64(kept) {
			t.Fatalf("first row %d, want %d", b.First, kept)
		}
		for i := range b.N {
			for next%7 == 3 || next%11 == 5 {
				next++
			}
			if b.Cols[0].Ints[i] != next || b.Cols[1].Ints[i] != next {
				t.Fatalf("row %d: got %d, want %d", kept, b.Cols[0].Ints[i], next)
			}
			next++
			kept++
		}
	}
	if kept+n != 5000 {
		t.Fatalf("%d rows and %d bad of 5000", kept, n)
	}
	stop := errors.New("stop")
	o.OnBad = func(b *BadRow) error {
		if b.Record > 3000 {
			return stop
		}
		return nil
	}
	got, err = readAll(t, "csv", in.String(), o)
	kept = 0
	for _, b := range got {
		kept += b.N
	}
	want := 0
	for i := range 5000 {
		if bad := i%7 == 3 || i%11 == 5; bad && i >= 3000 {
			break
		} else if !bad {
			want++
		}
	}
	if err != stop || kept != want {
		t.Errorf("stopped with %v after %d rows, want %d", err, kept, want)
	}
}

// The reader agrees with encoding/csv on every input that both accept, however the input is cut into reads.
func diffCSV(t *testing.T, data []byte, small bool) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, bom)))
	r.FieldsPerRecord = 0
	want, wantErr := r.ReadAll()
	var body io.Reader = bytes.NewReader(data)
	if small {
		body = iotest.OneByteReader(body)
	}
	got, err := drain(Open(context.Background(), "csv", Input{Body: body}, ReadOptions{Header: &no}))
	if err != nil {
		if wantErr == nil && !strings.Contains(err.Error(), "carriage return") && !strings.Contains(err.Error(), "UTF-16") &&
			!fault.Is(err, fault.Limit) {
			t.Fatalf("%q: we fail with %v, encoding/csv does not", data, err)
		}
		return
	}
	if wantErr != nil {
		t.Fatalf("%q: encoding/csv fails with %v, we read %q", data, wantErr, table(got))
	}
	have := table(got)
	// encoding/csv turns CRLF inside of quotes into LF; the bytes of a cell are ours to keep.
	for _, rec := range have {
		for i := range rec {
			rec[i] = strings.ReplaceAll(rec[i], "\r\n", "\n")
		}
	}
	if !slices.EqualFunc(have, want, slices.Equal[[]string]) {
		t.Fatalf("%q: got %q, want %q", data, have, want)
	}
}

func TestCSVAgainstStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	n := 8000
	if long() {
		n = 800000
	}
	pieces := []string{",", ",", "\n", "\r\n", "\"", "\"\"", "\"a,b\"", "x", "abcdefgh", "\r", " ", "é", "\x00", "\"\n\"", "12345678901234567"}
	for range n {
		var b bytes.Buffer
		for range rng.IntN(24) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		diffCSV(t, b.Bytes(), rng.IntN(4) == 0)
	}
	// Long inputs cross the buffer's end at every kind of place.
	for range n / 2000 {
		var b bytes.Buffer
		for b.Len() < 3*chunkBytes {
			fmt.Fprintf(&b, "%d,%s,\"%s\",\"q\"\"%d\"\r\n", rng.Int(), strings.Repeat("x", rng.IntN(60)), strings.Repeat("y\n", rng.IntN(40)), rng.IntN(1000))
			if rng.IntN(3000) == 0 {
				fmt.Fprintf(&b, "1,2,\"%s\",4\n", strings.Repeat("long\n", rng.IntN(200000)))
			}
		}
		diffCSV(t, b.Bytes(), false)
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\"a\"\"b\",\r\n", "a\rb\n", "\"\n", "\ufeff\n\n,", "a\"b\n\"c\"d\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		diffCSV(t, data, false)
		diffCSV(t, data, true)
	})
}
