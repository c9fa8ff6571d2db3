package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
)

// sameLines checks that two compressed files hold as many lines: a figure of a conversion that lost rows means nothing.
// A file that is missing belongs to a peer that is not installed.
func sameLines(ours, peer string) error {
	a, err := countLines(ours)
	if err != nil {
		return err
	}
	b, err := countLines(peer)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil && a != b {
		err = fmt.Errorf("dsrun wrote %d rows and its peer %d", a, b)
	}
	return err
}

func countLines(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return 0, err
	}
	r := bufio.NewReader(z)
	for {
		if _, err := r.ReadSlice('\n'); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n++
	}
}
