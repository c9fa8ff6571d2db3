// Command bench prints what dsrun costs beside peers and floors on this machine, in one run. CPU time (user and system)
// is the figure that holds on a busy machine; each part says how it compares with its peer, and a peer that is not
// installed is said to be missing.
//
//	bench [-only startup,list] [-entries N] [-rows N] [-big MIB]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type bench struct {
	dsrun, plain, formats, nulls3, tmp string
	entries, rows, big                 int
	scale                              float64 // of the numbers of objects on S3
	base                               figure  // of `dsrun version`
}

// parts in the order in which they run. Each leaves nothing behind that the next would notice.
var parts = []struct {
	name, what string
	run        func(*bench) error
}{
	{"startup", "dsrun version", (*bench).startup},
	{"loop", "a script's loop beside the plain interpreter", (*bench).loop},
	{"rows", "what a row of a csv file costs a script", (*bench).scriptRows},
	{"convert", "csv to jsonl.gz beside Python", (*bench).convert},
	{"formats", "reading csv and JSON lines beside Python", (*bench).formatsOnly},
	{"list", "listing many files beside find", (*bench).list},
	{"copy", "copying many files beside cp", (*bench).copySmall},
	{"read", "reading a large object beside cat", (*bench).read},
	{"copybig", "copying a large file beside cp", (*bench).copyBig},
	{"s3list", "listing S3 beside peers", (*bench).s3List},
	{"s3sync", "two buckets of S3 that are the same", (*bench).s3Sync},
	{"s3big", "one large object of S3 beside peers", (*bench).s3Big},
	{"s3tls", "one large object of S3 over TLS beside peers", (*bench).s3TLS},
	{"s3small", "many small objects of S3 beside peers", (*bench).s3Small},
	{"parallel", "copying 16 large files at once", (*bench).copyParallel},
}

func main() {
	var b bench
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	flag.StringVar(&b.dsrun, "dsrun", "bin/dsrun", "the binary to measure")
	flag.StringVar(&b.plain, "plain", "", "the plain interpreter")
	flag.StringVar(&b.formats, "formats", "", "the program that measures readers of rows")
	flag.StringVar(&b.nulls3, "nulls3", "", "the null S3 server")
	flag.Float64Var(&b.scale, "scale", 1, "share of the objects on S3 that are listed and moved")
	flag.IntVar(&b.entries, "entries", 1_000_000, "files to list and copy")
	flag.IntVar(&b.rows, "rows", 1_000_000, "rows to read and convert")
	flag.IntVar(&b.big, "big", 2048, "size of the large file in MiB")
	only := flag.String("only", "", "run only these parts: "+strings.Join(names, ","))
	maker := flag.String("make", "", "make test data and end (used by the program itself)")
	flag.Parse()
	if *maker != "" {
		exit(generate(*maker, flag.Args()))
	}
	var wanted []string
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			exit(fmt.Errorf("there is no part %q; there are %s", w, strings.Join(names, ", ")))
		}
	}
	exit(b.run(wanted))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (b *bench) run(wanted []string) (err error) {
	if b.dsrun, err = filepath.Abs(b.dsrun); err != nil {
		return err
	}
	if b.tmp, err = os.MkdirTemp(fastDir(), "dsrun-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tmp)
	for name, v := range map[string]string{"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"RCLONE_CONFIG": os.DevNull, "XDG_STATE_HOME": filepath.Join(b.tmp, "state")} {
		if err := os.Setenv(name, v); err != nil {
			return err
		}
	}
	if b.base, err = measure(20, b.dsrun, "version"); err != nil { // taken off the figures of all parts
		return err
	}
	failed := 0
	for _, p := range parts {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) {
			continue
		}
		fmt.Printf("%s: %s\n", p.name, p.what)
		if err := p.run(b); err != nil {
			fmt.Printf("  FAIL %v\n", err)
			failed++
		}
	}
	if err := checkOwn(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d parts failed", failed)
	}
	return nil
}

// fastDir prefers memory-backed storage: the figures are to show our cost, not the disk's.
func fastDir() string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// maxOwn is the memory that this program may have had at its peak for its children's figures to be their own.
const maxOwn = 16 << 20

func checkOwn() error {
	if own := ownPeak(); own > maxOwn {
		return fmt.Errorf("peak memory below %.0f MiB cannot be told from this program's own", mib(own))
	}
	return nil
}

func (b *bench) startup() error {
	row("dsrun version", b.base, "")
	return nil
}
