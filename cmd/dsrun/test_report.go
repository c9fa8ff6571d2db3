package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/starlib"
)

// printTest prints one line for a test, and below a failed one why, and what it printed.
func (a *app) printTest(r testResult) error {
	if a.g.json {
		return a.printRedacted(func(w io.Writer) error { return newEncoder(w).Encode(r) })
	}
	return a.printRedacted(func(w io.Writer) error {
		word := "ok  "
		if r.failed() {
			word = "FAIL"
		}
		fmt.Fprintf(w, "%s  %s  %s  %s\n", word, fault.Printable(r.File), r.Test, shortTime(r.Seconds))
		if r.Error == nil {
			return nil
		}
		var b strings.Builder
		a.renderProblem(&b, *r.Error)
		if out := strings.TrimRight(r.Output, "\n"); out != "" {
			b.WriteString("printed:\n")
			for line := range strings.SplitSeq(out, "\n") {
				b.WriteString("  " + fault.Printable(strings.ReplaceAll(line, "\t", "    ")) + "\n")
			}
		}
		for line := range strings.SplitSeq(strings.TrimRight(b.String(), "\n"), "\n") {
			fmt.Fprintf(w, "      %s\n", line)
		}
		return nil
	})
}

func (a *app) printRedacted(print func(io.Writer) error) error {
	var b strings.Builder
	if err := print(&b); err != nil {
		return err
	}
	_, err := io.WriteString(a.w.Stdout, a.redactor.Redact(b.String()))
	return err
}

// shortTime prints a duration with three digits at the most.
func shortTime(seconds float64) string {
	if seconds < 1 {
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// testReports prints the summary and the coverage, and writes the files that were asked for.
func (a *app) testReports(o *testFlags, all []testResult, took time.Duration) error {
	failed := 0
	for _, r := range all {
		if r.failed() {
			failed++
		}
	}
	var cover []starlib.FileCoverage
	if o.cover != nil {
		cover = slices.DeleteFunc(o.cover.Files(), func(f starlib.FileCoverage) bool { return strings.HasSuffix(f.File, testSuffix) })
	}
	var errs []error
	if o.coverage {
		errs = append(errs, a.printCoverage(cover))
	}
	if a.g.json {
		errs = append(errs, a.printJSON(struct {
			Passed  int     `json:"passed"`
			Failed  int     `json:"failed"`
			Seconds float64 `json:"seconds"`
		}{len(all) - failed, failed, took.Seconds()}))
	} else {
		_, err := fmt.Fprintf(a.w.Stdout, "%d passed, %d failed, %s\n", len(all)-failed, failed, shortTime(took.Seconds()))
		errs = append(errs, err)
	}
	if o.junit != "" {
		errs = append(errs, a.writeFile(a.abs(o.junit), []byte(a.redactor.Redact(junit(all, took))), 0o644))
	}
	if o.lcov != "" {
		var b strings.Builder
		_ = starlib.WriteLcov(&b, cover)
		errs = append(errs, a.writeFile(a.abs(o.lcov), []byte(b.String()), 0o644))
	}
	return errors.Join(errs...)
}

func (a *app) printCoverage(files []starlib.FileCoverage) error {
	t := newTable(a.w.Stdout, 4)
	for _, f := range files {
		percent := fmt.Sprintf("%.1f%%", 100*float64(f.Hit())/float64(max(1, len(f.Lines))))
		if a.g.json {
			err := a.printJSON(struct {
				Coverage string `json:"coverage"`
				Lines    int    `json:"lines"`
				Hit      int    `json:"hit"`
				Missing  string `json:"missing,omitempty"`
			}{f.File, len(f.Lines), f.Hit(), f.Missing()})
			if err != nil {
				return err
			}
			continue
		}
		missing := ""
		if m := f.Missing(); m != "" {
			missing = "not executed: lines " + m
		}
		t.row("coverage", f.File, percent+fmt.Sprintf(" of %d lines", len(f.Lines)), missing)
	}
	return t.flush()
}

// junit writes results as JUnit XML, in the form that CI systems read (github.com/testmoapp/junitxml).
func junit(all []testResult, took time.Duration) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	failures := func(list []testResult) (n int) {
		for _, r := range list {
			if r.failed() {
				n++
			}
		}
		return n
	}
	fmt.Fprintf(&b, "<testsuites name=\"dsrun test\" tests=\"%d\" failures=\"%d\" errors=\"0\" time=\"%.3f\">\n", len(all), failures(all), took.Seconds())
	for i := 0; i < len(all); {
		j := i
		sum := 0.0
		for ; j < len(all) && all[j].File == all[i].File; j++ {
			sum += all[j].Seconds
		}
		suite := all[i:j]
		fmt.Fprintf(&b, "  <testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"0\" time=\"%.3f\">\n", xmlText(suite[0].File), len(suite), failures(suite), sum)
		for _, r := range suite {
			fmt.Fprintf(&b, "    <testcase classname=\"%s\" name=\"%s\" file=\"%s\" line=\"%d\" time=\"%.3f\"", xmlText(r.File), xmlText(r.Test), xmlText(r.File), r.Line, r.Seconds)
			if r.Error == nil {
				b.WriteString("/>\n")
				continue
			}
			var text strings.Builder
			text.WriteString(r.Error.Message + "\n")
			for _, f := range slices.Backward(r.Error.Frames) {
				if f.File != "" {
					renderFrame(&text, f, false)
				}
			}
			message, _, _ := strings.Cut(r.Error.Message, "\n")
			fmt.Fprintf(&b, ">\n      <failure message=\"%s\" type=\"%s\">%s</failure>\n", xmlText(message), xmlText(string(r.Error.Code)), xmlText(text.String()))
			if r.Output != "" {
				fmt.Fprintf(&b, "      <system-out>%s</system-out>\n", xmlText(r.Output))
			}
			b.WriteString("    </testcase>\n")
		}
		b.WriteString("  </testsuite>\n")
		i = j
	}
	b.WriteString("</testsuites>\n")
	return b.String()
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// xmlText escapes a text for XML 1.0. What XML cannot hold, control characters above all, is shown as Printable does.
func xmlText(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == '\n' || r == '\t' || r >= ' ' && r != 0xFFFE && r != 0xFFFF && !(r == utf8.RuneError && n == 1) {
			b.WriteString(s[:n])
		} else {
			b.WriteString(fault.Printable(s[:n]))
		}
		s = s[n:]
	}
	return xmlEscapes.Replace(b.String())
}
