package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector keeps what it is sent, as the protocol's own definitions read it.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*trace.Span
	numbers map[string]int64
	raw     bytes.Buffer
	token   string // of the last request
}

func newCollector(t *testing.T) *collector {
	c := &collector{numbers: map[string]int64{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(b)
		c.token = r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/v1/traces":
			var in traces.ExportTraceServiceRequest
			if err := proto.Unmarshal(b, &in); err != nil {
				t.Error(err)
			}
			for _, rs := range in.ResourceSpans {
				for _, ss := range rs.ScopeSpans {
					c.spans = append(c.spans, ss.Spans...)
				}
			}
		case "/v1/metrics":
			var in metrics.ExportMetricsServiceRequest
			if err := proto.Unmarshal(b, &in); err != nil {
				t.Error(err)
			}
			for _, rm := range in.ResourceMetrics {
				for _, sm := range rm.ScopeMetrics {
					for _, m := range sm.Metrics {
						for _, p := range m.GetSum().GetDataPoints() {
							c.numbers[m.Name] = p.GetAsInt()
						}
					}
				}
			}
		default:
			t.Errorf("a request for %s", r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

const telemetryHCL = `
datastore "local" "out" {
  path   = "out"
  create = true
}
topic "file" "events" {
  path = "events.jsonl"
}
`

const telemetryStar = `
def main(text = "x"):
    ds.out.write_text("a.txt", text, overwrite = True)
    print(ds.out.read_text("a.txt"))
    topics.events.publish("done", {"rows": 1})
    ds.out.read_text("missing/" + text)
`

// A run is reported as one trace with its requests and batches, and its counters; secrets stay out, and a collector that
// is not there does not fail the run.
func TestTelemetry(t *testing.T) {
	c := newCollector(t)
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", telemetryHCL)
	write(t, dir, "job.star", telemetryStar)
	run := func(env map[string]string, args ...string) (string, int) {
		w := testWorld(dir, append([]string{"run", "job.star"}, args...))
		w.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
		var errs bytes.Buffer
		w.Stderr = &errs
		code := Main(w)
		return errs.String(), code
	}
	const parent = "0af7651916cd43dd8448eb211c80319c"
	env := map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20canary-token", "TRACEPARENT": "00-" + parent + "-b7ad6b7169203331-01"}
	errs, code := run(env, "--otlp", c.URL, "--text", "canary-token", "--run-id", "r1")
	if code != 1 || strings.Contains(errs, "could not be reported") {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if c.token != "Bearer canary-token" {
		t.Errorf("the collector got the header %q", c.token)
	}
	if bytes.Contains(c.raw.Bytes(), []byte("canary-token")) {
		t.Error("a secret was reported")
	}
	byName := map[string]*trace.Span{}
	var root *trace.Span
	for _, s := range c.spans {
		byName[s.Name] = s
		if hex.EncodeToString(s.TraceId) != parent {
			t.Errorf("the span %s is in the trace %x", s.Name, s.TraceId)
		}
		if s.Name == "run job.star" {
			root = s
		}
	}
	if root == nil || hex.EncodeToString(root.ParentSpanId) != "b7ad6b7169203331" || root.Status.GetCode() != trace.Status_STATUS_CODE_ERROR {
		t.Fatalf("the span of the run: %v, of %d", root, len(c.spans))
	}
	for _, name := range []string{"datastore put", "datastore get", "topic publish"} {
		s := byName[name]
		if s == nil || !bytes.Equal(s.ParentSpanId, root.SpanId) || s.EndTimeUnixNano < s.StartTimeUnixNano || s.StartTimeUnixNano < root.StartTimeUnixNano {
			t.Errorf("%s: %v", name, s)
		}
	}
	attrs := map[string]string{}
	for _, a := range byName["datastore put"].GetAttributes() {
		attrs[a.Key] = a.Value.GetStringValue()
	}
	if attrs["dsrun.store"] != "out" || attrs["dsrun.kind"] != "local" || attrs["dsrun.key"] != "a.txt" {
		t.Errorf("attributes of a put: %v", attrs)
	}
	for name, want := range map[string]int64{"dsrun.objects.written": 1, "dsrun.events": 1, "dsrun.objects.read": 1, "dsrun.bytes.written": 12} {
		if c.numbers[name] != want {
			t.Errorf("%s is %d, want %d", name, c.numbers[name], want)
		}
	}

	// By the settings too; and nothing is reported unless asked for.
	n := len(c.spans)
	if run(env); len(c.spans) != n {
		t.Error("a run was reported that nobody asked for")
	}
	write(t, dir, "dsrun.hcl", telemetryHCL+"settings {\n  otlp_endpoint = \""+c.URL+"\"\n}\n")
	if run(env); len(c.spans) == n {
		t.Error("the settings ask for a report, and none came")
	}

	write(t, dir, "job.star", "def main():\n    print('done')\n")
	if errs, code := run(nil, "--otlp", "http://127.0.0.1:1"); code != 0 || !strings.Contains(errs, "could not be reported") {
		t.Errorf("without a collector: exit code %d: %s", code, errs)
	}
	for _, bad := range []string{"localhost:4318", "ftp://x", "http://user:pw@x"} {
		if errs, code := run(nil, "--otlp", bad); code != 2 || strings.Contains(errs, "pw") {
			t.Errorf("--otlp %s: exit code %d: %s", bad, code, errs)
		}
	}
}
