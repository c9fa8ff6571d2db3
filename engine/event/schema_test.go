package event

import (
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

func TestSchema(t *testing.T) {
	check, err := Schema([]byte(`{"type": "object", "required": ["rows"], "additionalProperties": false,
		"properties": {"rows": {"type": "integer", "minimum": 1}, "files": {"type": "array", "items": {"$ref": "#/$defs/file"}}},
		"$defs": {"file": {"type": "object", "properties": {"path": {"type": "string", "pattern": "\\.csv$"}, "made": {"type": "string", "format": "date-time"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]string{
		`{"rows": 1, "files": [{"path": "a.csv", "made": "2026-11-29T06:00:00Z"}]}`: "",
		`{}`:                  "data: missing property 'rows'",
		`{"rows": "1"}`:       "data.rows: got string, want integer",
		`{"rows": 0}`:         "data.rows: minimum: got 0, want 1",
		`{"rows": 1, "x": 2}`: "data: additional properties 'x' not allowed",
		`{"rows": 1, "files": [{}, {"path": "b"}]}`: "data.files[1].path: ",
		`{"rows": 1, "files": [{"made": "now"}]}`:   "data.files[0].made: ",
		`[]`: "data: got array, want object",
		`{"rows": 123456789012345678901234567890}`: "",
	} {
		err := check([]byte(data))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", data, err)
			}
			continue
		}
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %s", data, err, want)
		}
	}
	if err := check([]byte(`{"rows": 1, "a":1, "b":2, "files": [{"path":"1"},{"path":"2"},{"path":"3"},{"path":"4"},{"path":"5"},{"path":"6"}]}`)); err == nil || !strings.HasSuffix(err.Error(), "and 2 more") {
		t.Error(err)
	}
}

func TestBadSchema(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                              "not JSON",
		`{"type": "thing"}`:              "type",
		`{"$ref": "#/$defs/none"}`:       "none",
		`{"$ref": "file:///etc/passwd"}`: "outside of the schema",
		`{"$ref": "http://127.0.0.1:1/schema.json"}`: "outside of the schema",
		`{"properties": {"a": {"pattern": "("}}}`:    "pattern",
	} {
		if _, err := Schema([]byte(text)); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
