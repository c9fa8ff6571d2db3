package format

import (
	"bytes"
	"io"
)

// chunkBytes is how much input is looked at at once: the rows of about one batch, small enough for a processor's cache.
const chunkBytes = 256 << 10

// slack is how many bytes behind the input may be read as part of a word.
const slack = 16

// window is the part of an input that is in memory: some whole records and the beginning of the next.
type window struct {
	r        io.Reader
	max      int64 // bytes of a record
	buf      []byte
	pos, end int  // unread input
	eof      bool // nothing is to be read behind end
	closed   bool // the last line end is ours
	err      error
}

// refill moves what is unread to the front and reads until the buffer is full or the input ends.
func (w *window) refill() {
	if w.buf == nil {
		w.buf = make([]byte, chunkBytes+slack)
	}
	if w.eof || w.err != nil {
		return
	}
	room := len(w.buf) - slack
	if w.pos > 0 {
		copy(w.buf, w.buf[w.pos:w.end])
		w.end -= w.pos
		w.pos = 0
	} else if w.end == room {
		grown := make([]byte, min(int64(room)*2, w.max+chunkBytes)+slack)
		copy(grown, w.buf[:w.end])
		w.buf, room = grown, len(grown)-slack
	}
	for idle := 0; w.end < room; {
		n, err := w.r.Read(w.buf[w.end:room])
		w.end += n
		if err == io.EOF {
			w.eof = true
			w.closeLine()
			return
		}
		if err != nil {
			w.err = err
			return
		}
		if n > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			w.err = io.ErrNoProgress
			return
		}
	}
}

// closeLine ends the last line of the input, so that scanning meets complete records only. The slack has room for it.
func (w *window) closeLine() {
	if w.end > 0 && w.buf[w.end-1] != '\n' {
		w.buf[w.end] = '\n'
		w.end++
		w.closed = true
	}
}

func countLines(b []byte) int { return bytes.Count(b, []byte{'\n'}) }

// indexLine finds the first line end.
func indexLine(b []byte) int { return bytes.IndexByte(b, '\n') }

// nextLine returns where the next line is in buf, without its end, and moves behind it.
func (w *window) nextLine() (start, end int, err error) {
	for from := w.pos; ; {
		if i := indexLine(w.buf[from:w.end]); i >= 0 {
			start, end = w.pos, from+i
			w.pos = end + 1
			if int64(end-start) > w.max {
				return 0, 0, errLongLine
			}
			return start, end, nil
		}
		switch {
		case w.eof && w.pos == w.end:
			return 0, 0, io.EOF
		case w.err != nil:
			return 0, 0, w.err
		case int64(w.end-w.pos) > w.max:
			return 0, 0, errLongLine
		}
		seen := w.end - w.pos
		w.refill()
		from = w.pos + seen
	}
}
