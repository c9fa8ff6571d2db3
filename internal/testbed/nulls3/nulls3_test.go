package nulls3

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type page struct {
	Contents []struct {
		Key  string
		Size int64
	}
	CommonPrefixes        []struct{ Prefix string }
	IsTruncated           bool
	NextContinuationToken string
	KeyCount              int
}

// listAll reads every page of a listing.
func listAll(t *testing.T, base string, v url.Values) (keys, prefixes []string) {
	t.Helper()
	v.Set("list-type", "2")
	for {
		resp, err := http.Get(base + "/bucket?" + v.Encode())
		if err != nil {
			t.Fatal(err)
		}
		var p page
		err = xml.NewDecoder(resp.Body).Decode(&p)
		resp.Body.Close()
		if err != nil || p.KeyCount != len(p.Contents)+len(p.CommonPrefixes) {
			t.Fatalf("%d names, KeyCount %d, %v", len(p.Contents)+len(p.CommonPrefixes), p.KeyCount, err)
		}
		for _, c := range p.Contents {
			keys = append(keys, c.Key)
		}
		for _, c := range p.CommonPrefixes {
			prefixes = append(prefixes, c.Prefix)
		}
		if !p.IsTruncated {
			return keys, prefixes
		}
		v.Set("continuation-token", p.NextContinuationToken)
	}
}

func TestList(t *testing.T) {
	for _, prefixes := range []int{0, 7} {
		s := &Server{Keys: 2503, Prefixes: prefixes, Size: 5}
		h := httptest.NewServer(s)
		defer h.Close()
		keys, dirs := listAll(t, h.URL, url.Values{})
		if len(keys) != 2503 || len(dirs) != 0 || !slices.IsSorted(keys) || len(slices.Compact(keys)) != 2503 {
			t.Errorf("%d prefixes: %d keys", prefixes, len(keys))
		}
		some, _ := listAll(t, h.URL, url.Values{"start-after": {keys[99]}, "max-keys": {"500"}})
		if !slices.Equal(some, keys[100:]) {
			t.Errorf("%d prefixes: %d keys after the hundredth", prefixes, len(some))
		}
		top, dirs := listAll(t, h.URL, url.Values{"delimiter": {"/"}, "max-keys": {"3"}})
		if len(dirs) != prefixes || prefixes > 0 && len(top) > 0 {
			t.Errorf("%d prefixes: at the top %d keys and %q", prefixes, len(top), dirs)
		}
		n := 0
		for _, d := range dirs {
			k, _ := listAll(t, h.URL, url.Values{"delimiter": {"/"}, "prefix": {d}})
			n += len(k)
		}
		if prefixes > 0 && n != 2503 {
			t.Errorf("below the prefixes there are %d keys", n)
		}
	}
}

func TestObjects(t *testing.T) {
	h := httptest.NewServer(&Server{Keys: 1, Size: 3 << 20})
	defer h.Close()
	do := func(method, path, rg string, body string) (*http.Response, []byte) {
		req, err := http.NewRequest(method, h.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if rg != "" {
			req.Header.Set("Range", rg)
		}
		req.Header.Set("X-Amz-Checksum-Crc32c", "AAAAAA==")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, b
	}
	for rg, want := range map[string][2]int{"": {200, 3 << 20}, "bytes=5-9": {206, 5}, "bytes=3145720-": {206, 8}, "bytes=-7": {206, 7}, "bytes=0-99999999": {206, 3 << 20}, "bytes=3145728-": {416, 0}} {
		resp, b := do("GET", "/bucket/key", rg, "")
		if resp.StatusCode != want[0] || len(b) != want[1] || resp.Header.Get("Content-Length") != strconv.Itoa(want[1]) && want[0] != 416 {
			t.Errorf("range %q: %s, %d bytes", rg, resp.Status, len(b))
		}
	}
	if resp, _ := do("PUT", "/bucket/key", "", "hello"); resp.Header.Get("ETag") == "" || resp.Header.Get("X-Amz-Checksum-Crc32c") != "AAAAAA==" {
		t.Errorf("put: %v", resp.Header)
	}
	if _, b := do("POST", "/bucket/key?uploads", "", ""); !strings.Contains(string(b), "<UploadId>null-upload<") {
		t.Errorf("begin: %s", b)
	}
	if resp, _ := do("PUT", "/bucket/key?partNumber=1&uploadId=null-upload", "", "part"); resp.Header.Get("ETag") == "" {
		t.Errorf("part: %v", resp.Header)
	}
	if _, b := do("POST", "/bucket/key?uploadId=null-upload", "", "<CompleteMultipartUpload/>"); !strings.Contains(string(b), "<ETag>") {
		t.Errorf("complete: %s", b)
	}
	if resp, _ := do("DELETE", "/bucket/key", "", ""); resp.StatusCode != 204 {
		t.Errorf("delete: %s", resp.Status)
	}
}

// The server must not be what is measured: BenchmarkPage shows what a page of 1000 keys costs.
func BenchmarkPage(b *testing.B) {
	s := &Server{Keys: 1_000_000, Prefixes: 16, Size: 5}
	r := httptest.NewRequest("GET", "/bucket?list-type=2&continuation-token=500000", nil)
	for b.Loop() {
		s.ServeHTTP(discarding{http.Header{}}, r)
	}
}

type discarding struct{ h http.Header }

func (d discarding) Header() http.Header       { return d.h }
func (discarding) Write(p []byte) (int, error) { return len(p), nil }
func (discarding) WriteHeader(int)             {}
