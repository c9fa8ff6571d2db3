package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/dsrun/dsrun/engine/store"
)

// cpu returns the processor time of this process so far, in seconds, and its peak of resident memory in MiB.
func cpu() (seconds, rss float64) {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6, float64(u.Maxrss) / 1024
}

// BenchmarkList lists one folder of many files.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			for i := range n {
				f, err := os.Create(filepath.Join(dir, fmt.Sprintf("file-%08d.csv", i)))
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
			d := open(b, dir)
			before, base := cpu()
			b.ResetTimer()
			for b.Loop() {
				got := 0
				for q := (store.Query{}); ; {
					p, err := d.List(b.Context(), q)
					if err != nil {
						b.Fatal(err)
					}
					got += len(p.Entries)
					if q.Token = p.Next; q.Token == "" {
						break
					}
				}
				if got != n {
					b.Fatal(got)
				}
			}
			after, rss := cpu()
			b.ReportMetric((after-before)/float64(b.N)/float64(n)*1e9, "cpu-ns/file")
			b.ReportMetric(rss-base, "rss-MiB")
		})
	}
}

// BenchmarkPut writes small files, each durable when its Put returns, one after another and 16 at once.
func BenchmarkPut(b *testing.B) {
	content := text(strings.Repeat("x", 1000))
	for _, workers := range []int{1, 16} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			d := open(b, b.TempDir())
			before, _ := cpu()
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range workers {
				wg.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						if _, err := d.Put(b.Context(), fmt.Sprintf("dir/%d", i), content, store.PutOptions{}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			after, _ := cpu()
			b.ReportMetric((after-before)/float64(b.N)*1e6, "cpu-us/file")
		})
	}
}
