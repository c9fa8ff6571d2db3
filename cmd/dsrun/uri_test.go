package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed/huggingface"
)

// TestHubByURI lists, reads and copies from a private repository by its URIs, with the token of the environment.
func TestHubByURI(t *testing.T) {
	hub := huggingface.New()
	s, other := httptest.NewServer(hub), httptest.NewServer(hub.Storage())
	defer s.Close()
	defer other.Close()
	hub.At(other.URL)
	hub.Large = 1000
	big := strings.Repeat("0123456789", 1000)
	hub.Commit("datasets/org/d", "main", map[string][]byte{"README.md": []byte("# d\n"), "data/a.csv": []byte("n\n1\n"), "data/big.bin": []byte(big)})
	hub.Restrict("datasets/org/d", true, false)
	hub.Allow("hf_ofTheTest", "datasets/org/d")
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", "datastore \"huggingface\" \"hub\" {\n  repo = \"org/d\"\n}\n\ndatastore \"local\" \"out\" {\n  path   = \"out\"\n  create = true\n}\n")
	token := "hf_ofTheTest"
	dsrun := func(args ...string) (string, string, int) {
		w := testWorld(dir, args)
		w.LookupEnv = func(name string) (string, bool) {
			v, ok := map[string]string{"HF_TOKEN": token, "HF_ENDPOINT": s.URL}[name]
			return v, ok
		}
		var out, errs bytes.Buffer
		w.Stdout, w.Stderr = &out, &errs
		code := Main(w)
		if strings.Contains(out.String()+errs.String(), "hf_ofTheTest") {
			t.Errorf("dsrun %q shows the token", args)
		}
		return out.String(), errs.String(), code
	}
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"ls", "hf://datasets/org/d/"}, "data/\nREADME.md\n"},
		{[]string{"ls", "-r", "hf://datasets/org/d"}, "README.md\ndata/a.csv\ndata/big.bin\n"},
		{[]string{"cat", "hf://datasets/org/d/data/a.csv"}, "n\n1\n"},
		{[]string{"cp", "hf://datasets/org/d/data/big.bin", "out:"}, ""},
		{[]string{"sync", "hf://datasets/org/d/data/", "out:all"}, ""},
	} {
		if out, errs, code := dsrun(x.args...); code != 0 || out != x.want {
			t.Errorf("dsrun %q: exit code %d, %q, want %q\n%s", x.args, code, out, x.want, errs)
		}
	}
	for _, name := range []string{"out/big.bin", "out/all/big.bin"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != big {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if n := hub.Leaks.Load(); n != 0 {
		t.Errorf("the token was sent to the other host %d times", n)
	}
	for _, args := range [][]string{{"rm", "hf://datasets/org/d/README.md"}, {"cp", "./dsrun.hcl", "hub:x"}} {
		if _, errs, code := dsrun(args...); code != 4 || !strings.Contains(errs, "permission_denied") && !strings.Contains(errs, "changes as commits only") {
			t.Errorf("dsrun %q: exit code %d\n%s", args, code, errs)
		}
	}
	token = "hf_unknown"
	if _, errs, code := dsrun("ls", "hub:"); code != 4 || !strings.Contains(errs, fmt.Sprintf("%s/settings/tokens", s.URL)) {
		t.Errorf("an unknown token: exit code %d\n%s", code, errs)
	}
}
