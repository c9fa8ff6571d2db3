// Command bench prints what dsrun costs beside peers and floors on this machine, in one run.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	var b bench
	flag.StringVar(&b.dsrun, "dsrun", "bin/dsrun", "the binary to measure")
	flag.StringVar(&b.plain, "plain", "", "the plain interpreter")
	flag.IntVar(&b.entries, "entries", 1_000_000, "files to list and copy")
	only := flag.String("only", "", "run only the part of this name")
	flag.Parse()
	var err error
	if b.dsrun, err = filepath.Abs(b.dsrun); err == nil {
		b.tmp, err = os.MkdirTemp(fastDir(), "dsrun-bench-")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(b.tmp)
	for _, part := range []struct {
		name string
		run  func() error
	}{{"startup", b.startup}, {"loop", b.loop}, {"rows", b.rowLoop}, {"local", b.local}} {
		if *only != "" && *only != part.name {
			continue
		}
		if err := part.run(); err != nil {
			fmt.Printf("%s: FAILED: %v\n", part.name, err)
			defer os.Exit(1)
		}
	}
}

// fastDir prefers memory-backed storage: the figures are to show our cost, not the disk's.
func fastDir() string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return ""
}

type bench struct {
	dsrun, plain, tmp string
	entries           int
	base              figure // of `dsrun version`
}

func (b *bench) startup() error {
	f, err := measure(20, b.dsrun, "version")
	b.base = f
	if err == nil {
		row("start-up: dsrun version", f, "")
	}
	return err
}

const loopScript = `
def step(a, b):
    return {"k": a, "v": b.upper()}

def main():
    n = 0
    for i in range(%d):
        r = step(i, "abc")
        if r["k"] %% 3 == 0:
            n = n + len(r["v"]) * 2
    print(n)
`

// loop compares one script under dsrun's limits with the same under the plain interpreter.
func (b *bench) loop() error {
	const n = 2_000_000
	script := filepath.Join(b.tmp, "loop.star")
	if err := os.WriteFile(script, fmt.Appendf(nil, loopScript, n), 0o600); err != nil {
		return err
	}
	ours, err := measure(3, b.dsrun, "run", script)
	if err != nil {
		return err
	}
	floor, err := measure(3, b.plain, script)
	if err != nil {
		return err
	}
	per := func(f figure) string { return fmt.Sprintf("%.0f ns an iteration", float64(f.cpu.Nanoseconds())/n) }
	row("script loop: dsrun", ours, per(ours)+", "+ratio(ours.cpu, floor.cpu)+" the plain interpreter")
	row("script loop: plain interpreter", floor, per(floor))
	return nil
}

// rowLoop is what a row of a file costs in a script's loop, and in steps that run in Go.
func (b *bench) rowLoop() error {
	const n = 500_000
	var csv strings.Builder
	csv.WriteString("id,name,price,qty\n")
	for i := range n {
		fmt.Fprintf(&csv, "%d,item %d,%d.5,%d\n", i, i%1000, i%97, i%13)
	}
	if err := os.WriteFile(filepath.Join(b.tmp, "rows.csv"), []byte(csv.String()), 0o600); err != nil {
		return err
	}
	conf := fmt.Sprintf("datastore \"local\" \"src\" {\n  path = %q\n}\n", b.tmp)
	scripts := map[string]string{
		"loop over rows":        "def main():\n    n = 0\n    for r in ds.src.read(\"rows.csv\", types = {\"qty\": \"int\"}):\n        n += r.qty\n    print(n)\n",
		"filter and map in Go":  "def main():\n    print(ds.src.read(\"rows.csv\", types = {\"qty\": \"int\"}).filter(lambda r: r.qty > 6).map(lambda r: {\"id\": r.id}).count())\n",
		"group by a column":     "def main():\n    print(ds.src.read(\"rows.csv\", types = {\"qty\": \"int\"}).group(\"name\", n = agg.sum(\"qty\")).count())\n",
		"count rows, no script": "def main():\n    print(ds.src.read(\"rows.csv\").count())\n",
	}
	for _, name := range []string{"count rows, no script", "loop over rows", "filter and map in Go", "group by a column"} {
		path := filepath.Join(b.tmp, "rows.star")
		if err := os.WriteFile(path, []byte(scripts[name]), 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.tmp, "rows.hcl"), []byte(conf), 0o600); err != nil {
			return err
		}
		f, err := measure(3, b.dsrun, "run", path)
		if err != nil {
			return err
		}
		row("500,000 csv rows: "+name, f, fmt.Sprintf("%.0f ns a row", float64((f.cpu-b.base.cpu).Nanoseconds())/n))
	}
	return nil
}

// local lists and copies many small files; the peak memory over that of `dsrun version` must stay flat.
func (b *bench) local() error {
	src, dst := filepath.Join(b.tmp, "src"), filepath.Join(b.tmp, "dst")
	begin := time.Now()
	if err := fill(src, b.entries); err != nil {
		return err
	}
	fmt.Printf("made %d files in %.0f s\n", b.entries, time.Since(begin).Seconds())
	runs := 3
	f, err := measure(runs, b.dsrun, "ls", "-r", src)
	if err != nil {
		return err
	}
	over := func(f figure) string {
		return fmt.Sprintf("%.2f µs an entry; %.1f MiB over base", float64(f.cpu.Nanoseconds())/float64(b.entries)/1000, float64(f.rss-b.base.rss)/(1<<20))
	}
	row(fmt.Sprintf("list %d local files", b.entries), f, over(f))
	if find, err := exec.LookPath("find"); err == nil {
		g, err := measure(runs, "sh", "-c", find+" "+src+" -type f -printf '%P\\n' | LC_ALL=C sort")
		if err == nil {
			row("  find | sort", g, ratio(f.cpu, g.cpu)+" its cpu")
		}
	}
	if err := os.Mkdir(dst, 0o700); err != nil {
		return err
	}
	f, err = measure(0, b.dsrun, "cp", "-r", src+"/", dst+"/")
	if err != nil {
		return err
	}
	row(fmt.Sprintf("copy %d local files", b.entries), f, over(f))
	if cp, err := exec.LookPath("cp"); err == nil {
		g, err := measure(0, cp, "-r", src, filepath.Join(b.tmp, "cp"))
		if err == nil {
			row("  cp -r", g, ratio(f.cpu, g.cpu)+" its cpu (it neither syncs nor renames)")
		}
	}
	return nil
}

// fill makes n files, half of them in one folder and half in folders of a thousand.
func fill(dir string, n int) error {
	one := filepath.Join(dir, "one")
	if err := os.MkdirAll(one, 0o700); err != nil {
		return err
	}
	var folder string
	for i := range n {
		name := filepath.Join(one, fmt.Sprintf("object-%08d", i))
		if i%2 == 1 {
			if i%2000 == 1 {
				folder = filepath.Join(dir, fmt.Sprintf("d%05d", i/2000))
				if err := os.Mkdir(folder, 0o700); err != nil {
					return err
				}
			}
			name = filepath.Join(folder, fmt.Sprintf("object-%08d", i))
		}
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		if i%100 == 0 {
			_, err = f.WriteString("x")
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}
