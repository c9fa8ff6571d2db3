package alipan

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

// AliPCS-Py and the fake agree.
func TestJudge(t *testing.T) {
	python := testbed.Program(t, "judge-alipan")
	s := New()
	server := httptest.NewServer(s)
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), python, "judge.py", server.URL, s.WebToken(), s.OpenToken(), ClientID, ClientSecret)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONWARNINGS=ignore"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok ") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	for code, n := range map[string]int64{"DeviceSessionSignatureInvalid": 1, "AccessTokenInvalid": 3} {
		if got := load(&s.Refused, code); got < n {
			t.Errorf("%s was said %d times, want %d at least: AliPCS-Py did not meet it", code, got, n)
		}
	}
	if n := s.Count("/users/v1/users/device/create_session"); n < 2 {
		t.Errorf("%d sessions of a device", n)
	}
}

// Who is not let in learns nothing.
func TestStrangers(t *testing.T) {
	s := New()
	server := httptest.NewServer(s)
	defer server.Close()
	for path := range webAPI {
		for name, h := range map[string]http.Header{"nobody": {}, "a wrong token": {"Authorization": {"Bearer x"}}} {
			req, _ := http.NewRequest("POST", server.URL+path, strings.NewReader(`{"drive_id":"`+DriveID+`","file_id":"root"}`))
			req.Header = h
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 401 || !strings.Contains(string(b), "AccessTokenInvalid") {
				t.Errorf("%s, %s: %s %s", path, name, resp.Status, b)
			}
		}
	}
	s.Busy.Store(1)
	resp, err := http.Post(server.URL+"/v2/file/get", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 429 {
		t.Errorf("while busy: %s", resp.Status)
	}
}
