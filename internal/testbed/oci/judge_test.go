package oci

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
)

// Oracle's Python client and the fake agree.
func TestJudge(t *testing.T) {
	python := testbed.Program(t, "judge-oci")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	user, fingerprint := "ocid1.user.oc1..judge", "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
	s.Allow(s.Tenancy+"/"+user+"/"+fingerprint, &key.PublicKey)
	if err := s.Instance(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "judge.py", server.URL, file, s.Tenancy, user, fingerprint)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONWARNINGS=ignore"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok ") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// What is not signed, signed for another time or another body is refused.
func TestUnsigned(t *testing.T) {
	server := httptest.NewServer(New())
	defer server.Close()
	for _, auth := range []string{"", "Bearer x", `Signature version="1",keyId="x",algorithm="rsa-sha256",headers="date (request-target) host",signature="AA=="`, `Signature version="1",keyId="x",algorithm="hmac-sha256",headers="date",signature=""`} {
		req, _ := http.NewRequest("GET", server.URL+"/n", nil)
		req.Header.Set("Authorization", auth)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 401 || !strings.Contains(string(b), "NotAuthenticated") {
			t.Errorf("%q: %s %s", auth, resp.Status, b)
		}
	}
}
