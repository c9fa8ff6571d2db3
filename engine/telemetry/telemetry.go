// Package telemetry reports runs to a collector of OpenTelemetry: a trace with one span for the run, one for each request
// of a datastore and each batch of events, and metrics of the whole. It speaks OTLP over HTTP
// (https://opentelemetry.io/docs/specs/otlp/).
//
// It is off unless asked for, never fails a run, and holds a bounded number of spans: those that come faster than the
// collector takes them are dropped. Texts pass through the redactor, so that no attribute holds a secret.
package telemetry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

// Options say where a run is reported.
type Options struct {
	Endpoint string            // URL of the collector, such as http://localhost:4318; /v1/traces and /v1/metrics are added
	Headers  map[string]string // sent with each report
	HTTP     *http.Client
	Version  string // of dsrun
	Parent   string // traceparent of W3C that the run belongs below; "" begins a trace
	Redactor *secret.Redactor
}

// Telemetry reports one run.
type Telemetry struct {
	traces  *sdktrace.TracerProvider
	metrics *sdkmetric.MeterProvider
	tracer  trace.Tracer
	parent  string
	red     *secret.Redactor
}

// flushTime bounds how long the end of a run waits for the collector.
const flushTime = 5 * time.Second

// Start begins to report. Nothing is sent yet, and no error means that the collector can be reached.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fault.New(fault.InvalidArgument, "the address of the collector must be a URL such as \"http://localhost:4318\"")
	}
	at := func(path string) string { return u.JoinPath(path).String() }
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(at("v1/traces")), otlptracehttp.WithHeaders(o.Headers),
		otlptracehttp.WithHTTPClient(o.HTTP), otlptracehttp.WithTimeout(flushTime))
	if err != nil {
		return nil, err
	}
	numbers, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(at("v1/metrics")), otlpmetrichttp.WithHeaders(o.Headers),
		otlpmetrichttp.WithHTTPClient(o.HTTP), otlpmetrichttp.WithTimeout(flushTime))
	if err != nil {
		return nil, errors.Join(err, spans.Shutdown(ctx))
	}
	res := resource.NewSchemaless(attribute.String("service.name", "dsrun"), attribute.String("service.version", o.Version))
	t := &Telemetry{
		traces:  sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans), sdktrace.WithResource(res)),
		metrics: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(numbers)), sdkmetric.WithResource(res)),
		parent:  o.Parent, red: o.Redactor,
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) // what is lost on the way, Close says; the kit would print it
	t.tracer = t.traces.Tracer("dsrun")
	return t, nil
}

// Run opens the span of a run. end closes it with how the run ended.
func (t *Telemetry) Run(ctx context.Context, script, runID, env string, dry bool) (_ context.Context, end func(error)) {
	if t.parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": t.parent})
	}
	attrs := []attribute.KeyValue{t.text("dsrun.script", script), t.text("dsrun.run_id", runID), attribute.Bool("dsrun.dry_run", dry)}
	if env != "" {
		attrs = append(attrs, t.text("dsrun.env", env))
	}
	return t.span(ctx, "run "+script, trace.SpanKindInternal, attrs...)
}

// Layer opens a span for each request of a store of a kind.
func (t *Telemetry) Layer(kind string) store.Interceptor {
	return func(ctx context.Context, c store.Call, next func(context.Context) error) error {
		attrs := []attribute.KeyValue{t.text("dsrun.store", c.Store), attribute.String("dsrun.kind", kind)}
		if c.Key != "" {
			attrs = append(attrs, t.text("dsrun.key", c.Key))
		}
		sctx, end := t.span(ctx, "datastore "+c.Op, trace.SpanKindClient, attrs...)
		err := next(sctx)
		end(err)
		return err
	}
}

// Batch opens a span for sending n events to a topic.
func (t *Telemetry) Batch(ctx context.Context, topic, kind string, n int) (_ context.Context, end func(error)) {
	return t.span(ctx, "topic publish", trace.SpanKindProducer, t.text("dsrun.topic", topic), attribute.String("dsrun.kind", kind), attribute.Int("dsrun.events", n))
}

// span opens a span with its attributes.
func (t *Telemetry) span(ctx context.Context, name string, kind trace.SpanKind, attrs ...attribute.KeyValue) (context.Context, func(error)) {
	ctx, s := t.tracer.Start(ctx, t.red.Redact(name), trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	return ctx, func(err error) {
		if err != nil {
			s.SetAttributes(attribute.String("error.type", string(fault.ClassOf(err).Code)))
			s.SetStatus(codes.Error, t.clean(err.Error()))
		}
		s.End()
	}
}

func (t *Telemetry) text(name, s string) attribute.KeyValue {
	return attribute.String(name, t.clean(s))
}

// clean takes secrets out of a text, and what is no text.
func (t *Telemetry) clean(s string) string { return strings.ToValidUTF8(t.red.Redact(s), "?") }

// Count reports the counters of a run's stores and topics.
func (t *Telemetry) Count(s *store.Stats, events func() int64) error {
	m := t.metrics.Meter("dsrun")
	var errs []error
	for _, c := range []struct {
		name, unit, what string
		value            func() int64
	}{
		{"dsrun.requests", "{request}", "requests of datastores, each try counted", s.Requests.Load},
		{"dsrun.retries", "{request}", "tries after the first", s.Retries.Load},
		{"dsrun.errors", "{request}", "requests that failed for good", s.Errors.Load},
		{"dsrun.bytes.read", "By", "bytes of objects read", s.BytesRead.Load},
		{"dsrun.bytes.written", "By", "bytes of objects written", s.BytesWritten.Load},
		{"dsrun.objects.listed", "{object}", "entries of listings", s.Listed.Load},
		{"dsrun.objects.read", "{object}", "objects opened", s.Opened.Load},
		{"dsrun.objects.written", "{object}", "objects stored", func() int64 { return s.Stored.Load() + s.Copied.Load() }},
		{"dsrun.objects.deleted", "{object}", "objects deleted", s.Deleted.Load},
		{"dsrun.rows.read", "{row}", "rows decoded from objects", s.RowsRead.Load},
		{"dsrun.rows.written", "{row}", "rows encoded into objects", s.RowsWritten.Load},
		{"dsrun.events", "{event}", "events accepted", events},
	} {
		_, err := m.Int64ObservableCounter(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.what),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error { o.Observe(c.value()); return nil }))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close sends what is left, within a few seconds.
func (t *Telemetry) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	return t.red.Error(errors.Join(t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx)))
}
