package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	progressEvery = 200 * time.Millisecond // on a terminal
	progressPlain = 30 * time.Second       // in a pipe
	progressJSON  = 10 * time.Second       // with --json
	progressDelay = 500 * time.Millisecond // what is done sooner shows none
	progressSpan  = 5 * time.Second        // over which the rate is taken
)

// meter counts what a transfer or a run does and shows it while it lasts: on a terminal one line, without any name of an
// object; in a pipe a plain line now and then; with --json a value {"progress": {...}} on standard error.
type meter struct {
	planned, bytes          atomic.Int64 // objects and bytes that are to be dealt with
	written                 atomic.Int64 // bytes
	copied, skipped, failed atomic.Int64
	ended                   atomic.Bool // the plan is complete

	a     *app
	tty   bool
	line  *lineWriter
	begun time.Time
	quit  chan struct{}
	done  sync.WaitGroup

	samples []sample
	// render and counts are what is shown of something else than a transfer; nil shows a transfer.
	render func(now time.Time, width int) string
	counts func() any
}

type sample struct {
	at time.Time
	n  int64
}

// meter makes the meter of a command. On a terminal standard error goes through it from here on, so that log lines and
// the progress line do not run into each other; make it before anything that logs.
func (a *app) meter() *meter {
	termName, _ := a.w.LookupEnv("TERM")
	m := &meter{a: a, tty: a.w.StderrTTY && !a.g.json && termName != "dumb"}
	if m.tty {
		m.line = &lineWriter{w: a.w.Stderr}
		a.w.Stderr = m.line
		if a.w.StdoutTTY { // what is printed must not run into the line either
			a.w.Stdout = &besideWriter{m.line, a.w.Stdout}
		}
	}
	return m
}

// Plan implements store.Progress.
func (m *meter) Plan(objects, bytes int64) { m.planned.Add(objects); m.bytes.Add(bytes) }

// PlanEnd implements store.PlanEnder.
func (m *meter) PlanEnd() { m.ended.Store(true) }

// Bytes implements store.Progress.
func (m *meter) Bytes(_, written int64) { m.written.Add(written) }

// Done implements store.Progress.
func (m *meter) Done(copied, skipped, failed int64) {
	m.copied.Add(copied)
	m.skipped.Add(skipped)
	m.failed.Add(failed)
}

// start begins to show.
func (m *meter) start() {
	m.begun = time.Now()
	if !m.tty && !m.a.g.json && m.a.log.Level() > slog.LevelInfo {
		return
	}
	m.quit = make(chan struct{})
	m.done.Add(1)
	go func() {
		defer m.done.Done()
		every := progressEvery
		switch {
		case m.a.g.json:
			every = progressJSON
		case !m.tty:
			every = progressPlain
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-m.quit:
				return
			case now := <-tick.C:
				if m.a.g.json {
					m.event(now)
					continue
				}
				text := m.shown(now)
				if !m.tty {
					fmt.Fprintf(m.a.w.Stderr, "info: %s\n", text)
				} else if now.Sub(m.begun) >= progressDelay {
					m.line.show(text)
				}
			}
		}
	}()
}

// stop ends showing and removes the line. It may be called again.
func (m *meter) stop() {
	if m.quit != nil {
		close(m.quit)
		m.done.Wait()
		m.quit = nil
	}
	if m.line != nil {
		m.line.show("")
	}
}

func (m *meter) shown(now time.Time) string {
	width := m.a.w.Width - 1
	if !m.tty {
		width = 0
	}
	if m.render != nil {
		return cut(m.render(now, width), width)
	}
	return m.text(now, width)
}

// event writes what has been done so far as one value.
func (m *meter) event(now time.Time) {
	v := any(struct {
		Planned  int64   `json:"planned"`
		Complete bool    `json:"plan_complete"`
		Done     int64   `json:"done"`
		Skipped  int64   `json:"skipped"`
		Failed   int64   `json:"failed"`
		Bytes    int64   `json:"bytes"`
		Planning int64   `json:"bytes_planned"`
		Seconds  float64 `json:"seconds"`
	}{m.planned.Load(), m.ended.Load(), m.copied.Load(), m.skipped.Load(), m.failed.Load(), m.written.Load(), m.bytes.Load(), now.Sub(m.begun).Round(time.Millisecond).Seconds()})
	if m.counts != nil {
		v = m.counts()
	}
	b, _ := json.Marshal(map[string]any{"progress": v}) // numbers and plain text always encode
	fmt.Fprintf(m.a.w.Stderr, "%s\n", b)
}

// text is the line at a time: a bar, its share, bytes, rate, remaining time and objects. Until the plan is complete there
// is no whole to be a share of.
func (m *meter) text(now time.Time, width int) string {
	planned, bytes, written := m.planned.Load(), m.bytes.Load(), max(m.written.Load(), 0)
	finished := m.copied.Load() + m.skipped.Load() + m.failed.Load()
	rate := m.rate(now, written)
	if !m.ended.Load() {
		return cut(fmt.Sprintf("%d of more than %d objects  %s  %s/s", finished, planned, humanBytes(written), humanBytes(int64(rate))), width)
	}
	share, left := 1.0, ""
	switch {
	case bytes > 0:
		share = min(float64(written)/float64(bytes), 1)
		if rate >= 1 {
			left = "  " + clockTime(float64(max(bytes-written, 0))/rate) + " left"
		}
	case planned > 0:
		share = float64(finished) / float64(planned)
	}
	rest := fmt.Sprintf(" %3d%%  %s of %s  %s/s%s  %d of %d objects", int(share*100), humanBytes(written), humanBytes(max(bytes, written)),
		humanBytes(int64(rate)), left, finished, planned)
	if failed := m.failed.Load(); failed > 0 {
		rest += fmt.Sprintf(", %d failed", failed)
	}
	if bar := min(width-len(rest)-2, 40); bar >= 5 {
		full := int(share * float64(bar))
		rest = "[" + strings.Repeat("#", full) + strings.Repeat(".", bar-full) + "]" + rest
	}
	return cut(strings.TrimSpace(rest), width)
}

// rate is the bytes a second of the last few seconds.
func (m *meter) rate(now time.Time, n int64) float64 {
	m.samples = append(m.samples, sample{now, n})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > progressSpan {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	if d := now.Sub(first.at).Seconds(); d > 0 {
		return max(float64(n-first.n)/d, 0)
	}
	return 0
}

// clockTime writes seconds as 0:05, 12:00 or 3:25:45.
func clockTime(seconds float64) string {
	if seconds > 99*3600 {
		return "days"
	}
	s := int(seconds + 0.5)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// cut keeps what fits; the line is ASCII.
func cut(s string, width int) string {
	if width > 0 && len(s) > width {
		return s[:width]
	}
	return s
}

// lineWriter keeps one line at the bottom of a terminal, below whatever else is written.
type lineWriter struct {
	mu    sync.Mutex
	w     io.Writer
	shown string
}

// besideWriter writes to another stream of the terminal that a line is kept on.
type besideWriter struct {
	line *lineWriter
	w    io.Writer
}

// Write implements io.Writer for whole lines.
func (b *besideWriter) Write(p []byte) (int, error) {
	l := b.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == "" {
		return b.w.Write(p)
	}
	if _, err := io.WriteString(l.w, eraseLine); err != nil {
		return 0, err
	}
	n, err := b.w.Write(p)
	if len(p) > 0 && p[len(p)-1] != '\n' { // the line comes back when the text's has ended
		l.shown = ""
	} else if err == nil {
		_, err = io.WriteString(l.w, l.shown)
	}
	return n, err
}

const eraseLine = "\r\x1b[K" // ECMA-48: carriage return, EL

func (l *lineWriter) show(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text == l.shown {
		return
	}
	_, _ = io.WriteString(l.w, eraseLine+text)
	l.shown = text
}

// Write implements io.Writer for whole lines.
func (l *lineWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown != "" {
		if _, err := io.WriteString(l.w, eraseLine); err != nil {
			return 0, err
		}
	}
	n, err := l.w.Write(b)
	if l.shown != "" && err == nil {
		_, err = io.WriteString(l.w, l.shown)
	}
	return n, err
}
