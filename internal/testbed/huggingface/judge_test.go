package huggingface_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/huggingface"
)

// serve starts a hub and its other host.
func serve(t *testing.T) (*huggingface.Server, string) {
	t.Helper()
	s := huggingface.New()
	hub, other := httptest.NewServer(s), httptest.NewServer(s.Storage())
	t.Cleanup(hub.Close)
	t.Cleanup(other.Close)
	s.At(other.URL)
	return s, hub.URL
}

// The hub's Python client and the stand-in agree.
func TestJudge(t *testing.T) {
	python := testbed.Program(t, "judge-huggingface")
	s, endpoint := serve(t)
	s.Large, s.PageSize = 4000, 40
	s.Commit("datasets/org/data", "main", map[string][]byte{"README.md": []byte("first")})
	for i := range 50 {
		s.Commit("datasets/org/data", "main", map[string][]byte{fmt.Sprintf("many/%02d", i%25): []byte{byte(i)}})
	}
	s.Commit("datasets/org/data", "refs/pr/1", map[string][]byte{"README.md": []byte("proposed")})
	s.Commit("datasets/org/data", "main", map[string][]byte{"README.md": []byte("second"), "sub/b c/ü+%41.txt": []byte("odd"),
		"big.bin": bytes.Repeat([]byte("2"), 5000), "xet.bin": bytes.Repeat([]byte("3"), 5000)})
	s.Commit("models/org/first", "main", map[string][]byte{"config.json": []byte("{}")})
	s.Move("models/org/first", "models/org/model")
	s.Commit("models/org/was", "main", map[string][]byte{"config.json": []byte("{}")})
	s.Move("models/org/was", "models/org/now")
	s.Commit("spaces/org/app", "main", map[string][]byte{"app.py": []byte("print()")})
	s.Commit("datasets/org/private", "main", map[string][]byte{"x": []byte("private"), "large": make([]byte, 5000)})
	s.Restrict("datasets/org/private", true, false)
	s.Commit("datasets/org/gated", "main", map[string][]byte{"x": []byte("gated")})
	s.Restrict("datasets/org/gated", false, true)
	s.Allow("hf_judge", "datasets/org/private", "datasets/org/gated")
	s.Allow("hf_other")
	cmd := exec.CommandContext(t.Context(), python, "judge.py", endpoint, "hf_judge")
	// Xet is a protocol of its own, with a client of its own.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HF_HOME=" + t.TempDir(), "HF_ENDPOINT=" + endpoint, "HF_HUB_DISABLE_XET=1", "HF_HUB_DISABLE_TELEMETRY=1",
		"HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_UPDATE_CHECK=1", "NO_PROXY=*"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok ") {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := s.Leaks.Load(); n != 0 {
		t.Errorf("the client sent its token to the other host %d times", n)
	}
	t.Logf("%s", out)
}

// The other host takes signed addresses only, for as long as they are good, and no token.
func TestStorage(t *testing.T) {
	s, endpoint := serve(t)
	s.Large = 10
	s.Commit("models/org/m", "main", map[string][]byte{"large": []byte("0123456789")})
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(url, token string) (int, string, http.Header) {
		t.Helper()
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), resp.Header
	}
	status, _, h := get(endpoint+"/org/m/resolve/main/large", "")
	at := h.Get("Location")
	if status != 302 {
		t.Fatalf("status %d", status)
	}
	if status, body, _ := get(at, ""); status != 200 || body != "0123456789" {
		t.Errorf("status %d, %q", status, body)
	}
	if status, _, _ := get(at, "Bearer hf_x"); status != 400 || s.Leaks.Load() != 1 {
		t.Errorf("with a token: status %d, %d leaks", status, s.Leaks.Load())
	}
	if status, _, _ := get(at+"0", ""); status != 403 {
		t.Errorf("with another signature: status %d", status)
	}
	s.Travel(2 * time.Hour)
	if status, _, _ := get(at, ""); status != 403 {
		t.Errorf("after its end: status %d", status)
	}
	if status, _, _ := get(endpoint+"/api/models/org/m", "Bearer hf_x"); status != 401 {
		t.Errorf("with an unknown token: status %d", status)
	}
}
