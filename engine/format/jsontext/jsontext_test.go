package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/rows"
)

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
	got, err := Decode(data, Limits{})
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
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	dec.UseNumber()
	var want any
	if err := dec.Decode(&want); err != nil {
		t.Fatalf("%q: encoding/json fails with %v, we read %v", data, err, got)
	}
	if w := plainNumbers(want); !reflect.DeepEqual(toPlain(got), w) {
		t.Fatalf("%q: got %v, want %v", data, toPlain(got), w)
	}
	out, err := Encode(got)
	if err != nil || !json.Valid(out) {
		t.Fatalf("%q: written as %q, %v", data, out, err)
	}
	again, err := Decode(out, Limits{})
	if err != nil || !reflect.DeepEqual(got, again) {
		t.Fatalf("%q: written as %q, read back as %v, %v", data, out, again, err)
	}
}

func TestJSONAgainstStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	n := 8000
	if os.Getenv("DSRUN_TEST_LONG") == "1" {
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

// The same words at every place of a text, so that strings and numbers meet its end at each offset of a word of eight bytes.
func TestDecodeAtTheEnd(t *testing.T) {
	for _, whole := range []string{`"abcdefghijklmnop"`, `"abc\u00e9\n日本語\ud83d\ude00xyz"`, `{"key":"value","k":[1,2.5e3,null]}`, `-123456789012345678901234.5e-10`, `true`} {
		if _, err := Decode([]byte(whole), Limits{}); err != nil {
			t.Errorf("%s: %v", whole, err)
		}
		for pad := range 9 {
			for cut := range len(whole) {
				text := strings.Repeat(" ", pad) + whole[:cut]
				full := append([]byte(text), whole[cut:]...) // what stands behind the end does not count
				_, err := Decode(full[:len(text)], Limits{})
				if valid := json.Valid([]byte(text)); valid != (err == nil) {
					t.Fatalf("%q: %v", text, err)
				}
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	text := []byte(`[` + strings.Repeat(`{"id": 12345, "name": "some text", "amount": 12.5, "tags": ["a", "b"], "none": null},`, 999) + `{}]`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(text, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStandardDecode(b *testing.B) {
	text := []byte(`[` + strings.Repeat(`{"id": 12345, "name": "some text", "amount": 12.5, "tags": ["a", "b"], "none": null},`, 999) + `{}]`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
	}
}
