package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/klauspost/compress/zstd"
)

func pack(t testing.TB, c Compression, parts ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	for _, p := range parts {
		z, err := Compress(&buf, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(z, p); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func unpack(data []byte, c Compression, l Limits) (string, error) {
	z, err := Decompress(bytes.NewReader(data), c, l)
	if err != nil {
		return "", err
	}
	defer z.Close()
	out, err := io.ReadAll(z)
	return string(out), err
}

func TestCompression(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var b strings.Builder
	for range 100000 {
		fmt.Fprint(&b, rng.IntN(1000), ",")
	}
	text := b.String()
	for _, c := range []Compression{Gzip, Zstd} {
		for _, parts := range [][]string{{text}, {"a", text, "", "b"}, {""}} {
			if got, err := unpack(pack(t, c, parts...), c, Limits{}); err != nil || got != strings.Join(parts, "") {
				t.Errorf("%s of %d parts: %v", c, len(parts), err)
			}
		}
		good := pack(t, c, text, text)
		for range 25 {
			cut := rng.IntN(len(good))
			if len(pack(t, c, text)) == cut {
				continue // a whole member
			}
			got, err := unpack(good[:cut], c, Limits{})
			if !fault.Is(err, fault.DataLoss) || fault.ClassOf(err).Hint == "" {
				t.Fatalf("%s cut to %d of %d: %d bytes, %v", c, cut, len(good), len(got), err)
			}
			bad := bytes.Clone(good)
			bad[cut] ^= 1 << rng.IntN(8)
			if got, err := unpack(bad, c, Limits{}); err == nil && got != text+text {
				t.Fatalf("%s altered at %d: read without an error", c, cut)
			}
		}
		for _, tail := range []string{"\x00", "garbage", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "PK\x03\x04"} {
			if _, err := unpack(append(pack(t, c, "x"), tail...), c, Limits{}); !fault.Is(err, fault.DataLoss) {
				t.Errorf("%s with %q behind: %v", c, tail, err)
			}
		}
		boom := errors.New("boom")
		z, err := Decompress(io.MultiReader(bytes.NewReader(good[:len(good)/2]), iotest.ErrReader(boom)), c, Limits{})
		if err == nil {
			_, err = io.ReadAll(z)
		}
		if err != boom {
			t.Errorf("%s: the source's error became %v", c, err)
		}
		if _, err := unpack(good, c, Limits{Decompressed: int64(len(text))}); !fault.Is(err, fault.Limit) {
			t.Errorf("%s: more than the limit: %v", c, err)
		}
		if _, err := unpack(good, c, Limits{Decompressed: 2 * int64(len(text))}); err != nil {
			t.Errorf("%s: exactly the limit: %v", c, err)
		}
	}
	var wide bytes.Buffer
	w, _ := zstd.NewWriter(&wide, zstd.WithWindowSize(32<<20), zstd.WithEncoderConcurrency(1))
	for range 40 {
		chunk := make([]byte, 1<<20)
		for i := range chunk {
			chunk[i] = byte(rng.Uint32())
		}
		w.Write(chunk)
	}
	w.Close()
	if _, err := unpack(wide.Bytes(), Zstd, Limits{WindowBytes: 8 << 20}); !fault.Is(err, fault.Limit) {
		t.Errorf("a window of 32 MiB where 8 are allowed: %v", err)
	}
	if _, err := unpack(wide.Bytes(), Zstd, Limits{}); err != nil {
		t.Errorf("a window of 32 MiB: %v", err)
	}
}

func TestChoose(t *testing.T) {
	gz, zst := pack(t, Gzip, "{\"a\":1}\n"), pack(t, Zstd, "a,b\n")
	for _, tt := range []struct {
		path string
		head []byte
		want string
	}{
		{"a.csv", nil, "csv"}, {"A.CSV.GZ", nil, "csv gzip"}, {"x/a.tsv.zst", nil, "tsv zstd"}, {"a.jsonl.gzip", nil, "jsonl gzip"}, {"a.ndjson.zstd", nil, "jsonl zstd"},
		{"a.txt", nil, "lines"}, {"a.csv", gz, "csv gzip"}, {"a.csv.gz", []byte("a,b\n"), "csv"}, {"a.csv.gz", zst, "csv zstd"},
		{"data", []byte(" \n{\"a\":1}"), "jsonl"}, {"data", gz, "jsonl gzip"}, {"data.gz", gz, "jsonl gzip"}, {"data", []byte("\ufeff{"), "jsonl"},
		{"data", []byte("a,b\n"), ""}, {"data", zst, ""}, {"data", nil, ""}, {"", []byte{}, ""}, {".gz", nil, ""},
	} {
		f, c, err := Choose(tt.path, tt.head)
		got := ""
		if err == nil {
			got = strings.TrimSpace(f.Name() + " " + string(c))
		} else if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), ".csv, .tsv, .jsonl, .ndjson, .txt, .log") {
			t.Errorf("%s: %v", tt.path, err)
		}
		if got != tt.want {
			t.Errorf("%s %.10q: got %q, want %q", tt.path, tt.head, got, tt.want)
		}
	}
	if _, err := Lookup("xml"); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "csv, tsv, jsonl, lines") {
		t.Error(err)
	}
	for _, n := range append(Names(), "ndjson") {
		if _, err := Lookup(n); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenByContent(t *testing.T) {
	for _, tt := range []struct {
		name, format string
		data         []byte
		want         string
	}{
		{"a.csv.gz", "", pack(t, Gzip, "a\n", "1\n"), "[[1]]"},
		{"a.csv.gz", "auto", []byte("a\n1\n"), "[[1]]"}, // unpacked by the server on its way
		{"a.bin", "csv", pack(t, Zstd, "a\n1\n"), "[[1]]"},
		{"a.log", "", []byte("x\r\n\ny"), "[[x] [] [y]]"},
		{"a.log", "", []byte("\ufeff"), "[]"},
		{"a.log", "", []byte("\ufeff\n"), "[[]]"},
		{"a.log", "", nil, "[]"},
	} {
		got, err := drain(Open(context.Background(), tt.format, Input{Name: tt.name, Body: iotest.HalfReader(bytes.NewReader(tt.data))}, ReadOptions{}))
		if s := fmt.Sprint(table(got)); err != nil || s != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, s, err, tt.want)
		}
	}
	nested := pack(t, Gzip, string(pack(t, Gzip, "a\n1\n"))) // unpacked once only
	if got, err := drain(Open(context.Background(), "lines", Input{Name: "a.gz", Body: bytes.NewReader(nested)}, ReadOptions{})); err != nil || !strings.HasPrefix(got[0].Cols[0].Str(0), "\x1f\x8b") {
		t.Errorf("packed twice: %v", err)
	}
	for _, name := range []string{"a.csv.gz", "a.csv.zst"} {
		if _, err := drain(Open(context.Background(), "", Input{Name: name, Body: bytes.NewReader(nil)}, ReadOptions{})); !fault.Is(err, fault.DataLoss) {
			t.Errorf("%s without a byte: %v", name, err)
		}
	}
	boom := errors.New("boom")
	for _, at := range []int{0, 3, 100, 3000} {
		for _, f := range []string{"csv", "lines", "jsonl"} {
			body := io.MultiReader(strings.NewReader(strings.Repeat("{}\n", 1000)[:at]), iotest.ErrReader(boom))
			if _, err := drain(Open(context.Background(), f, Input{Body: body}, ReadOptions{Header: &no})); err != boom {
				t.Errorf("%s, cut by an error after %d bytes: %v", f, at, err)
			}
		}
	}
}
