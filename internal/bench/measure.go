package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// figure is what one run of a command cost, from the kernel's own accounting.
type figure struct {
	cpu, wall time.Duration
	rss       int64 // bytes, peak
}

// measure runs the command n times after one warm-up and returns the median of each figure. Its output is thrown away.
func measure(n int, name string, args ...string) (figure, error) {
	var all []figure
	for i := 0; i <= n; i++ {
		cmd := exec.Command(name, args...)
		cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			return figure{}, fmt.Errorf("%s: %w", name, err)
		}
		wall := time.Since(begin)
		ru := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if i > 0 || n == 0 {
			all = append(all, figure{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), wall, ru.Maxrss << 10})
		}
	}
	return figure{
		median(all, func(f figure) time.Duration { return f.cpu }),
		median(all, func(f figure) time.Duration { return f.wall }),
		int64(median(all, func(f figure) time.Duration { return time.Duration(f.rss) })),
	}, nil
}

func median(all []figure, of func(figure) time.Duration) time.Duration {
	v := make([]time.Duration, len(all))
	for i, f := range all {
		v[i] = of(f)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func row(what string, f figure, note string) {
	fmt.Printf("%-46s cpu %8.3f s  wall %8.3f s  rss %6.1f MiB  %s\n", what, f.cpu.Seconds(), f.wall.Seconds(), float64(f.rss)/(1<<20), note)
}

func ratio(a, b time.Duration) string {
	if b <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", float64(a)/float64(b))
}
