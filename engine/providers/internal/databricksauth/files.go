package databricksauth

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// configFile is the path of the configuration file.
func (w *world) configFile(path string) string {
	home := w.getenv("HOME")
	if home == "" {
		home = w.getenv("USERPROFILE")
	}
	if path == "" {
		path = "~/.databrickscfg"
	}
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		return filepath.Join(home, rest)
	}
	return path
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return string(b), err
}
