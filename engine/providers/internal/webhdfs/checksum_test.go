package webhdfs

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// What Hadoop 3.4.1 says of files: their bytes are given, and what GETFILECHECKSUM answered.
func TestChecksum(t *testing.T) {
	for text, want := range map[string]string{"hello world": "288773daccaad45044462c35f836c9b6"} {
		for _, step := range []int{1, 3, 512, 10_000} {
			c := newChecksum(512, blockSize, true)
			for b := []byte(text); len(b) > 0; {
				n := min(step, len(b))
				c.Write(b[:n])
				b = b[n:]
			}
			if got := hex.EncodeToString(c.sum()); got != want {
				t.Errorf("%q: %s, want %s", text, got, want)
			}
		}
	}
	// The sum does not depend on how the bytes come, over blocks too.
	data := bytes.Repeat([]byte("0123456789abcde"), 1000)
	var first []byte
	for _, step := range []int{1, 7, 512, 4096, len(data)} {
		c := newChecksum(512, 4096, true)
		for b := data; len(b) > 0; {
			n := min(step, len(b))
			c.Write(b[:n])
			b = b[n:]
		}
		if sum := c.sum(); first == nil {
			first = sum
		} else if !bytes.Equal(first, sum) {
			t.Errorf("in pieces of %d: %x, want %x", step, sum, first)
		}
	}
}
