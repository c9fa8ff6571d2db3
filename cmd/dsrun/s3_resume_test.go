package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
)

// s3Behind makes a bucket on a real S3 server and holds up the parts that are sent to it.
func s3Behind(t *testing.T, s3 *testbed.AWS, bucket string) (*web, string) {
	t.Helper()
	target, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	// The host that was signed stays in the request, whatever the address that it came to.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }, ErrorLog: log.New(io.Discard, "", 0)}
	w := holdParts(t, proxy, func(r *http.Request) string {
		q := r.URL.Query()
		if r.Method != "PUT" || q.Get("partNumber") == "" {
			return ""
		}
		return q.Get("uploadId") + " " + q.Get("partNumber")
	})
	conf := fmt.Sprintf(`
credential "aws" "gateway" {
  method            = "static"
  access_key_id     = %q
  secret_access_key = env("TEST_S3_SECRET")
}
datastore "s3" "out" {
  bucket               = %q
  region               = %q
  endpoint             = %q
  credential           = credential.aws.gateway
  create_if_not_exists = true
}
`, s3.AccessKeyID, bucket, s3.Region, w.URL)
	t.Setenv("TEST_S3_SECRET", s3.SecretAccessKey)
	// What is on the server is seen in its folder, not through the code under test.
	w.uploads = func(t *testing.T) int {
		t.Helper()
		found, err := filepath.Glob(s3.Path(filepath.Join("data", bucket, ".sgwtmp", "multipart", "*", "*")))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	w.sum = func(t *testing.T, key string) [32]byte {
		t.Helper()
		f, err := os.Open(s3.Path(filepath.Join("data", bucket, filepath.FromSlash(key))))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
	return w, conf
}

// A copy to S3 that is killed at any part goes on with the parts that the service lists.
func TestKilledCopyResumesOnS3(t *testing.T) {
	s3, n := testbed.VersityGW(t), 0
	killedCopies(t, testbed.Scale(4, 200), func() (*web, string) {
		n++
		return s3Behind(t, s3, fmt.Sprintf("killed-%d", n))
	})
}

// Ctrl-C in the middle of an upload to S3 leaves nothing on the service; what kill -9 leaves is listed and can be ended.
func TestInterruptedCopyToS3(t *testing.T) {
	w, conf := s3Behind(t, testbed.VersityGW(t), "interrupted")
	dir, sum, _ := bigSourceTo(t, conf)
	if code, text := killAt(t, w, dir, 2, syscall.SIGINT, "cp", "src:big.bin", "out:big.bin"); code != 130 || w.uploads(t) != 0 {
		t.Errorf("SIGINT: exit code %d, %d uploads left: %s", code, w.uploads(t), text)
	}
	killAt(t, w, dir, 2, syscall.SIGKILL, "cp", "src:big.bin", "out:big.bin")
	if n := w.uploads(t); n != 1 {
		t.Fatalf("%d uploads after a kill", n)
	}
	if out := finish(t, w, dir, "uploads", "ls", "out:"); strings.Count(out, "\n") != 1 || !strings.Contains(out, "out:big.bin") {
		t.Errorf("uploads ls: %q", out)
	}
	if out := finish(t, w, dir, "uploads", "abort", "out:big", "--older-than", "0s"); !strings.HasPrefix(out, "aborted ") || w.uploads(t) != 0 {
		t.Errorf("uploads abort: %q, %d uploads left", out, w.uploads(t))
	}
	finish(t, w, dir, "cp", "src:big.bin", "out:big.bin")
	if w.sum(t, "big.bin") != sum || w.uploads(t) != 0 {
		t.Errorf("after a whole copy: %d uploads left, or the object is not the source", w.uploads(t))
	}
}
