package hfauth

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// tokenFile is where the hub's tools keep the token: "" when there is no home folder.
func tokenFile(getenv func(string) string) string {
	home := getenv("HOME")
	if home == "" {
		home = getenv("USERPROFILE")
	}
	expand := func(path string) string {
		if rest, ok := strings.CutPrefix(path, "~"); ok {
			return filepath.Join(home, rest)
		}
		return path
	}
	if path := getenv("HF_TOKEN_PATH"); path != "" {
		return expand(path)
	}
	if dir := getenv("HF_HOME"); dir != "" {
		return filepath.Join(expand(dir), "token")
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(expand(dir), "huggingface", "token")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".cache", "huggingface", "token")
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(b), err
}
