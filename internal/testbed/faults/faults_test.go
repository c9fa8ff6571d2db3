package faults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB

func handler(w http.ResponseWriter, r *http.Request) {
	if r.Method == "PUT" {
		b, err := io.ReadAll(r.Body)
		if err != nil || len(b) != len(content) {
			w.WriteHeader(400)
		}
		return
	}
	w.Header().Set("ETag", `"e"`)
	http.ServeContent(w, r, "x.bin", time.Time{}, bytes.NewReader(content))
}

// ask sends one request on a connection of its own.
func ask(t *testing.T, s *Server, method string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	patience := 10 * time.Second
	if regexp.MustCompile("stall|slow|Accept").MatchString(t.Name()) {
		patience = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var body io.Reader
	if method == "PUT" {
		body = bytes.NewReader(content)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/o/x%2Fy?q=1", body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

// Each fault does on the wire what its name says.
func TestFaults(t *testing.T) {
	type outcome struct {
		resp *http.Response
		body []byte
		err  error
	}
	for name, x := range map[string]struct {
		method string
		fault  Fault
		header []string
		want   func(o outcome) bool
	}{
		"none": {"GET", nil, nil, func(o outcome) bool { return o.err == nil && bytes.Equal(o.body, content) }},
		"cut": {"GET", Cut(1000), nil, func(o outcome) bool {
			return errors.Is(o.err, io.ErrUnexpectedEOF) && bytes.Equal(o.body, content[:1000])
		}},
		"cut at 0": {"GET", Cut(0), nil, func(o outcome) bool { return errors.Is(o.err, io.ErrUnexpectedEOF) && len(o.body) == 0 }},
		"cut chunked": {"GET", CutChunked(1000), nil, func(o outcome) bool {
			return errors.Is(o.err, io.ErrUnexpectedEOF) && len(o.body) == 1000 && o.resp.ContentLength == -1
		}},
		"clean end": {"GET", CleanEnd(1000), nil, func(o outcome) bool { return o.err == nil && bytes.Equal(o.body, content[:1000]) }},
		"reset":     {"GET", Reset(1 << 19), nil, func(o outcome) bool { return errors.Is(o.err, syscall.ECONNRESET) && len(o.body) <= 1<<19 }},
		"reset head": {"GET", ResetHead(), nil, func(o outcome) bool {
			return o.resp == nil && (errors.Is(o.err, syscall.ECONNRESET) || errors.Is(o.err, io.EOF))
		}},
		"stall head": {"GET", StallHead(), nil, func(o outcome) bool { return o.resp == nil && errors.Is(o.err, context.DeadlineExceeded) }},
		"stall body": {"GET", StallBody(1000), nil, func(o outcome) bool {
			return errors.Is(o.err, context.DeadlineExceeded) && bytes.Equal(o.body, content[:1000])
		}},
		"flip": {"GET", Flip(4242), nil, func(o outcome) bool {
			i := bytes.Compare(o.body[:4242], content[:4242])
			return o.err == nil && i == 0 && o.body[4242] == content[4242]^1 && bytes.Equal(o.body[4243:], content[4243:])
		}},
		"whole":  {"GET", Whole(), []string{"Range", "bytes=5-9"}, func(o outcome) bool { return o.resp.StatusCode == 200 && len(o.body) == len(content) }},
		"range":  {"GET", nil, []string{"Range", "bytes=5-9"}, func(o outcome) bool { return o.resp.StatusCode == 206 && string(o.body) == "56789" }},
		"portal": {"GET", Portal(), nil, func(o outcome) bool { return o.resp.StatusCode == 200 && strings.Contains(string(o.body), "<form") }},
		"empty":  {"PUT", Empty(), nil, func(o outcome) bool { return o.resp.StatusCode == 200 && len(o.body) == 0 }},
		"status": {"GET", Status(503, 1500*time.Millisecond), nil, func(o outcome) bool { return o.resp.StatusCode == 503 && o.resp.Header.Get("Retry-After") == "2" }},
		"redirect": {"GET", Redirect("http://127.0.0.2:1/x"), nil, func(o outcome) bool {
			return o.resp.StatusCode == 307 && o.resp.Header.Get("Location") == "http://127.0.0.2:1/x"
		}},
		"headers": {"GET", DropHeaders("ETag"), nil, func(o outcome) bool { return o.resp.Header.Get("ETag") == "" && o.err == nil }},
		"edit": {"GET", Edit(func(b []byte) []byte { return b[:7] }), nil, func(o outcome) bool {
			return o.err == nil && string(o.body) == "0123456" && o.resp.ContentLength == 7
		}},
		"gzip": {"GET", Gzip(), nil, func(o outcome) bool {
			return o.resp.Header.Get("Content-Encoding") == "gzip" && len(o.body) < 100_000 && bytes.HasPrefix(o.body, []byte{0x1f, 0x8b})
		}},
		"reset upload":   {"PUT", ResetUpload(1000), nil, func(o outcome) bool { return o.resp == nil && o.err != nil }},
		"stall upload":   {"PUT", StallUpload(1000), nil, func(o outcome) bool { return o.resp == nil && errors.Is(o.err, context.DeadlineExceeded) }},
		"trickle":        {"GET", Trickle(1<<17, 10*time.Millisecond), nil, func(o outcome) bool { return o.err == nil && bytes.Equal(o.body, content) }},
		"slow trickle":   {"GET", Trickle(1000, 20*time.Millisecond), nil, func(o outcome) bool { return errors.Is(o.err, context.DeadlineExceeded) && len(o.body) > 1000 }},
		"trickle upload": {"PUT", TrickleUpload(1<<18, 5*time.Millisecond), nil, func(o outcome) bool { return o.resp != nil && o.resp.StatusCode == 200 }},
		"delay":          {"GET", Delay(20 * time.Millisecond), nil, func(o outcome) bool { return o.err == nil && len(o.body) == len(content) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(t, http.HandlerFunc(handler))
			if x.fault != nil {
				s.Add(Rule{Times: 1, Fault: x.fault})
			}
			resp, body, err := ask(t, s, x.method, x.header...)
			if !x.want(outcome{resp, body, err}) {
				t.Errorf("%v, %d bytes, %v", resp, len(body), err)
			}
			if x.fault == nil {
				return
			}
			if resp, body, err := ask(t, s, "GET"); err != nil || resp.StatusCode != 200 || !bytes.Equal(body, content) {
				t.Errorf("the fault did not stop after one time: %v, %v", resp, err)
			}
		})
	}
}

func TestRulesAndRecords(t *testing.T) {
	s := New(t, http.HandlerFunc(handler))
	hooked := 0
	s.Add(Rule{Match: On("GET", "q=1"), Skip: 1, Times: 2, Fault: Status(500, 0)})
	s.Add(Rule{Match: Method("GET"), Skip: 1, Times: 1, Fault: Do(100, func() { hooked++ }, nil)})
	var got []int
	for range 5 {
		resp, _, err := ask(t, s, "GET", "Authorization", "secret")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, resp.StatusCode)
	}
	if want := []int{200, 500, 500, 200, 200}; !slices.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
	if hooked != 1 {
		t.Errorf("the hook ran %d times", hooked)
	}
	all := s.Requests()
	if len(all) != 5 || s.Count("GET") != 5 || s.Count("PUT") != 0 {
		t.Fatalf("%d requests", len(all))
	}
	if r := all[0]; r.Path != "/o/x%2Fy" || r.Query != "q=1" || r.Header.Get("Authorization") != "secret" || r.Sent != 1<<20 || r.Faulty || r.Status != 200 {
		t.Errorf("recorded as %+v", r)
	}
	if r := all[1]; !r.Faulty || r.Status != 500 {
		t.Errorf("recorded as %+v", r)
	}
}

func TestAccept(t *testing.T) {
	s := New(t, http.HandlerFunc(handler))
	s.OnAccept(func(n int) Accept { return []Accept{Refuse, Hold, Serve}[n] })
	if _, _, err := ask(t, s, "GET"); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("refused: %v", err)
	}
	if _, _, err := ask(t, s, "GET"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("held: %v", err)
	}
	if _, _, err := ask(t, s, "GET"); err != nil {
		t.Errorf("served: %v", err)
	}
}

// A proxy passes all on as it came, the Host included, and its faults act on the real server's answers.
func TestProxy(t *testing.T) {
	var host, path string
	real := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, path = r.Host, r.URL.EscapedPath()
		handler(w, r)
	}))
	defer real.Close()
	s := NewProxy(t, real.URL)
	resp, body, err := ask(t, s, "GET")
	if err != nil || resp.StatusCode != 200 || !bytes.Equal(body, content) {
		t.Fatalf("%v, %d bytes, %v", resp, len(body), err)
	}
	if host != strings.TrimPrefix(s.URL, "http://") || path != "/o/x%2Fy" {
		t.Errorf("the server saw host %s, path %s", host, path)
	}
	s.Add(Rule{Times: 1, Fault: Cut(5000)})
	if _, body, err := ask(t, s, "GET"); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != 5000 {
		t.Errorf("cut behind a proxy: %d bytes, %v", len(body), err)
	}
}

func TestTLS(t *testing.T) {
	s := NewTLS(t, http.HandlerFunc(handler))
	s.Add(Rule{Skip: 1, Times: 1, Fault: Reset(1000)})
	for i := range 3 {
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if (i == 1) != (err != nil) || (i != 1) != (len(b) == len(content)) {
			t.Errorf("request %d: %d bytes, %v", i, len(b), err)
		}
	}
}
