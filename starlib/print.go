package starlib

import (
	"io"
	"strings"
	"sync"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// printer is where print() goes. Lines of parallel threads do not mix.
type printer struct {
	mu  sync.Mutex
	w   io.Writer
	tty bool
}

// print implements Thread.Print: one write a call. A failed write (a closed pipe) fails the script.
func (p *printer) print(thread *starlark.Thread, msg string) {
	if p.w == nil {
		return
	}
	if p.tty {
		msg = escapeLines(msg)
	}
	p.mu.Lock()
	_, err := io.WriteString(p.w, msg+"\n")
	p.mu.Unlock()
	if err != nil {
		if r := runOf(thread); r != nil {
			r.Fail(&fault.Error{Op: "print", Class: fault.ClassOf(err), Err: err})
		}
	}
}

// escapeLines escapes what could drive a terminal; line ends and tabs stay.
func escapeLines(s string) string {
	if fault.Printable(s) == s {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		cells := strings.Split(l, "\t")
		for j, c := range cells {
			cells[j] = fault.Printable(c)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}
