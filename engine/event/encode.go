package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// SpecVersion is the version of CloudEvents that is written.
const SpecVersion = "1.0"

// timeFormat is RFC 3339 in UTC with as many digits of the second as the time has.
const timeFormat = time.RFC3339Nano

// Encode returns the message as structured CloudEvents JSON on one line, without a line end: the required attributes,
// the optional ones that are set, extension attributes in the order of their names, and the data inline
// (CloudEvents JSON format 1.0, section 3).
func Encode(m Message) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(256 + len(m.Data))
	if err := encode(&b, m); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func encode(b *bytes.Buffer, m Message) error {
	b.WriteString(`{"specversion":"` + SpecVersion + `"`)
	field := func(name, value string) {
		b.WriteString(`,"`)
		b.WriteString(name)
		b.WriteString(`":`)
		writeString(b, value)
	}
	field("id", m.ID)
	field("source", m.Source)
	field("type", m.Type)
	if m.Subject != "" {
		field("subject", m.Subject)
	}
	if !m.Time.IsZero() {
		b.WriteString(`,"time":"`)
		b.Write(m.Time.UTC().AppendFormat(b.AvailableBuffer(), timeFormat))
		b.WriteByte('"')
	}
	if m.DataContentType != "" {
		field("datacontenttype", m.DataContentType)
	}
	names := make([]string, 0, len(m.Attributes))
	for name := range m.Attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := checkAttributeName(name); err != nil {
			return err
		}
		field(name, m.Attributes[name])
	}
	if len(m.Data) > 0 {
		b.WriteString(`,"data":`)
		start := b.Len()
		if err := json.Compact(b, m.Data); err != nil {
			return fmt.Errorf("data is not JSON: %w", err)
		}
		if tail := b.Bytes()[start:]; bytes.Contains(tail, []byte("\u2028")) || bytes.Contains(tail, []byte("\u2029")) {
			clean := lineSeparators.Replace(string(tail))
			b.Truncate(start)
			b.WriteString(clean)
		}
	}
	b.WriteByte('}')
	return nil
}

// lineSeparators escapes what some readers take for the end of a line. JSON allows them only inside of strings.
var lineSeparators = strings.NewReplacer("\u2028", `\u2028`, "\u2029", `\u2029`)

func writeString(b *bytes.Buffer, s string) {
	if plain(s) {
		b.WriteByte('"')
		b.WriteString(s)
		b.WriteByte('"')
		return
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string cannot fail
	b.Truncate(b.Len() - 1)
}

// plain reports whether a text needs no escaping, as most do: an encoder costs more than the rest of an event.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Size returns the number of bytes of the message's structured form, or -1 when it has none.
func Size(m Message) int64 {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	err := encode(b, m)
	n := int64(b.Len())
	if b.Cap() <= maxPooled {
		buffers.Put(b)
	}
	if err != nil {
		return -1
	}
	return n
}

// buffers are for Size, whose text nobody keeps.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the largest buffer that is kept, in bytes.
const maxPooled = 64 << 10

// Decode reads what Encode wrote. It takes CloudEvents of version 1.0 whose data is JSON; an extension attribute that is
// a number or a truth value becomes its text.
func Decode(b []byte) (Message, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var fields map[string]json.RawMessage
	if err := d.Decode(&fields); err != nil {
		return Message{}, fmt.Errorf("not a CloudEvent: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Message{}, errors.New("not a CloudEvent: more text follows")
	}
	var m Message
	var version, when string
	for name, raw := range fields {
		text, err := attributeText(raw)
		switch name {
		case "specversion":
			version = text
		case "id":
			m.ID = text
		case "source":
			m.Source = text
		case "type":
			m.Type = text
		case "subject":
			m.Subject = text
		case "time":
			when = text
		case "datacontenttype":
			m.DataContentType = text
		case "data":
			m.Data, err = raw, nil
		default:
			if string(raw) == "null" {
				continue
			}
			if nameErr := checkAttributeName(name); nameErr != nil {
				return Message{}, nameErr
			}
			if m.Attributes == nil {
				m.Attributes = map[string]string{}
			}
			m.Attributes[name] = text
		}
		if err != nil {
			return Message{}, fmt.Errorf("attribute %q: %w", name, err)
		}
	}
	if version != SpecVersion {
		return Message{}, fmt.Errorf("specversion %q is not %s", version, SpecVersion)
	}
	if when != "" {
		t, err := time.Parse(timeFormat, when)
		if err != nil {
			return Message{}, fmt.Errorf("attribute \"time\": %w", err)
		}
		m.Time = t.UTC()
	}
	return m, nil
}

func attributeText(raw json.RawMessage) (string, error) {
	if len(raw) > 0 && raw[0] != '"' && raw[0] != '{' && raw[0] != '[' {
		if s := string(raw); s != "null" {
			return s, nil
		}
		return "", nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}
