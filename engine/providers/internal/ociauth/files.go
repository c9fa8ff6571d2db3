package ociauth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// readFile reads a small file of configuration, a key or a token.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", unreadable(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return "", unreadable(err)
	}
	return string(b), nil
}

func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Hinted(fault.Unauthenticated, "Correct the path, or make the file with `oci setup config`.", "%w", err)
	}
	return fault.Hinted(fault.Unauthenticated, "Make the file readable to the user that dsrun runs as.", "%w", err)
}

// expand replaces "~" at the start of a path, as Oracle's tools do.
func (w *world) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/' || rest[0] == '\\') {
		return filepath.Join(w.home(), rest)
	}
	return path
}

func (w *world) home() string {
	if h := w.getenv("HOME"); h != "" {
		return h
	}
	return w.getenv("USERPROFILE")
}

// short names a file below the home folder as a person does.
func (w *world) short(file string) string {
	if rest, ok := strings.CutPrefix(file, w.home()+string(filepath.Separator)); ok && w.home() != "" {
		return "~/" + filepath.ToSlash(rest)
	}
	return file
}

// CheckURL checks an attribute that holds the URL of a service.
func CheckURL(name, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, " \t") {
		return fmt.Errorf("%q must be a URL such as \"https://service.example.com\", without user, query or fragment.", name)
	}
	return nil
}
