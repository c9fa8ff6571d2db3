package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// reserved are the names that CloudEvents defines or keeps for the data.
var reserved = map[string]bool{"specversion": true, "id": true, "source": true, "type": true, "subject": true, "time": true,
	"datacontenttype": true, "dataschema": true, "data": true}

// checkAttributeName holds CloudEvents 1.0, "Attribute Naming Convention": a-z and 0-9, of which 20 at most are advised
// and demanded here.
func checkAttributeName(name string) error {
	if reserved[name] {
		return fmt.Errorf("attribute %q: the name is reserved by CloudEvents", name)
	}
	ok := len(name) >= 1 && len(name) <= 20
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
	}
	if !ok {
		return fmt.Errorf("attribute %q: a name is 1 to 20 lowercase letters and digits", name)
	}
	return nil
}

// checkText holds CloudEvents 1.0, "Type System", String: no control characters, no noncharacters, no lone surrogates.
func checkText(name, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s is not valid UTF-8", name)
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r <= 0x9f || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe {
			return fmt.Errorf("%s holds the character %U, which CloudEvents does not allow", name, r)
		}
	}
	return nil
}

// Validate reports the first thing that makes the message no CloudEvent, with the code InvalidArgument.
func Validate(m Message) error {
	for _, f := range []struct {
		name, value string
		required    bool
	}{
		{"type", m.Type, true}, {"id", m.ID, true}, {"source", m.Source, true}, {"subject", m.Subject, false},
	} {
		if f.required && strings.TrimSpace(f.value) == "" {
			return fault.Hinted(fault.InvalidArgument, fmt.Sprintf("Give the event a %s.", f.name), "%s is empty", f.name)
		}
		if err := checkText(f.name, f.value); err != nil {
			return fault.New(fault.InvalidArgument, "%w", err)
		}
	}
	if _, err := url.Parse(m.Source); err != nil || strings.ContainsAny(m.Source, " <>\"{}|\\^`") {
		return fault.New(fault.InvalidArgument, "source %q is not a URI reference", m.Source)
	}
	if y := m.Time.UTC().Year(); y < 0 || y > 9999 {
		return fault.New(fault.InvalidArgument, "time is outside of the years 0 to 9999")
	}
	for name, value := range m.Attributes {
		err := checkAttributeName(name)
		if err == nil {
			err = checkText(fmt.Sprintf("attribute %q", name), value)
		}
		if err != nil {
			return fault.New(fault.InvalidArgument, "%w", err)
		}
	}
	if !utf8.Valid(m.Data) {
		return fault.New(fault.InvalidArgument, "data is not valid UTF-8")
	}
	if !json.Valid(m.Data) {
		return fault.New(fault.InvalidArgument, "data is not JSON: %w", jsonError(m.Data))
	}
	return nil
}

func jsonError(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return fmt.Errorf("it is empty")
	}
	var v json.RawMessage
	return json.Unmarshal(b, &v)
}
