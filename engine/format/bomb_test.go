//go:build linux && !race

// Linux tells the peak memory of a process in KiB; other systems tell it in other units or not at all. The race detector
// takes many times as much.

package format

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// repeat reads the head once and then the same text again and again, n bytes in all.
type repeat struct {
	head, text string
	n          int64
	at         int // in text
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.head != "" {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	n := int(min(int64(len(p)), r.n))
	if n == 0 {
		return 0, io.EOF
	}
	for i := 0; i < n; {
		k := copy(p[i:n], r.text[r.at:])
		i += k
		r.at = (r.at + k) % len(r.text)
	}
	r.n -= int64(n)
	return n, nil
}

// packed compresses r on the fly.
func packed(r io.Reader, c Compression) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		z, err := Compress(pw, c)
		if err == nil {
			if _, err = io.Copy(z, r); err == nil {
				err = z.Close()
			}
		}
		pw.CloseWithError(err)
	}()
	return pr
}

// bombs are inputs that cost a stranger little to make. Each must end with limit, in bounded memory.
func bombs() map[string]func() (string, io.Reader) {
	const gib = 1 << 30
	return map[string]func() (string, io.Reader){
		"gzip of zeros":          func() (string, io.Reader) { return "lines", packed(&repeat{text: "0\n", n: gib}, Gzip) },
		"zstd of zeros":          func() (string, io.Reader) { return "lines", packed(&repeat{text: "0\n", n: gib}, Zstd) },
		"gzip of one line":       func() (string, io.Reader) { return "lines", packed(&repeat{text: "\x00", n: gib}, Gzip) },
		"commas in the header":   func() (string, io.Reader) { return "csv", &repeat{text: ",", n: 256 << 20} },
		"commas in a record":     func() (string, io.Reader) { return "csv", &repeat{head: "a,b\n", text: ",", n: 256 << 20} },
		"open quote":             func() (string, io.Reader) { return "csv", &repeat{head: "a,b\n\"", text: "x\n", n: gib} },
		"doubled quotes":         func() (string, io.Reader) { return "csv", &repeat{head: "a,b\n\"", text: "\"\"", n: gib} },
		"open quote in a header": func() (string, io.Reader) { return "csv", &repeat{head: "\"", text: "x,", n: gib} },
		"text behind a quote":    func() (string, io.Reader) { return "csv", &repeat{head: "a,b\n\"x\"", text: "yy", n: gib} },
		"string in JSON":         func() (string, io.Reader) { return "jsonl", &repeat{head: "{\"a\":\"", text: "x", n: gib} },
		"brackets in JSON":       func() (string, io.Reader) { return "jsonl", &repeat{head: "{\"a\":", text: "[", n: gib} },
		"short lists in JSON":    func() (string, io.Reader) { return "jsonl", &repeat{head: "{\"a\":[[]", text: ",[]", n: 12 << 20} },
		"one line":               func() (string, io.Reader) { return "lines", &repeat{text: "x", n: gib} },
	}
}

// TestBombs reads each bomb in a process of its own, whose peak memory the system tells.
func TestBombs(t *testing.T) {
	if name := os.Getenv("DSRUN_BOMB"); name != "" {
		format, body := bombs()[name]()
		src, err := Open(context.Background(), format, Input{Name: "bomb", Body: body}, ReadOptions{OnBad: func(*BadRow) error { return nil }})
		for err == nil {
			_, err = src.Next(context.Background())
		}
		fmt.Printf("code=%s err=%.300v\n", fault.CodeOf(err), err)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name := range bombs() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(exe, "-test.run=^TestBombs$", "-test.v")
			cmd.Env = append(os.Environ(), "DSRUN_BOMB="+name)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "code=limit ") {
				t.Fatalf("%v: %s", err, out)
			}
			usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			if !ok {
				t.Fatal("the system does not tell the peak memory")
			}
			mib := usage.Maxrss >> 10
			t.Logf("%d MiB: %s", mib, strings.TrimSpace(string(out)))
			const base = 16 // of a test process that does nothing
			if most := int64(base) + DefaultLimits().RecordBytes>>20 + 64; mib > most {
				t.Errorf("peak memory is %d MiB, more than %d", mib, most)
			}
		})
	}
}
