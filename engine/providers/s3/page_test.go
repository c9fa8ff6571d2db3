package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// oracle is what the SDK's decoder makes of a page, by encoding/xml.
type oracle struct {
	XMLName  xml.Name `xml:"ListBucketResult"`
	Contents []struct {
		Key, ETag, LastModified string
		Size                    int64
	}
	CommonPrefixes        []struct{ Prefix string }
	IsTruncated           bool
	NextContinuationToken string
	EncodingType          string
	KeyCount              *int
}

// agree fails unless both decoders, where both accept a page, read the same from it.
func agree(t *testing.T, page []byte) {
	t.Helper()
	got, err := decodePage(page)
	if err != nil {
		return
	}
	var want oracle
	if xml.Unmarshal(page, &want) != nil {
		return
	}
	key := func(s string) string {
		if want.EncodingType == "url" {
			u, err := url.QueryUnescape(s)
			if err != nil {
				t.Errorf("%q was taken", s)
			}
			return u
		}
		return s
	}
	if len(got.entries) != len(want.Contents) || len(got.prefixes) != len(want.CommonPrefixes) || got.truncated != want.IsTruncated || got.next != want.NextContinuationToken {
		t.Fatalf("%q: got %+v, want %+v", page, got, want)
	}
	for i, w := range want.Contents {
		e := got.entries[i]
		if e.Key != key(w.Key) || e.Size != w.Size || e.ETag != quoted(w.ETag) {
			t.Errorf("%q: got %+v, want %+v", page, e, w)
		}
		if at, err := time.Parse(time.RFC3339Nano, w.LastModified); err == nil && !at.Equal(e.Modified) {
			t.Errorf("%q: time %v, want %v", page, e.Modified, at)
		}
	}
	for i, w := range want.CommonPrefixes {
		if got.prefixes[i] != key(w.Prefix) {
			t.Errorf("%q: prefix %q, want %q", page, got.prefixes[i], key(w.Prefix))
		}
	}
}

const pageHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`

// pages are replies as services write them.
func pages() []string {
	one := func(key string) string {
		return `<Contents><Key>` + key + `</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;0123&quot;</ETag><Size>42</Size><StorageClass>STANDARD</StorageClass><Owner><ID>x</ID></Owner></Contents>`
	}
	return []string{
		pageHead + `<Name>b</Name><Prefix/><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>`,
		pageHead + `<KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b==</NextContinuationToken>` + one("a") + one("b/c") + `</ListBucketResult>`,
		pageHead + `<EncodingType>url</EncodingType><KeyCount>3</KeyCount><IsTruncated>false</IsTruncated>` + one("a+b%2Bc%00%ff") + one("%E6%97%A5") + `<CommonPrefixes><Prefix>d+e/</Prefix></CommonPrefixes></ListBucketResult>`,
		pageHead + one("a&amp;&lt;&gt;&apos;&quot;&#13;&#xa;&#x65E5;") + "\n  " + one("line\r\nend\rx") + `<IsTruncated>false</IsTruncated></ListBucketResult>` + "\n",
		"\ufeff<ListBucketResult>" + strings.ReplaceAll(one("no quotes"), "&quot;", "") + "</ListBucketResult>",
		`<ListBucketResult/>`,
		pageHead + `<Contents><Size>1</Size><Key>時間</Key><LastModified>2026-01-02T03:04:05Z</LastModified></Contents><IsTruncated>false</IsTruncated></ListBucketResult>`,
		pageHead + `<Contents><Size>1</Size><Key>k</Key><LastModified>2026-01-02T05:04:05+02:00</LastModified><Checksum a="b" c='d'>x</Checksum></Contents></ListBucketResult>`,
	}
}

func TestPages(t *testing.T) {
	for _, p := range pages() {
		if _, err := decodePage([]byte(p)); err != nil {
			t.Errorf("%q: %v", p, err)
		}
		agree(t, []byte(p))
	}
	got, err := decodePage([]byte(pages()[2]))
	if err != nil || got.entries[0].Key != "a b+c\x00\xff" || got.entries[1].Key != "日" || got.prefixes[0] != "d e/" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A page that is cut anywhere is an error, never a short page.
func TestCutPages(t *testing.T) {
	for _, p := range pages() {
		whole := strings.TrimRight(p, "\n")
		for n := range len(whole) {
			if got, err := decodePage([]byte(whole[:n])); err == nil {
				t.Fatalf("%q cut at %d gives %+v", p, n, got)
			}
		}
	}
}

func TestBadPages(t *testing.T) {
	key := `<Contents><Key>k</Key><Size>1</Size></Contents>`
	for what, p := range map[string]string{
		"nothing":             "",
		"another root":        `<ListBucketResults></ListBucketResults>`,
		"a web page":          `<!doctype html><title>Welcome</title>`,
		"HTML":                `<html><body>Sign in</body></html>`,
		"an error":            `<Error><Code>InternalError</Code></Error>`,
		"text":                `hello`,
		"two roots":           `<ListBucketResult></ListBucketResult><ListBucketResult></ListBucketResult>`,
		"text behind":         `<ListBucketResult></ListBucketResult>x`,
		"too few keys":        pageHead + `<KeyCount>2</KeyCount>` + key + `</ListBucketResult>`,
		"too many keys":       pageHead + `<KeyCount>0</KeyCount>` + key + `</ListBucketResult>`,
		"a bad entity":        pageHead + `<Contents><Key>a&nbsp;b</Key><Size>1</Size></Contents></ListBucketResult>`,
		"a cut entity":        pageHead + `<Contents><Key>a&amp</Key><Size>1</Size></Contents></ListBucketResult>`,
		"NUL":                 pageHead + `<Contents><Key>a&#0;</Key><Size>1</Size></Contents></ListBucketResult>`,
		"a bad escape":        pageHead + `<EncodingType>url</EncodingType><Contents><Key>a%2</Key><Size>1</Size></Contents></ListBucketResult>`,
		"no key":              pageHead + `<Contents><Size>1</Size></Contents></ListBucketResult>`,
		"an empty key":        pageHead + `<Contents><Key></Key><Size>1</Size></Contents></ListBucketResult>`,
		"no size":             pageHead + `<Contents><Key>k</Key></Contents></ListBucketResult>`,
		"a negative size":     pageHead + `<Contents><Key>k</Key><Size>-1</Size></Contents></ListBucketResult>`,
		"two keys":            pageHead + `<Contents><Key>k</Key><Key>l</Key><Size>1</Size></Contents></ListBucketResult>`,
		"a bad time":          pageHead + `<Contents><Key>k</Key><Size>1</Size><LastModified>2026-13-02T03:04:05Z</LastModified></Contents></ListBucketResult>`,
		"tags that cross":     pageHead + `<Contents><Key>k<Size>1</Key></Size></Contents></ListBucketResult>`,
		"a truth value":       pageHead + `<IsTruncated>maybe</IsTruncated></ListBucketResult>`,
		"a truth value twice": pageHead + `<IsTruncated>true</IsTruncated><IsTruncated>false</IsTruncated></ListBucketResult>`,
		"bad UTF-8":           pageHead + "<Contents><Key>\xff</Key><Size>1</Size></Contents></ListBucketResult>",
		"deep nesting":        pageHead + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + `</ListBucketResult>`,
	} {
		if got, err := decodePage([]byte(p)); err == nil {
			t.Errorf("%s is taken: %+v", what, got)
		}
	}
}

func FuzzPage(f *testing.F) {
	for _, p := range pages() {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		if len(page) < 1<<16 {
			agree(t, page)
		}
	})
}

func BenchmarkPage(b *testing.B) {
	page := bigPage(1000)
	for b.Loop() {
		if p, err := decodePage(page); err != nil || len(p.entries) != 1000 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}

func bigPage(n int) []byte {
	var b bytes.Buffer
	b.WriteString(pageHead + "<IsTruncated>false</IsTruncated>")
	for i := range n {
		fmt.Fprintf(&b, "<Contents><Key>p00000/key-%010d</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>", i, i)
	}
	b.WriteString("</ListBucketResult>")
	return b.Bytes()
}
