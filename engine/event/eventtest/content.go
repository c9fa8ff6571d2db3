package eventtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
)

var contentChecks = []check{
	{"content", func(t testing.TB, s *suite) {
		d := s.driver(t)
		for i, m := range oddMessages() {
			if v := d.Limits().Valid; v != nil && v(m) != nil {
				continue // refused openly
			}
			if err := d.Publish(t.Context(), []event.Message{m}); err != nil {
				t.Errorf("message %d (%s): %v", i, m.Subject, err)
			}
		}
		var sent []event.Message
		for _, m := range oddMessages() {
			if v := d.Limits().Valid; v == nil || v(m) == nil {
				sent = append(sent, m)
			}
		}
		s.wantAll(t, d, sent)
	}},
	{"largest message", func(t testing.TB, s *suite) {
		d := s.driver(t)
		l := d.Limits()
		most := l.MessageBytes
		if l.BatchBytes > 0 && (most == 0 || l.BatchBytes < most) {
			most = l.BatchBytes
		}
		if most == 0 || most > 32<<20 {
			most = 1 << 20
		}
		m := message(0)
		m.Data = []byte(`""`)
		m.Data = []byte(`"` + strings.Repeat("x", int(most-size(l, m))) + `"`)
		for size(l, m) > most { // where the bus counts more than a byte a byte
			m.Data = append(m.Data[:len(m.Data)-2-int(size(l, m)-most)/2], '"')
		}
		if err := d.Publish(t.Context(), []event.Message{m}); err != nil {
			t.Fatalf("a message of %d bytes, of %d allowed: %v", size(l, m), most, err)
		}
		s.wantAll(t, d, []event.Message{m})
	}},
	{"full bytes", func(t testing.TB, s *suite) {
		d := s.driver(t)
		l := d.Limits()
		if l.BatchBytes == 0 || l.BatchBytes > 32<<20 {
			t.Skip("the bytes of a batch are not bounded, or by much")
		}
		n := 4
		if l.Batch > 0 {
			n = min(n, l.Batch)
		}
		var sent []event.Message
		for i := range n {
			m := message(i)
			m.Data = []byte(`""`)
			room := l.BatchBytes/int64(n) - size(l, m)
			if l.MessageBytes > 0 {
				room = min(room, l.MessageBytes-size(l, m))
			}
			m.Data = []byte(`"` + strings.Repeat("x", int(room)) + `"`)
			for over := size(l, m) - l.BatchBytes/int64(n); over > 0; over = size(l, m) - l.BatchBytes/int64(n) { // a length has a length of its own
				m.Data = append(m.Data[:max(len(m.Data)-2-int(over+1)/2, 1)], '"')
			}
			sent = append(sent, m)
		}
		var sum int64
		for _, m := range sent {
			sum += size(l, m)
		}
		if sum > l.BatchBytes {
			t.Skip("the bus counts more than a byte a byte")
		}
		if err := d.Publish(t.Context(), append([]event.Message(nil), sent...)); err != nil {
			t.Fatalf("a batch of %d bytes, of %d allowed: %v", sum, l.BatchBytes, err)
		}
		s.wantAll(t, d, sent)
	}},
}

// oddMessages are events that naive encoders change or break on.
func oddMessages() []event.Message {
	var out []event.Message
	add := func(subject, data string) {
		m := message(len(out))
		m.Subject, m.Data = subject, []byte(data)
		out = append(out, m)
	}
	add("empty object", `{}`)
	add("null", `null`)
	add("number", `12345678901234567890.10`)
	add("numbers", `[1e400, -0, 0.1, 9007199254740993, 1E-7]`)
	add("text", `"a\"b\\c\/d\n\r\t\u0000\ud83d\ude00"`)
	add("line separators", "\"a\u2028b\u2029c\"")
	add("html", `"<a href='x'>&amp;</a>"`)
	add("unicode", `{"ключ":"値","e\u0301":"é","😀":1}`)
	add("spaces", " \n\t{ \"a\" : [ 1 , 2 ] ,\r\n \"b\" : { } } \n")
	add("same names", `{"A":1,"a":2}`)
	add("deep", strings.Repeat(`[`, 60)+strings.Repeat(`]`, 60))
	add("wide", `[`+strings.Repeat(`1,`, 5000)+`1]`)
	add("looks encoded", `"eyJhIjoxfQ== %7B%7D {\"specversion\":\"1.0\"}"`)
	add(`subject "quoted" \ back / slash`, `1`)
	add("субъект/😀 é", `1`)
	add(strings.Repeat("s", 256), `1`)
	add("", `1`)
	m := message(len(out))
	m.Type, m.Source, m.ID = "com.example.object.created/v1:x", "https://example.com/a?b=c#d", "id with spaces, \"quotes\" and ü"
	m.Attributes = map[string]string{"a": "", "zz9": `v "x" ü`, "abcdefghij0123456789": "20 characters"}
	out = append(out, m)
	m = message(len(out))
	m.Attributes, m.Time = nil, time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
	out = append(out, m)
	for i := range out {
		if out[i].Data = bytes.Clone(out[i].Data); out[i].ID == message(i).ID {
			out[i].ID = fmt.Sprintf("odd-%d", i)
		}
	}
	return out
}
