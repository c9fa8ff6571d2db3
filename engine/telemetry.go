package engine

import (
	"context"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/telemetry"
)

// Names of the environment that OpenTelemetry defines.
const (
	envOTLPHeaders = "OTEL_EXPORTER_OTLP_HEADERS"
	envTraceParent = "TRACEPARENT"
)

// Telemetry begins to report to the collector at a URL: for Script.Telemetry. The caller closes it after the run. Headers
// come from OTEL_EXPORTER_OTLP_HEADERS and are secrets; a trace that the run belongs to from TRACEPARENT.
func (p *Project) Telemetry(ctx context.Context, endpoint string) (*telemetry.Telemetry, error) {
	headers := map[string]string{}
	if list, ok := p.e.o.LookupEnv(envOTLPHeaders); ok {
		p.e.o.Redactor.Add(list)
		for pair := range strings.SplitSeq(list, ",") {
			name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
			value, err := url.PathUnescape(strings.TrimSpace(value))
			if !ok || err != nil || name == "" {
				return nil, fault.Hinted(fault.InvalidArgument, "Write "+envOTLPHeaders+"=name=value,name=value with percent-encoded values.", "%s is not a list of headers", envOTLPHeaders)
			}
			p.e.o.Redactor.Add(value)
			if _, token, ok := strings.Cut(value, " "); ok { // after Bearer or Basic
				p.e.o.Redactor.Add(token)
			}
			headers[strings.TrimSpace(name)] = value
		}
	}
	client, err := httpclient.New(httpclient.Options{Name: "telemetry", Log: p.e.o.Log})
	if err != nil {
		return nil, err
	}
	parent, _ := p.e.o.LookupEnv(envTraceParent)
	return telemetry.Start(ctx, telemetry.Options{Endpoint: endpoint, Headers: headers, HTTP: client, Version: p.e.o.Version, Parent: parent, Redactor: p.e.o.Redactor})
}
