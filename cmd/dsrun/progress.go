package main

import (
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
	progressLog   = 10 * time.Second       // in a log of level debug
	progressDelay = 500 * time.Millisecond // what is done sooner shows none
	progressSpan  = 5 * time.Second        // over which the rate is taken
)

// meter counts what a transfer does and shows it on a terminal while it runs: one line, without any name of an object.
// In a pipe it shows nothing, unless debug is logged.
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
	debug := m.a.log.Level() <= slog.LevelDebug && !m.a.g.json
	if !m.tty && !debug {
		return
	}
	m.quit = make(chan struct{})
	m.done.Add(1)
	go func() {
		defer m.done.Done()
		every := progressEvery
		if !m.tty {
			every = progressLog
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-m.quit:
				return
			case now := <-tick.C:
				text := m.text(now, m.a.w.Width-1)
				if !m.tty {
					fmt.Fprintf(m.a.w.Stderr, "debug: %s\n", text)
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
