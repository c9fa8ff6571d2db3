// Command rows measures how fast csv and JSON lines are read, beside Python's csv and json modules: the same file, the
// same run, each reader in a process of its own that does nothing but count the rows. Times are CPU seconds (user and
// system), which hold on a busy machine; every figure is the median of three runs in turn. What a process costs that reads
// nothing is taken off all figures: it would flatter whoever starts faster.
//
//	go run ./internal/bench/rows [-rows N] [-file FILE.csv]
package main

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/format"
	"github.com/dsrun/dsrun/engine/rows"
)

func main() {
	n := flag.Int("rows", 400000, "rows of the generated files")
	file := flag.String("file", "", "a csv file to read instead of a generated one")
	child := flag.String("child", "", "read this file and count its rows (used by the program itself)")
	types := flag.Bool("types", false, "with -child: read the generated csv's columns as their types")
	flag.Parse()
	var err error
	if *child == "-" {
		fmt.Println(0)
	} else if *child != "" {
		err = read(*child, *types)
	} else {
		err = bench(*n, *file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// read is the child: it reads all cells of a file.
func read(path string, typed bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	o := format.ReadOptions{}
	if typed {
		o.Types = map[string]rows.Type{"id": rows.Int, "amount": rows.Float, "created": rows.Time, "active": rows.Bool, "count": rows.Int}
	}
	src, err := format.Open(context.Background(), "auto", format.Input{Name: path, Size: -1, Body: f}, o)
	if err != nil {
		return err
	}
	n := 0
	err = rows.Each(context.Background(), src, func(b *rows.Batch) error { n += b.N; return nil })
	fmt.Println(n)
	return err
}

// The peers. Each reads every cell and counts.
const (
	pyReader = `import csv,sys
n=-1
with open(sys.argv[1],newline="",encoding="utf-8") as f:
    for r in csv.reader(f): n+=1
print(n)`
	pyDict = `import csv,sys
n=0
with open(sys.argv[1],newline="",encoding="utf-8") as f:
    for r in csv.DictReader(f): n+=1
print(n)`
	pyJSON = `import json,sys
n=0
with open(sys.argv[1],encoding="utf-8") as f:
    for l in f:
        json.loads(l); n+=1
print(n)`
	pyNothing = `print(0)`
)

type contender struct {
	name string
	cmd  func(path string) *exec.Cmd
}

type figure struct {
	cpu  float64 // seconds
	rss  int64   // bytes
	rows int
}

func bench(n int, file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "rows")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	csvFile, jsonFile := filepath.Join(dir, "a.csv"), filepath.Join(dir, "a.jsonl")
	if err := generate(csvFile, writeCSV, n); err != nil {
		return err
	}
	if err := generate(jsonFile, writeJSON, n); err != nil {
		return err
	}
	own := func(name string, args ...string) contender {
		return contender{name, func(path string) *exec.Cmd { return exec.Command(self, append(args, "-child", path)...) }}
	}
	python, pyErr := exec.LookPath("python3")
	py := func(name, code string) contender {
		return contender{name, func(path string) *exec.Cmd { return exec.Command(python, "-c", code, path) }}
	}
	for _, t := range []struct {
		what, path string
		own        []contender
		peers      []contender
	}{
		{"csv", csvFile, []contender{own("dsrun"), own("dsrun typed", "-types")}, []contender{py("csv.reader", pyReader), py("csv.DictReader", pyDict)}},
		{"csv file", file, []contender{own("dsrun")}, []contender{py("csv.reader", pyReader), py("csv.DictReader", pyDict)}},
		{"jsonl", jsonFile, []contender{own("dsrun")}, []contender{py("json.loads", pyJSON)}},
	} {
		if t.path == "" {
			continue
		}
		all := append([]contender{{"", func(string) *exec.Cmd { return exec.Command(self, "-child", "-") }}}, t.own...)
		if pyErr == nil {
			all = append(append(all, py("", pyNothing)), t.peers...)
		}
		figures, err := measure(all, t.path)
		if err != nil {
			return err
		}
		report(t.what, t.path, all, figures)
		if pyErr != nil {
			fmt.Printf("%s: no comparison: python3 is not installed\n", t.what)
		}
	}
	return nil
}

// measure runs each contender three times in turn and returns the medians.
func measure(all []contender, path string) ([]figure, error) {
	runs := make([][]figure, len(all))
	for range 3 {
		for i, c := range all {
			cmd := c.cmd(path)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			n, err := strconv.Atoi(strings.TrimSpace(string(out)))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			f := figure{cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), rows: n}
			f.rss = peak(cmd.ProcessState)
			runs[i] = append(runs[i], f)
		}
	}
	out := make([]figure, len(all))
	for i, r := range runs {
		slices.SortFunc(r, func(a, b figure) int { return cmp.Compare(a.cpu, b.cpu) })
		out[i] = r[1]
	}
	return out, nil
}

func report(what, path string, all []contender, figures []figure) {
	info, err := os.Stat(path)
	if err != nil {
		return
	}
	mb := float64(info.Size()) / 1e6
	own := figures[1] // behind the start-up of dsrun
	own.cpu -= figures[0].cpu
	fmt.Printf("%s: %d rows, %.1f MB\n", what, own.rows, mb)
	start := 0.0
	for i, c := range all {
		f := figures[i]
		if c.name == "" {
			start = f.cpu
			continue
		}
		f.cpu -= start
		fmt.Printf("  %-15s %7.3f CPU s (start-up %.3f off) %9.0f rows/s %7.1f MB/s %4d MiB peak", c.name, f.cpu, start, float64(f.rows)/f.cpu, mb/f.cpu, f.rss>>20)
		if i > 1 {
			fmt.Printf("  ratio %.2f", f.cpu/own.cpu)
		}
		if f.rows != own.rows {
			fmt.Printf("  but %d rows", f.rows)
		}
		fmt.Println()
	}
}

func generate(path string, write func(w *bufio.Writer, rng *rand.Rand, i int), n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if strings.HasSuffix(path, ".csv") {
		io.WriteString(w, "id,name,city,amount,created,active,count,category,comment,code\n")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		write(w, rng, i)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

var words = strings.Fields("alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec romeo")

func word(rng *rand.Rand) string { return words[rng.IntN(len(words))] }

func writeCSV(w *bufio.Writer, rng *rand.Rand, i int) {
	comment := word(rng) + " " + word(rng) + " " + word(rng)
	switch rng.IntN(10) {
	case 0:
		comment = `"` + word(rng) + ", " + comment + `"`
	case 1:
		comment = `"said ""` + word(rng) + `"" twice"`
	case 2:
		comment = ""
	}
	fmt.Fprintf(w, "%d,%s %s,%s,%.2f,2026-%02d-%02dT%02d:00:00Z,%v,%d,%s,%s,X%05d\n", i, word(rng), word(rng), word(rng), rng.Float64()*1000,
		1+rng.IntN(12), 1+rng.IntN(28), rng.IntN(24), rng.IntN(2) == 0, rng.IntN(100), word(rng), comment, rng.IntN(100000))
}

func writeJSON(w *bufio.Writer, rng *rand.Rand, i int) {
	comment := word(rng) + " " + word(rng) + " " + word(rng)
	if rng.IntN(10) == 0 {
		comment = `said \"` + word(rng) + `\" twice, caf\u00e9`
	}
	fmt.Fprintf(w, `{"id": %d, "name": "%s %s", "city": "%s", "amount": %.2f, "created": "2026-%02d-%02dT%02d:00:00Z", "active": %v, "count": %d, "tag": null, "comment": "%s"`,
		i, word(rng), word(rng), word(rng), rng.Float64()*1000, 1+rng.IntN(12), 1+rng.IntN(28), rng.IntN(24), rng.IntN(2) == 0, rng.IntN(100), comment)
	if rng.IntN(4) == 0 {
		fmt.Fprintf(w, `, "geo": {"lat": %.4f, "lon": %.4f}`, rng.Float64()*90, rng.Float64()*180)
	}
	w.WriteString("}\n")
}
