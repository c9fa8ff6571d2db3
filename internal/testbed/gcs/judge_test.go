package gcs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
)

// Google's Python client and the front agree.
func TestJudge(t *testing.T) {
	python := testbed.Program(t, "judge-gcs")
	f, err := New(testbed.FakeGCS(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const email, token = "judge@example.iam.gserviceaccount.com", "ya29.judge"
	f.Allow(token)
	f.Signer(email, &key.PublicKey)
	s := httptest.NewServer(f)
	defer s.Close()
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "judge.py", s.URL, token, "judged", email, file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONWARNINGS=ignore", "NO_GCE_CHECK=true"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok ") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	if n := f.Uploads(); n > 1 { // the one that was too small may be left by the client
		t.Errorf("%d uploads are left", n)
	}
}
