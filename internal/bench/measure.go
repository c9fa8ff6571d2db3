package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// figure is what one run of a command cost, from the kernel's own accounting.
type figure struct {
	cpu, wall time.Duration
	rss       int64 // bytes, peak
}

// measure runs the command n times after one warm-up, or once when n is 0, and returns the median of each figure. What
// it prints is thrown away, and its last words are part of the error when it fails.
//
// Between fork and exec a child has its parent's memory, and the kernel counts that in the child's peak. This program
// must therefore stay small: test data is made by a process of its own.
func measure(n int, name string, args ...string) (figure, error) {
	return measureIn(nil, n, name, args...)
}

// measureIn calls before ahead of each run.
func measureIn(before func() error, n int, name string, args ...string) (figure, error) {
	var all []figure
	for i := 0; i <= n; i++ {
		if before != nil {
			if err := before(); err != nil {
				return figure{}, err
			}
		}
		cmd := exec.Command(name, args...)
		var words lastWords
		cmd.Stderr = &words
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			return figure{}, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, words.String())
		}
		wall := time.Since(begin)
		if i > 0 || n == 0 {
			all = append(all, figure{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), wall, peak(cmd.ProcessState)})
		}
	}
	return figure{
		median(all, func(f figure) time.Duration { return f.cpu }),
		median(all, func(f figure) time.Duration { return f.wall }),
		int64(median(all, func(f figure) time.Duration { return time.Duration(f.rss) })),
	}, nil
}

// peak is the most memory that a process had at once, in bytes; Linux counts it in KiB.
func peak(p *os.ProcessState) int64 {
	if u, ok := p.SysUsage().(*syscall.Rusage); ok {
		return int64(u.Maxrss) << 10
	}
	return 0
}

// ownPeak is the most memory that this program has had at once, in bytes.
func ownPeak() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return int64(u.Maxrss) << 10
}

// lastWords keeps the end of what is written to it.
type lastWords struct{ buf bytes.Buffer }

func (w *lastWords) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if over := w.buf.Len() - 2000; over > 0 {
		w.buf.Next(over)
	}
	return len(p), nil
}

func (w *lastWords) String() string { return strings.TrimSpace(w.buf.String()) }

func median(all []figure, of func(figure) time.Duration) time.Duration {
	v := make([]time.Duration, len(all))
	for i, f := range all {
		v[i] = of(f)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// row prints one line of the table. A peak that may be this program's own is printed as a bound.
func row(what string, f figure, note string) {
	rss := fmt.Sprintf("%.1f", mib(f.rss))
	if f.rss <= ownPeak() {
		rss = "<" + rss
	}
	fmt.Printf("  %-44s cpu %8.3f s  wall %8.3f s  rss %6s MiB  %s\n", what, f.cpu.Seconds(), f.wall.Seconds(), rss, note)
}

// missing says why there is no comparison.
func missing(peer string) { fmt.Printf("  %-44s no comparison: it is not installed\n", peer) }

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// over is the peak over that of `dsrun version`.
func (b *bench) over(f figure) string {
	return fmt.Sprintf("%+.1f MiB over base", mib(f.rss-b.base.rss))
}

// per is the CPU time over that of `dsrun version`, divided by n.
func (b *bench) per(f figure, n int, of string) string {
	d := float64((f.cpu - b.base.cpu).Nanoseconds()) / float64(n)
	if d >= 1000 {
		return fmt.Sprintf("%.2f µs %s", d/1000, of)
	}
	return fmt.Sprintf("%.0f ns %s", d, of)
}

// times is our CPU time beside a peer's, start-up and all.
func times(ours, peer figure) string {
	if peer.cpu <= 0 {
		return "dsrun takes - of its cpu"
	}
	return fmt.Sprintf("dsrun takes %.2fx its cpu", float64(ours.cpu)/float64(peer.cpu))
}
