package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// makeData makes test data in a process of its own: see measure.
func makeData(kind, path string, n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := exec.Command(self, "-make", kind, path, strconv.Itoa(n)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("making %s: %w: %s", path, err, out)
	}
	return nil
}

func generate(kind string, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("-make takes a path and a number")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	switch kind {
	case "files":
		return fill(args[0], n)
	case "small":
		return small(args[0], n)
	case "csv":
		return write(args[0], func(w *bufio.Writer) error { return csvRows(w, n) })
	case "events":
		return write(args[0], func(w *bufio.Writer) error { return eventRows(w, n) })
	case "bytes":
		return write(args[0], func(w *bufio.Writer) error {
			_, err := io.CopyN(w, rand.Reader, int64(n)<<20)
			return err
		})
	}
	return fmt.Errorf("there is no test data of kind %q", kind)
}

func write(path string, fn func(*bufio.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if err = fn(w); err == nil {
		err = w.Flush()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func csvRows(w *bufio.Writer, n int) error {
	w.WriteString("id,name,price,qty\n")
	for i := range n {
		if _, err := fmt.Fprintf(w, "%d,item %d,%d.5,%d\n", i, i%1000, i%97, i%13); err != nil {
			return err
		}
	}
	return nil
}

// eventRows writes the data of n events, one JSON object a line.
func eventRows(w *bufio.Writer, n int) error {
	for i := range n {
		if _, err := fmt.Fprintf(w, "{\"row\":%d,\"name\":\"item %d\",\"price\":%d.5,\"checks\":[\"range\",\"type\"],\"ok\":%t}\n", i, i%1000, i%97, i%7 != 0); err != nil {
			return err
		}
	}
	return nil
}

// fill makes n files, half of them in one folder and half in folders of a thousand; one of a hundred holds a byte.
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
		var content []byte
		if i%100 == 0 {
			content = []byte("x")
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// small makes a folder of n files of 16 KiB.
func small(dir string, n int) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	content := make([]byte, 16<<10)
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("key-%010d", i)), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
