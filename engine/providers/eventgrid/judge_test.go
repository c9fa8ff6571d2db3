package eventgrid

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/eventgrid"
)

// TestIndependentReaders: what was sent is read by Microsoft's own classes, which handlers of events use.
func TestIndependentReaders(t *testing.T) {
	judge := testbed.Program(t, "judge-azure")
	m := event.Message{ID: "id-1", Type: "retrain_trigger", Source: "/pipelines/nightly", Subject: "train/ä \"b\".csv", Time: time.Date(2026, 11, 29, 6, 0, 0, 25e7, time.UTC),
		DataContentType: "application/json", Data: []byte(`{"rows": 3, "name": "ü", "list": [1, 2.5, null]}`)}
	var sent []json.RawMessage
	for form, kind := range map[string]string{schema.FormatNative: eventgrid.Native, "": eventgrid.CloudEvents} {
		s, srv := newServer(t, &eventgrid.Server{Schema: kind})
		m.Attributes = nil
		if form == "" {
			m.Attributes = map[string]string{"runid": "r1"}
		}
		if err := over(t, srv.URL, form).Publish(t.Context(), []event.Message{m}); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, s.Events()[0].Raw)
	}
	in, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), judge, "-c", `
import json, sys
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent
for raw in sorted(json.load(sys.stdin), key=len):
    if "specversion" in raw:
        e = CloudEvent.from_dict(raw)
        out = [e.id, e.type, e.source, e.subject, e.time.isoformat(), e.datacontenttype, e.specversion, e.extensions, e.data]
    else:
        e = EventGridEvent.from_dict(raw)
        out = [e.id, e.event_type, e.subject, e.event_time.isoformat(), e.data_version, e.data]
    print(json.dumps(out, ensure_ascii=False))
`)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	want := map[string]bool{
		`["id-1", "retrain_trigger", "train/ä \"b\".csv", "2026-11-29T06:00:00.250000+00:00", "1.0", {"rows": 3, "name": "ü", "list": [1, 2.5, null]}]`:                                                            true,
		`["id-1", "retrain_trigger", "/pipelines/nightly", "train/ä \"b\".csv", "2026-11-29T06:00:00.250000+00:00", "application/json", "1.0", {"runid": "r1"}, {"rows": 3, "name": "ü", "list": [1, 2.5, null]}]`: true,
	}
	if err != nil || len(lines) != 2 || !want[lines[0]] || !want[lines[1]] || lines[0] == lines[1] {
		t.Errorf("%v: %s", err, out)
	}
}
