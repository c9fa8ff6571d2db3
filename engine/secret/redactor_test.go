package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const pemKey = `-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDcanary0+/line1
qF3kLw9Zt7Yx0canaryLine2/4bXv2nT8sR1uP6mK5jH3gD7fC9eA0wQ+zyxwvutsr
canary3aB==
-----END PRIVATE KEY-----
`

// canaries are the kinds of secret that configuration holds; parts are what must not show even without the rest.
var canaries = []struct {
	kind, value string
	parts       []string
}{
	{"aws secret key", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYcanaryKEY", nil},
	{"aws session token", "FwoGZXIvYXdzEBYaDH/canary//////////wEaDGV4YW1wbGUrdG9rZW4+Lz0=", nil},
	{"azure account key", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMcw==", nil},
	{"azure sas", "sv=2024-11-04&ss=b&srt=sco&sp=rl&se=2027-01-01T00%3A00%3A00Z&sig=canary%2Fsig%2B1234567890%3D", []string{"canary%2Fsig%2B1234567890%3D", "canary/sig+1234567890="}},
	{"presigned url", "https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIAX%2F2026&X-Amz-Signature=0f1e2d3ccanary4b5a69788796a5b4c3", []string{"0f1e2d3ccanary4b5a69788796a5b4c3"}},
	{"gcs signed url", "https://storage.googleapis.com/b/k?X-Goog-Signature=8f9ecanary0aa1bb2", []string{"8f9ecanary0aa1bb2"}},
	{"connection string", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=canaryKey+/1234==;EndpointSuffix=core.windows.net", []string{"canaryKey+/1234=="}},
	{"dsn url", "postgres://app:p%40ss-canary@db.example:5432/x?sslmode=require", []string{"p%40ss-canary", "p@ss-canary"}},
	{"dsn words", "host=db user=app password=hunter2-canary dbname=x", []string{"hunter2-canary"}},
	{"dsn mysql", "app:s3cr3t-canary@tcp(db:3306)/x", []string{"s3cr3t-canary"}},
	{"pem", pemKey, []string{"qF3kLw9Zt7Yx0canaryLine2/4bXv2nT8sR1uP6mK5jH3gD7fC9eA0wQ+zyxwvutsr"}},
	{"service account", `{"type":"service_account","project_id":"p","private_key":"-----BEGIN PRIVATE KEY-----\nMIIcanaryInJson+/0123456789\n-----END PRIVATE KEY-----\n","client_email":"a@b"}`, []string{"MIIcanaryInJson+/0123456789"}},
	{"oauth token", "ya29.a0AfH6SMcanary-_~token.with.dots", nil},
	{"sse-c key", "\x01\x02canary\xfe\xff binary key of 32 b", nil},
	{"password", `pä"ss\wörd<&>'canary`, nil},
	{"short", "pw=x", nil},
}

// shapes are the ways in which text that holds a secret reaches a log.
func shapes(v string) map[string]string {
	j, _ := json.Marshal(map[string]string{"v": v})
	jj, _ := json.Marshal(string(j))
	var x bytes.Buffer
	_ = xml.EscapeText(&x, []byte(v))
	m := map[string]string{
		"raw": v, "path": url.PathEscape(v), "query": url.QueryEscape(v), "lower query": lowerHex(url.QueryEscape(v)),
		"form": url.Values{"k": {v}}.Encode(), "url": (&url.URL{Scheme: "https", Host: "h", Path: "/" + v, RawQuery: url.Values{"x": {v}}.Encode()}).String(),
		"json": string(j), "json in json": string(jj), "quoted": fmt.Sprintf("%q", v), "ascii": fmt.Sprintf("%+q", v),
		"hex": fmt.Sprintf("%x", v), "HEX": fmt.Sprintf("%X", v), "xml": x.String(),
		"userinfo": url.UserPassword("u", v).String(),
	}
	for i, user := range []string{"", "u", "us", "use"} {
		m[fmt.Sprint("base64 ", i)] = base64.StdEncoding.EncodeToString([]byte(user + v))
		m[fmt.Sprint("base64 raw tail ", i)] = base64.RawStdEncoding.EncodeToString([]byte(user + v + "tail"))
		m[fmt.Sprint("base64url ", i)] = base64.URLEncoding.EncodeToString([]byte(user + v + "t"))
		m[fmt.Sprint("base64url raw ", i)] = base64.RawURLEncoding.EncodeToString([]byte(user + v))
	}
	r, _ := http.NewRequest("GET", "https://h/", nil)
	r.SetBasicAuth("user", v)
	m["basic auth"] = r.Header.Get("Authorization")
	return m
}

// leaks reports whether text still holds the core of v in a form that a simple search would find.
func leaks(text, v string) bool {
	trimmed := strings.TrimSpace(v)
	for _, f := range []string{trimmed, url.QueryEscape(trimmed), url.PathEscape(trimmed), jsonBody(trimmed), hex.EncodeToString([]byte(trimmed))} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(f)) {
			return true
		}
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_", r)
	}) {
		word = strings.NewReplacer("-", "+", "_", "/").Replace(word)
		for off := 0; off < 4 && off < len(word); off++ {
			b, _ := base64.RawStdEncoding.DecodeString(word[off : off+(len(word)-off)/4*4])
			if strings.Contains(string(b), trimmed) {
				return true
			}
		}
	}
	return false
}

func TestCanaries(t *testing.T) {
	for _, c := range canaries {
		r := NewRedactor()
		r.Add(c.value)
		for _, v := range append([]string{c.value}, c.parts...) {
			for shape, s := range shapes(v) {
				in := "before " + s + " after"
				out := r.Redact(in)
				if !strings.Contains(out, Mask) || leaks(out, v) {
					t.Errorf("%s, %s: %q", c.kind, shape, out)
				}
				if shape == "raw" && c.kind != "pem" && out != "before "+Mask+" after" {
					t.Errorf("%s: got %q around the secret", c.kind, out)
				}
			}
		}
	}
}

func TestNothingElseIsMasked(t *testing.T) {
	r := NewRedactor()
	for _, c := range canaries {
		r.Add(c.value)
	}
	r.Add("", "a", "abc") // too short to be masked
	const s = "get train/2026.csv: not_found: abc AccountName=a https://b.s3.amazonaws.com/k 2024-11-04 project_id service_account -----BEGIN PRIVATE KEY----- a@b db.example:5432"
	if got := r.Redact(s); got != s {
		t.Errorf("got %q", got)
	}
	var none *Redactor
	none.Add("x")
	if none.Redact(s) != s || none.Error(fs.ErrExist) != fs.ErrExist {
		t.Error("a nil redactor changes text")
	}
}

func TestOverlapsBecomeOneMask(t *testing.T) {
	r := NewRedactor()
	r.Add("abcdef", "defghi", "abcdefghijklm")
	for in, want := range map[string]string{
		"xabcdefghi!":      "x" + Mask + "!",
		"abcdefghijklmn":   Mask + "n",
		"abcdefabcdef":     Mask + Mask,
		"abcdefghijkl":     Mask + "jkl",
		"defabcdeabcdef--": "defabcde" + Mask + "--",
	} {
		if got := r.Redact(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// However the text is cut into writes, the output is that of the whole text.
func TestWriterEqualsRedact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	long := time.Second / 2
	if os.Getenv("DSRUN_TEST_LONG") == "1" {
		long = time.Minute
	}
	for start := time.Now(); time.Since(start) < long; {
		letters := "ab" + "cde\n"[:1+rng.IntN(4)] // few letters, so that beginnings and overlaps are common
		word := func(n int) string {
			b := make([]byte, n)
			for i := range b {
				b[i] = letters[rng.IntN(len(letters))]
			}
			return string(b)
		}
		r := NewRedactor()
		m := map[string]bool{}
		for range 1 + rng.IntN(5) {
			m[word(4+rng.IntN(6))] = true
		}
		r.built.Store(newMatcher(m)) // exactly these needles, no derived ones
		in := word(rng.IntN(200))
		var got bytes.Buffer
		w := r.Writer(&got)
		for rest := in; rest != ""; {
			n := 1 + rng.IntN(min(len(rest), 20))
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := r.Redact(in); got.String() != want {
			t.Fatalf("needles %v, text %q:\ngot  %q\nwant %q", m, in, got.String(), want)
		}
		for n := range m {
			if strings.Contains(strings.ReplaceAll(got.String(), Mask, "|"), n) {
				t.Fatalf("%q is left in %q", n, got.String())
			}
		}
	}
}

func TestWriterHoldsBackLittle(t *testing.T) {
	r := NewRedactor()
	r.Add("topsecret-value")
	var got bytes.Buffer
	w := r.Writer(&got)
	step := func(in, want string) {
		t.Helper()
		if n, err := w.Write([]byte(in)); n != len(in) || err != nil {
			t.Fatal(n, err)
		}
		if got.String() != want {
			t.Fatalf("after %q: got %q, want %q", in, got.String(), want)
		}
	}
	step("name? ", "name? ")
	step("it is tops", "name? it is ")
	step("ecret-val", "name? it is ")
	step("ue", "name? it is "+Mask)
	step(" !\n", "name? it is "+Mask+" !\n")
	r.Add("another-one") // made known while the writer is in use
	step("x another-one y\n", "name? it is "+Mask+" !\nx "+Mask+" y\n")
	step("end tops", "name? it is "+Mask+" !\nx "+Mask+" y\nend ")
	if w.Close(); !strings.HasSuffix(got.String(), "\nend tops") {
		t.Errorf("after Close: %q", got.String())
	}
}

func TestWriterReportsErrors(t *testing.T) {
	r := NewRedactor()
	r.Add("topsecret")
	w := r.Writer(failing{})
	if _, err := w.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	if err := w.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fs.ErrClosed }

func TestError(t *testing.T) {
	r := NewRedactor()
	r.Add("topsecret")
	inner := &fs.PathError{Op: "open", Path: "/topsecret", Err: fs.ErrNotExist}
	err := r.Error(inner)
	var pe *fs.PathError
	if strings.Contains(err.Error(), "topsecret") || !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &pe) || errors.Unwrap(err) != nil {
		t.Errorf("%v", err)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, fmt.Errorf("x: %w", err)), "topsecret") {
		t.Error("a verb shows the secret")
	}
	if r.Error(fs.ErrExist) != fs.ErrExist || r.Error(nil) != nil {
		t.Error("a clean error was changed")
	}
}

func TestConcurrent(t *testing.T) {
	r := NewRedactor()
	var out bytes.Buffer
	w := r.Writer(&out)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 50 {
				s := fmt.Sprintf("secret-%d-%d-value", g, i)
				r.Add(s)
				if got := r.Redact("<" + s + ">"); got != "<"+Mask+">" {
					t.Errorf("%q after Add", got)
				}
				fmt.Fprintf(w, "line %s\n", s)
			}
		}()
	}
	wg.Wait()
	w.Close()
	if strings.Contains(out.String(), "-value") || strings.Count(out.String(), Mask) != 400 {
		t.Error("a value went through the writer")
	}
}

func BenchmarkRedactClean(b *testing.B) {
	r := NewRedactor()
	for _, c := range canaries {
		r.Add(c.value)
	}
	s := strings.Repeat("get train/part-000123.csv: unavailable: connection reset by peer ", 100)
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		r.Redact(s)
	}
}

func BenchmarkWriterLine(b *testing.B) {
	r := NewRedactor()
	for _, c := range canaries {
		r.Add(c.value)
	}
	w := r.Writer(discard{})
	line := []byte("train/part-000123.csv 1024 rows ok\n")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		w.Write(line)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
