package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format/jsontext"
	"github.com/dsrun/dsrun/engine/rows"
)

func TestJSONLRecords(t *testing.T) {
	for _, tt := range []struct{ name, in, want, schema string }{
		{"plain", `{"a":1,"b":"x"}` + "\n" + `{"a":2,"b":"y"}`, "[[1 x] [2 y]]", "[a b] [int string]"},
		{"order and absence", "{\"a\":1}\n{\"b\":null,\"a\":2}\n{\"c\":true}\n",
			"[[1 <absent> <absent>] [2 <nil> <absent>] [<absent> <absent> true]]", "[a b c] [int any bool]"},
		{"mixed", "{\"a\":1}\n{\"a\":1.5}\n{\"a\":\"x\"}\n{\"a\":null}", "[[1] [1.5] [x] [<nil>]]", "[a] [any]"},
		{"floats", "{\"a\":1.0}\n{\"a\":-2e3}\n", "[[1] [-2000]]", "[a] [float]"},
		{"big", "{\"a\":9223372036854775807}\n{\"a\":9223372036854775808}", "[[9223372036854775807] [9223372036854775808]]", "[a] [any]"},
		{"nested", `{"a":[1,{"z":[],"b":null}],"o":{}}`, "[[[1 {[z b] [[] <nil>]}] {[] []}]]", "[a o] [any any]"},
		{"space and marks", "\ufeff \t{ \"a\" : 1 , \"b\" : [ ] } \r\n\r\n  \n{\"a\":2}", "[[1 []] [2 <absent>]]", "[a b] [int any]"},
		{"escapes", `{"a\n":"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t","é":"日本"}`, "[[é😀\"\\/\b\f\n\r\t 日本]]", "[a\n é] [string string]"},
		{"no fields", "{}\n{}\n", "[[] []]", "[] []"},
		{"nothing", "", "[]", ""},
	} {
		got, err := readAll(t, "jsonl", tt.in, ReadOptions{})
		s := strings.ReplaceAll(fmt.Sprint(table(got)), "0x", "")
		if tt.name == "nested" {
			s = fmt.Sprintf("[[[1 %v] %v]]", *rows.At(got[0], 0, 0).([]any)[1].(*rows.Object), *rows.At(got[0], 0, 1).(*rows.Object))
		}
		if err != nil || s != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, s, err, tt.want)
		}
		if len(got) > 0 {
			if s := fmt.Sprint(got[0].Schema.Names, got[0].Schema.Types); s != strings.Replace(tt.schema, "] [", "] [", 1) {
				t.Errorf("%s: schema %s, want %s", tt.name, s, tt.schema)
			}
		}
	}
}

func TestJSONLBadRows(t *testing.T) {
	for _, tt := range []struct{ name, line, err string }{
		{"list", `[1]`, `the line is not an object (character 1): "[1]"`},
		{"twice", `{"a":1,"b":2,"a":3}`, `the object has the field "a" twice (character 14)`},
		{"twice inside", `{"o":{"a":1,"a":3}}`, `the object has the field "a" twice (character 13)`},
		{"surrogate", `{"a":"\ud800"}`, `half of a surrogate pair stands alone (character 7)`},
		{"surrogates the wrong way", `{"a":"\udc00\ud800"}`, `half of a surrogate pair stands alone (character 7)`},
		{"UTF-8", "{\"é\":\"x\xff\"}", `a string is not UTF-8 (character 8)`},
		{"UTF-8 after an escape", "{\"a\":\"\\n\xff\"}", `a string is not UTF-8 (character 9)`},
		{"control", "{\"a\":\"x\ty\"}", `a control character stands in a string without being escaped (character 8)`},
		{"range", `{"a":1e999}`, `a number is beyond the range of a float (64 bits) (character 6)`},
		{"zero", `{"a":01}`, `a number begins with a zero too many (character 6)`},
		{"half", `{"a":1,`, `the text ends where a field's name in quotes is expected (character 8)`},
		{"behind", `{"a":1} x`, `text stands behind the object (character 9)`},
		{"NaN", `{"a":NaN}`, `'N' stands where a value is expected (character 6)`},
		{"comma", `{"a":1,}`, `'}' stands where a field's name in quotes is expected (character 8)`},
		{"point", `{"a":1.}`, `'}' stands where a digit is expected (character 8)`},
	} {
		in := "{\"a\":0}\n\n" + tt.line + "\n{\"a\":9}\n"
		var bad []*BadRow
		got, err := readAll(t, "jsonl", in, ReadOptions{OnBad: func(b *BadRow) error { bad = append(bad, b); return nil }})
		if err != nil || fmt.Sprint(table(got)) != "[[0] [9]]" || len(bad) != 1 {
			t.Errorf("%s: got %v, %v, %v", tt.name, table(got), err, bad)
			continue
		}
		if want := "in.jsonl:3: record 2: " + tt.err; !strings.HasPrefix(bad[0].Error(), want) {
			t.Errorf("%s: got %v, want %s", tt.name, bad[0], want)
		}
		got, err = readAll(t, "jsonl", in, ReadOptions{})
		if !fault.Is(err, fault.BadRow) || fault.ClassOf(err).Hint == "" || fmt.Sprint(table(got)) != "[[0]]" {
			t.Errorf("%s: got %v, %v", tt.name, table(got), err)
		}
	}
}

func TestJSONLTypesAndColumns(t *testing.T) {
	o := ReadOptions{Columns: []string{"t", "i", "s"}, Types: map[string]rows.Type{"t": rows.Time, "i": rows.Int, "s": rows.String}}
	got, err := readAll(t, "jsonl", "{\"i\":1.0,\"x\":[1],\"s\":5}\n{\"s\":null,\"t\":\"2026-01-31\",\"i\":\" 7 \"}\n", o)
	want := "[[<absent> 1 5] [2026-01-31 00:00:00 +0000 UTC 7 <nil>]]"
	if s := fmt.Sprint(table(got)); err != nil || s != want {
		t.Errorf("got %s, %v, want %s", s, err, want)
	}
	_, err = readAll(t, "jsonl", `{"i":1.5}`, o)
	if err == nil || !strings.HasPrefix(err.Error(), `in.jsonl:1: record 1: column "i": 1.5 is not a whole number`) {
		t.Errorf("got %v", err)
	}
}

// toPlain turns our values into those of encoding/json with UseNumber.
func toPlain(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = toPlain(v[i])
		}
		return out
	case *rows.Object:
		out := map[string]any{}
		for i, k := range v.Keys {
			out[k] = toPlain(v.Vals[i])
		}
		return out
	case int64:
		return new(big.Float).SetPrec(2000).SetInt64(v).Text('g', 50)
	case *big.Int:
		return new(big.Float).SetPrec(20000).SetInt(v).Text('g', 50)
	case float64:
		return v
	}
	return v
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			f, _ := v.Float64()
			return f
		}
		f, _, _ := big.ParseFloat(string(v), 10, 20000, big.ToNearestEven)
		if f.Sign() == 0 {
			f.Abs(f)
		}
		return f.Text('g', 50)
	}
	return v
}

// diffJSON compares with encoding/json on what both accept, and checks that the value survives writing.
func diffJSON(t *testing.T, data []byte) {
	got, err := jsontext.Decode(data, jsontext.Limits{})
	if err != nil {
		msg := err.Error()
		for _, strict := range []string{"twice", "UTF-8", "surrogate", "range", "digits", "deeper"} {
			if strings.Contains(msg, strict) {
				return
			}
		}
		if json.Valid(data) {
			t.Fatalf("%q: we fail with %v, encoding/json does not", data, err)
		}
		return
	}
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, bom)))
	dec.UseNumber()
	var want any
	if err := dec.Decode(&want); err != nil {
		t.Fatalf("%q: encoding/json fails with %v, we read %v", data, err, got)
	}
	if w := plainNumbers(want); !reflect.DeepEqual(toPlain(got), w) {
		t.Fatalf("%q: got %v, want %v", data, toPlain(got), w)
	}
	out, err := jsontext.Encode(got)
	if err != nil || !json.Valid(out) {
		t.Fatalf("%q: written as %q, %v", data, out, err)
	}
	again, err := jsontext.Decode(out, jsontext.Limits{})
	if err != nil || !reflect.DeepEqual(got, again) {
		t.Fatalf("%q: written as %q, read back as %v, %v", data, out, again, err)
	}
}

func TestJSONAgainstStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	n := 8000
	if long() {
		n = 5000000
	}
	pieces := []string{"{", "}", "[", "]", ",", ",", ":", `"a"`, `"b":`, `"\u00e9\n"`, `"long text without escapes"`, "1", "-0", "2.5e-3", "0.1",
		"123456789012345678901234567890", "true", "null", "false", " ", "\n", "9007199254740993", "1e22", "1e23", "17976931348623157e292", `"\ud83d\ude00x"`, "日本", `"日本語です"`}
	for range n {
		var b bytes.Buffer
		if rng.IntN(2) == 0 {
			writeRandom(&b, rng, 4)
		}
		for range rng.IntN(8) * rng.IntN(2) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		if rng.IntN(4) == 0 && b.Len() > 0 {
			b.Bytes()[rng.IntN(b.Len())] = byte(rng.Uint32())
		}
		diffJSON(t, b.Bytes())
	}
}

// writeRandom writes a value that is valid JSON.
func writeRandom(b *bytes.Buffer, rng *rand.Rand, depth int) {
	kind := rng.IntN(7)
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0:
		fmt.Fprint(b, rng.Int64()-rng.Int64())
	case 1:
		fmt.Fprint(b, rng.NormFloat64()*float64(rng.IntN(1000000)))
	case 2:
		j, _ := json.Marshal(strings.Repeat(string(rune(rng.IntN(0xd000))), rng.IntN(20)))
		b.Write(j)
	case 3:
		b.WriteString("null")
	case 4:
		fmt.Fprint(b, rng.IntN(2) == 0)
	case 5:
		b.WriteByte('[')
		for i := range rng.IntN(5) {
			if i > 0 {
				b.WriteString(" , ")
			}
			writeRandom(b, rng, depth-1)
		}
		b.WriteByte(']')
	case 6:
		b.WriteByte('{')
		for i := range rng.IntN(30) {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, `"k%d":`, i)
			writeRandom(b, rng, depth-1)
		}
		b.WriteByte('}')
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x\u00e9",null,true]}`, `-0.0e-5`, `"\ud800\udc00"`, `[[[[`, `123456789012345678901`} {
		f.Add([]byte(s))
	}
	f.Fuzz(diffJSON)
}

// Depth, size and count are limits, not crashes.
func TestJSONLimits(t *testing.T) {
	for _, open := range []string{"[", `{"a":`, `[{"a":`} {
		if _, err := jsontext.Decode([]byte(strings.Repeat(open, 5<<20/len(open))), jsontext.Limits{}); !fault.Is(err, fault.Limit) {
			t.Errorf("5 MiB of %s: %.200v", open, err)
		}
		if _, err := readAll(t, "jsonl", `{"x":`+strings.Repeat(open, 5<<20/len(open)), ReadOptions{}); !fault.Is(err, fault.Limit) ||
			!strings.Contains(err.Error(), "in.jsonl:1: ") {
			t.Errorf("a line with 5 MiB of %s: %.200v", open, err)
		}
	}
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	if _, err := jsontext.Decode([]byte(deep), jsontext.Limits{}); err != nil {
		t.Errorf("200 levels: %v", err)
	}
	if _, err := jsontext.Decode([]byte("["+deep+"]"), jsontext.Limits{}); !fault.Is(err, fault.Limit) {
		t.Errorf("201 levels: %v", err)
	}
	if _, err := jsontext.Decode([]byte("[1,2,3]"), jsontext.Limits{Values: 3}); !fault.Is(err, fault.Limit) {
		t.Errorf("values: %v", err)
	}
	if _, err := jsontext.Decode([]byte("[1,2,3]"), jsontext.Limits{Bytes: 6}); !fault.Is(err, fault.Limit) {
		t.Errorf("bytes: %v", err)
	}
	if _, err := jsontext.Decode(bytes.Repeat([]byte("9"), 5000), jsontext.Limits{}); !fault.Is(err, fault.Limit) {
		t.Errorf("digits: %v", err)
	}
	var e *jsontext.Error
	_, err := jsontext.Decode([]byte("{\n  \"é\": ?}"), jsontext.Limits{})
	if !fault.Is(err, fault.InvalidArgument) || err.Error() != "line 2, column 8: '?' stands where a value is expected" {
		t.Errorf("place: %v, %v", err, e)
	}
}
