package gcpauth

import (
	"io"
	"os"
)

// readFile reads a small file whose path the block or the environment gives.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(b), err
}
