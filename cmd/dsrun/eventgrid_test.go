package main

import (
	"bytes"
	"encoding/base64"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed/eventgrid"
)

// TestRetrainOnEventGrid runs the example against a stand-in: the trigger arrives in the shape that handlers expect.
func TestRetrainOnEventGrid(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte("retrain-key-canary-0123456789"))
	s := &eventgrid.Server{Schema: eventgrid.Native, Keys: []string{key}}
	srv := httptest.NewServer(s)
	defer srv.Close()
	dir := copyExamples(t)
	run := func(key string, args ...string) (string, int) {
		w := testWorld(dir, append(args, "-c", "retrain_eventgrid.hcl", "--var", "endpoint="+srv.URL+"/api/events"))
		w.LookupEnv = func(name string) (string, bool) { return key, name == "EVENTGRID_ACCESS_KEY" }
		var out bytes.Buffer
		w.Stdout, w.Stderr = &out, &out
		code := Main(w)
		if strings.Contains(out.String(), key) {
			t.Errorf("dsrun %q shows the key", args)
		}
		return out.String(), code
	}
	trigger := []string{"publish", "retrain", "--type", "retrain_trigger", "--data", `{"model_id": "m1"}`}
	if out, code := run(key, append(trigger, "--dry-run")...); code != 0 || len(s.Requests()) != 0 || !strings.Contains(out, "retrain_trigger") || !strings.Contains(out, `"model_id": "m1"`) && !strings.Contains(out, `"model_id":"m1"`) {
		t.Errorf("the dry run: exit code %d, %d requests\n%s", code, len(s.Requests()), out)
	}
	if out, code := run(key, trigger...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	shape := regexp.MustCompile(`^\{"id":"[0-9a-f-]{36}","subject":"ml3_platform","eventType":"retrain_trigger","eventTime":"20[0-9T:.-]+Z","dataVersion":"1\.0","data":\{"model_id": ?"m[123]"\}\}$`)
	if got := s.Events(); len(got) != 1 || !shape.Match(got[0].Raw) {
		t.Errorf("arrived: %+v", got)
	}
	if out, code := run("wrong", "publish", "retrain", "--type", "retrain_trigger"); code != 4 || !strings.Contains(out, "unauthenticated") || len(s.Events()) != 1 {
		t.Errorf("a wrong key: exit code %d\n%s", code, out)
	}
	write(t, dir, "fire.star", "def main():\n    topics.retrain.publish(\"retrain_trigger\", {\"model_id\": \"m2\"})\n")
	if out, code := run(key, "run", "fire.star"); code != 0 || len(s.Events()) != 2 {
		t.Errorf("a script: exit code %d, %d events\n%s", code, len(s.Events()), out)
	}
	asked(t, "retrain_eventgrid.hcl", map[string]string{"EVENTGRID_ACCESS_KEY": key}, func() int { return len(s.Events()) }, "--var", "endpoint="+srv.URL)
	for _, e := range s.Events() {
		if !shape.Match(e.Raw) {
			t.Errorf("arrived: %s", e.Raw)
		}
	}
}
