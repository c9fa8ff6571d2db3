package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

func TestEncode(t *testing.T) {
	m := Message{ID: `a"b`, Type: "dataset.validated", Source: "dsrun/orders", Subject: "train/<1>&.csv", Time: time.Date(2026, 11, 21, 9, 30, 0, 120_000_000, time.FixedZone("", 3600)),
		DataContentType: "application/json", Data: []byte("{ \"n\" : 1.10,\n \"u\": \"\u2028<&>\" }"), Attributes: map[string]string{"zz": "2", "runid": "r\u20291"}, OrderingKey: "not written"}
	const want = `{"specversion":"1.0","id":"a\"b","source":"dsrun/orders","type":"dataset.validated","subject":"train/<1>&.csv",` +
		`"time":"2026-11-21T08:30:00.12Z","datacontenttype":"application/json","runid":"r\u20291","zz":"2","data":{"n":1.10,"u":"\u2028<&>"}}`
	got, err := Encode(m)
	if err != nil || string(got) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
	if Size(m) != int64(len(want)) {
		t.Errorf("size %d, encoded %d", Size(m), len(want))
	}
	least, err := Encode(Message{ID: "i", Source: "s", Type: "t"})
	if err != nil || string(least) != `{"specversion":"1.0","id":"i","source":"s","type":"t"}` {
		t.Errorf("%s %v", least, err)
	}
	for _, bad := range []Message{{Data: []byte("{")}, {Attributes: map[string]string{"data_base64": "x"}}, {Attributes: map[string]string{"id": "x"}}} {
		if b, err := Encode(bad); err == nil || Size(bad) != -1 {
			t.Errorf("%+v was encoded: %s", bad, b)
		}
	}
}

// TestTexts: the short way of writing a text gives what encoding/json gives.
func TestTexts(t *testing.T) {
	texts := []string{"", "plain text", `a"b`, `a\b`, "<&>", "é", "\u2028", "\x7f", "a\xffb"}
	for c := range 256 {
		texts = append(texts, "a"+string(rune(c))+"b")
	}
	for _, s := range texts {
		var got, want bytes.Buffer
		writeString(&got, s)
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil || got.String()+"\n" != want.String() {
			t.Errorf("%q: %s, want %s", s, &got, &want)
		}
	}
	m := Message{ID: "i", Source: "s", Type: "t", Data: bytes.Repeat([]byte(" 1"), 1)}
	for _, n := range []int{1, maxPooled, 3} { // a pooled buffer leaves nothing behind
		m.Subject = strings.Repeat("x", n)
		if b, err := Encode(m); err != nil || int64(len(b)) != Size(m) {
			t.Errorf("%d bytes, counted as %d: %v", len(b), Size(m), err)
		}
	}
}

func TestDecode(t *testing.T) {
	m, err := Decode([]byte(`{"specversion":"1.0","id":"i","source":"s","type":"t","time":"2026-11-21T09:30:00+01:00","data":{"x":1.10},"n":7,"flag":true,"none":null,"text":"v"}`))
	if err != nil || m.ID != "i" || string(m.Data) != `{"x":1.10}` || !m.Time.Equal(time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC)) ||
		m.Attributes["n"] != "7" || m.Attributes["flag"] != "true" || m.Attributes["text"] != "v" || len(m.Attributes) != 3 {
		t.Errorf("%+v %v", m, err)
	}
	for _, bad := range []string{``, `x`, `[]`, `{}`, `{"specversion":"0.3","id":"i"}`, `{"specversion":"1.0","id":{}}`, `{"specversion":"1.0","id":"i"} x`,
		`{"specversion":"1.0","time":"yesterday"}`, `{"specversion":"1.0","Bad_Name":"x"}`, `{"specversion":"1.0","data_base64":"eA=="}`} {
		if m, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%s was read as %+v", bad, m)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"i","source":"s","type":"t","time":"2026-11-21T09:30:00.5Z","a":"b","data":[1,"\u2028"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil || Validate(m) != nil {
			return
		}
		once, err := Encode(m)
		if err != nil {
			t.Fatalf("a valid message cannot be encoded: %v", err)
		}
		if strings.ContainsAny(string(once), "\n\r\u2028\u2029") {
			t.Fatalf("more than one line: %q", once)
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("what was encoded cannot be read: %v\n%s", err, once)
		}
		if twice, _ := Encode(again); string(twice) != string(once) {
			t.Fatalf("changed:\n%s\n%s", once, twice)
		}
	})
}

func TestIDs(t *testing.T) {
	g := newIDs("run-1", "orders")
	// Written down, so that a change of the algorithm is noticed: receivers rely on it across versions.
	const first, second = "0881388d-aaef-881e-b7ee-1522fdaea4f5", "7f489f95-3527-8813-9d35-564e8ac07005"
	if a, b := g.make("f.star:12:7", []int{3, 0}), g.make("f.star:12:7", []int{3, 0}); a != first || b != second {
		t.Errorf("ids %s and %s", a, b)
	}
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]string{}
	for _, run := range []string{"r", "rs", ""} {
		for _, topic := range []string{"t", "st", ""} {
			for _, site := range []string{"", "t", "x"} {
				for _, indices := range [][]int{nil, {0}, {0, 0}, {1}, {0, 1}, {1, 0}, {-1}, {256}} {
					id := newIDs(run, topic).make(site, indices)
					where := fmt.Sprintf("%q %q %q %v", run, topic, site, indices)
					if !form.MatchString(id) || seen[id] != "" {
						t.Errorf("%s: id %s, also of %s", where, id, seen[id])
					}
					seen[id] = where
				}
			}
		}
	}
	if newIDs("", "t").make("s", nil) == newIDs("", "t").make("s", nil) {
		t.Error("two unnamed runs have the same ids")
	}
}

// Whatever the order in which parallel items run, their ids are the same, and none of many is another's.
func TestIDsUnderScheduling(t *testing.T) {
	items, each := 2000, 10
	if os.Getenv("DSRUN_TEST_LONG") == "1" {
		items = 100_000
	}
	var runs [2][]string
	for r := range runs {
		g := newIDs("run", "topic")
		all := make([]string, items*each)
		order := rand.Perm(items)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for _, item := range order[w*items/4 : (w+1)*items/4] {
					for n := range each {
						all[item*each+n] = g.make("site", []int{item})
					}
				}
			})
		}
		wg.Wait()
		runs[r] = all
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Error("the ids depend on the order of work")
	}
	slices.Sort(runs[0])
	if n := len(slices.Compact(runs[0])); n != items*each {
		t.Errorf("%d ids for %d events", n, items*each)
	}
	t.Logf("%d ids, no collision", items*each)
}

func TestValidate(t *testing.T) {
	good := Message{ID: "i", Type: "t", Source: "https://example.com/a?b#c", Data: []byte("1")}
	if err := Validate(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Message){
		"no id": func(m *Message) { m.ID = "" }, "no source": func(m *Message) { m.Source = "" }, "source with spaces": func(m *Message) { m.Source = "a b" },
		"broken source": func(m *Message) { m.Source = "http://[::1" }, "year": func(m *Message) { m.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"no data": func(m *Message) { m.Data = nil }, "blank data": func(m *Message) { m.Data = []byte("  ") }, "noncharacter": func(m *Message) { m.Subject = "\uffff" },
		"not UTF-8": func(m *Message) { m.Type = "\xff" }, "DEL": func(m *Message) { m.ID = "\x7f" }, "newline": func(m *Message) { m.ID = "a\nb" },
	} {
		m := good
		change(&m)
		if err := Validate(m); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkID(b *testing.B) {
	g := newIDs("run", "topic")
	for b.Loop() {
		g.make("script.star:12:7", []int{5})
	}
}

func BenchmarkEncode(b *testing.B) {
	m := Message{ID: "0f8fad5b-d9cb-869f-a165-70867728950e", Type: "dataset.validated", Source: "dsrun/orders", Subject: "train/1.csv", Time: time.Unix(1e9, 0),
		DataContentType: "application/json", Data: []byte(`{"rows":1000,"bad":3}`), Attributes: map[string]string{"runid": "r"}}
	for b.Loop() {
		if _, err := Encode(m); err != nil {
			b.Fatal(err)
		}
	}
}
