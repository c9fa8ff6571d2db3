package databricks

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
)

// serveBoth returns a fake, set up, and the URL of its workspace.
func serveBoth(t *testing.T, set func(s *Server)) (*Server, string) {
	s := New()
	s.Allow("dapi-judge")
	s.Principal("judge-app", "dose-judge")
	storage := httptest.NewServer(s.Storage())
	t.Cleanup(storage.Close)
	s.StorageURL = storage.URL
	if set != nil {
		set(s)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

// Databricks's Python SDK and the fake agree, whatever form uploads have.
func TestJudge(t *testing.T) {
	python := testbed.Program(t, "judge-databricks")
	for mode, set := range map[string]func(s *Server){
		"multipart": nil,
		"resumable": func(s *Server) { s.Resumable, s.Persist = true, 2<<20 },
		"blocked":   func(s *Server) { s.Blocked = true },
		"disabled":  func(s *Server) { s.NoURLs = "FILES_API_API_IS_NOT_ENABLED" },
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s, url := serveBoth(t, set)
			cmd := exec.CommandContext(t.Context(), python, "judge.py", url, "dapi-judge", "judge-app", "dose-judge", mode)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONWARNINGS=ignore"}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "ok "+mode) {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := s.Uploads(); mode == "multipart" && n != 0 {
				t.Errorf("%d uploads are left", n)
			}
			t.Logf("%s", out)
		})
	}
}

// Nobody gets in without a token, and storage takes none.
func TestUnauthorized(t *testing.T) {
	s, url := serveBoth(t, nil)
	for _, x := range []struct {
		url, auth string
		status    int
		says      string
	}{
		{url + "/api/2.0/fs/directories/Volumes/main/default/vol", "", 401, "UNAUTHENTICATED"},
		{url + "/api/2.0/fs/directories/Volumes/main/default/vol", "Bearer x", 401, "UNAUTHENTICATED"},
		{url + "/api/2.0/dbfs/list?path=/", "Basic ZGFwaS1qdWRnZQ==", 401, "UNAUTHENTICATED"},
		{url + "/api/2.0/dbfs/list?path=/", "Bearer dapi-judge", 200, ""},
		{s.StorageURL + "/bucket/object?op=part", "Bearer dapi-judge", 400, "Only one auth mechanism"},
		{s.StorageURL + "/bucket/object?op=part&session=x&n=1&expires=99999999999999999999&X-Signature=00", "", 403, "SignatureDoesNotMatch"},
	} {
		req, _ := http.NewRequest("GET", x.url, nil)
		req.Header.Set("Authorization", x.auth)
		if x.auth == "" {
			req.Header.Del("Authorization")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != x.status || !strings.Contains(string(b), x.says) {
			t.Errorf("%s with %q: %s %s", x.url, x.auth, resp.Status, b)
		}
	}
}
