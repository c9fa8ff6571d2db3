package format

import (
	"bytes"
	"fmt"
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
