package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"

	"context"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
)

func newEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(jsonWriter{w})
	enc.SetEscapeHTML(false)
	return enc
}

// printJSON prints one value on one line.
func (a *app) printJSON(v any) error { return newEncoder(a.w.Stdout).Encode(v) }

func (a *app) printRaw(b []byte) error {
	_, err := a.w.Stdout.Write(append(b, '\n'))
	return err
}

// nothing says that a folder or glob holds nothing, which is done work unless the person says otherwise.
func (a *app) nothing(text string, failEmpty bool) error {
	if failEmpty {
		return fault.New(fault.NotFound, "%s", text)
	}
	if !a.g.json {
		_, _ = io.WriteString(a.w.Stderr, fault.Printable(text)+"\n")
	}
	return nil
}

// printPlan prints what a dry run would have done, and closes the plan.
func (a *app) printPlan(p *engine.Plan) (err error) {
	w := bufio.NewWriter(a.w.Stdout)
	defer func() {
		cerr := p.Close()
		if err == nil {
			err = w.Flush()
		}
		if err == nil {
			err = cerr
		}
	}()
	if a.g.json {
		enc := newEncoder(w)
		for _, c := range p.Changes {
			if err := enc.Encode(c); err != nil {
				return err
			}
		}
		return p.EachEvent(func(e engine.PlannedEvent) error {
			v := map[string]any{"action": "publish", "topic": e.Topic, "id": e.ID, "type": e.Type, "data": json.RawMessage(e.Data)}
			if e.Subject != "" {
				v["subject"] = e.Subject
			}
			return enc.Encode(v)
		})
	}
	line := func(format string, args ...any) error {
		_, err := io.WriteString(w, a.redactor.Redact(fmt.Sprintf(format, args...)))
		return err
	}
	if len(p.Changes)+p.NumEvents() == 0 {
		return line("dry run: nothing would change\n")
	}
	if err := line("dry run: nothing was changed; this would have been done\n"); err != nil {
		return err
	}
	for _, c := range p.Changes {
		size := ""
		if c.Size >= 0 {
			size = " (" + humanBytes(c.Size) + ")"
		}
		if err := line("  %-9s %s%s\n", c.Action, fault.Printable(c.Store+":"+c.Path), size); err != nil {
			return err
		}
	}
	return p.EachEvent(func(e engine.PlannedEvent) error {
		return line("  publish   %s to %s: %s\n", e.Type, e.Topic, fault.Printable(string(e.Data)))
	})
}

// humanBytes prints a size in binary units with three significant digits at the most.
func humanBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, i := float64(n)/1024, 0
	for f >= 1023.5 && i < len(units)-1 {
		f /= 1024
		i++
	}
	prec := 1
	if f >= 99.95 {
		prec = 0
	}
	return strconv.FormatFloat(f, 'f', prec, 64) + " " + units[i:i+1] + "iB"
}

// table aligns columns by what they take up on a terminal.
type table struct {
	w    io.Writer
	rows [][]string
	cols int
}

func newTable(w io.Writer, cols int) *table { return &table{w: w, cols: cols} }

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = fault.Printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) flush() error {
	widths := make([]int, t.cols)
	for _, r := range t.rows {
		for i, c := range r {
			widths[i] = max(widths[i], runewidth.StringWidth(c))
		}
	}
	var b strings.Builder
	for _, r := range t.rows {
		line := ""
		for i, c := range r {
			line += c + strings.Repeat(" ", widths[i]-runewidth.StringWidth(c)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// textHandler writes a log line as a person reads it: level, message, fields. Times are left to whoever collects the
// lines; --json has them.
type textHandler struct {
	w     io.Writer
	level slog.Leveler
	attrs []slog.Attr
}

func newTextHandler(w io.Writer, level slog.Leveler) slog.Handler {
	return &textHandler{w: w, level: level}
}

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(strings.ToLower(r.Level.String()) + ": " + fault.Printable(r.Message))
	field := func(a slog.Attr) bool {
		v := a.Value.Resolve().String()
		if v == "" || strings.ContainsAny(v, " =\"") || fault.Printable(v) != v {
			v = strconv.Quote(v)
		}
		b.WriteString(" " + fault.Printable(a.Key) + "=" + v)
		return true
	}
	for _, a := range h.attrs {
		field(a)
	}
	r.Attrs(field)
	b.WriteByte('\n')
	_, err := io.WriteString(h.w, b.String())
	return err
}

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &textHandler{h.w, h.level, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

func (h *textHandler) WithGroup(string) slog.Handler { return h }
