package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
)

// manifestFile is where the manifest of a run goes: the file of the flag, else one in the folder of the settings, else "".
// A place that is not there is an error before the run, not after it.
func (a *app) manifestFile(p *engine.Project, flag, runID string) (abs string, err error) {
	dir := p.Config().Settings.ManifestDir
	switch {
	case flag != "":
		abs = a.abs(flag)
	case dir != "":
		abs = filepath.Join(dir, runID+".json")
	default:
		return "", nil
	}
	root, err := a.w.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return "", fault.Hinted(fault.InvalidArgument, "Make the folder first, or name another.", "manifest %s: the folder cannot be opened: %w", a.shown(abs), err)
	}
	return abs, root.Close()
}

// writeManifest writes a manifest, also when the run was cancelled.
func (a *app) writeManifest(m *engine.Manifest, abs string) error {
	err := a.writeWith(abs, 0o644, func(w io.Writer) error { return m.Write(context.Background(), w) })
	if err != nil {
		err = fault.New(fault.ClassOf(err).Code, "manifest %s: %w", a.shown(abs), err)
	}
	return err
}

// report is what a run did.
type report struct {
	RunID      string  `json:"run_id"`
	Status     string  `json:"status"`
	Read       int64   `json:"objects_read"`
	Written    int64   `json:"objects_written"`
	Deleted    int64   `json:"objects_deleted"`
	Listed     int64   `json:"objects_listed"`
	RowsIn     int64   `json:"rows_read"`
	RowsOut    int64   `json:"rows_written"`
	BytesIn    int64   `json:"bytes_read"`
	BytesOut   int64   `json:"bytes_written"`
	Events     int64   `json:"events"`
	Requests   int64   `json:"requests"`
	Retries    int64   `json:"retries"`
	Seconds    float64 `json:"seconds"`
	PeakMemory int64   `json:"peak_memory"` // bytes; 0 where the system does not say
}

// reportOf counts what a project's stores and topics did so far.
func reportOf(p *engine.Project, runID string, took time.Duration) report {
	s := p.Stats()
	return report{RunID: runID, Status: "ok", Read: s.Opened.Load(), Written: s.Stored.Load() + s.Copied.Load(), Deleted: s.Deleted.Load(), Listed: s.Listed.Load(),
		RowsIn: s.RowsRead.Load(), RowsOut: s.RowsWritten.Load(), BytesIn: s.BytesRead.Load(), BytesOut: s.BytesWritten.Load(), Events: p.Events(),
		Requests: s.Requests.Load(), Retries: s.Retries.Load(), Seconds: took.Round(time.Millisecond).Seconds(), PeakMemory: peakMemory()}
}

// showRun shows what a run does while it lasts.
func (a *app) showRun(m *meter, p *engine.Project, runID string) {
	m.render = func(now time.Time, _ int) string {
		r := reportOf(p, runID, now.Sub(m.begun))
		words := []string{clockTime(r.Seconds), fmt.Sprintf("read %d objects, %s", r.Read, humanBytes(r.BytesIn)), fmt.Sprintf("wrote %d, %s", r.Written, humanBytes(r.BytesOut))}
		if r.Listed > 0 {
			words = append(words, fmt.Sprintf("listed %d", r.Listed))
		}
		if r.RowsIn > 0 {
			words = append(words, fmt.Sprintf("%d rows", r.RowsIn))
		}
		if r.Events > 0 {
			words = append(words, fmt.Sprintf("%d events", r.Events))
		}
		return strings.Join(append(words, humanBytes(int64(m.rate(now, r.BytesIn+r.BytesOut)))+"/s"), "  ")
	}
	m.counts = func() any {
		r := reportOf(p, runID, time.Since(m.begun))
		r.Status = "running"
		return r
	}
	m.start()
}

// runSummary ends a run with what it did: one line, or with --json one value, on standard error.
func (a *app) runSummary(p *engine.Project, runID string, took time.Duration, err error) {
	r := reportOf(p, runID, took)
	if err != nil {
		r.Status = "failed"
	}
	if a.g.json {
		b, _ := json.Marshal(map[string]report{"summary": r}) // numbers and plain text always encode
		fmt.Fprintf(a.w.Stderr, "%s\n", b)
		return
	}
	words := []string{fmt.Sprintf("read %d objects (%s)", r.Read, humanBytes(r.BytesIn)), fmt.Sprintf("wrote %d (%s)", r.Written, humanBytes(r.BytesOut))}
	for _, c := range []struct {
		n    int64
		what string
	}{{r.Deleted, "deleted %d"}, {r.Listed, "listed %d"}, {r.RowsIn, "rows read %d"}, {r.RowsOut, "rows written %d"}, {r.Events, "events %d"}, {r.Retries, "retries %d"}} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf(c.what, c.n))
		}
	}
	words = append(words, fmt.Sprintf("requests %d", r.Requests), took.Round(time.Millisecond).String())
	if r.PeakMemory > 0 {
		words = append(words, "peak memory "+humanBytes(r.PeakMemory))
	}
	fmt.Fprintf(a.w.Stderr, "run %s %s: %s\n", runID, r.Status, strings.Join(words, ", "))
}
