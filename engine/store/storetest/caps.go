package storetest

import (
	"testing"

	"github.com/dsrun/dsrun/engine/store"
)

var capsChecks = []check{
	{"Caps/AbsencesHaveReasons", false, capsReasons},
	{"Caps/AreConsistent", false, capsConsistent},
}

// lacking lists the abilities that caps denies, by the name that Caps.Why uses.
func lacking(c store.Caps) []string {
	var out []string
	for _, x := range []struct {
		name string
		have bool
	}{
		{"Order", c.Order != store.OrderNone}, {"IfAbsent", c.IfAbsent}, {"IfMatch", c.IfMatch}, {"Pin", c.Pin},
		{"ReadOnly", !c.ReadOnly}, {"Metadata", c.Metadata}, {"Modified", c.Modified},
		{"Part", c.Part != store.PartLimits{}}, {"Sums", len(c.Sums) > 0},
	} {
		if !x.have {
			out = append(out, x.name)
		}
	}
	return out
}

func capsReasons(t testing.TB, s *suite) {
	c := s.with(t, nil).Caps()
	lacks := map[string]bool{}
	for _, name := range lacking(c) {
		lacks[name] = true
		if c.Why[name] == "" && !(c.ReadOnly && name != "ReadOnly" && (name == "IfAbsent" || name == "IfMatch" || name == "Part" || name == "Metadata" || name == "Modified")) {
			t.Errorf("Caps denies %s without a reason in Caps.Why: the reference could not say why", name)
		}
	}
	for name := range c.Why {
		if !lacks[name] {
			t.Errorf("Caps.Why explains %s, which is not denied", name)
		}
	}
}

func capsConsistent(t testing.TB, s *suite) {
	d := s.with(t, nil)
	c := d.Caps()
	_, parts := d.(store.Multiparter)
	if has := (c.Part != store.PartLimits{}); has != parts && !c.ReadOnly {
		t.Errorf("Caps.Part says multipart %v, the driver's methods say %v: large objects would fail or be buffered", has, parts)
	}
	if p := c.Part; parts && (p.Max <= 0 || p.Count <= 0 || p.Min > p.Max || p.Align < 0) {
		t.Errorf("part limits %+v cannot be planned with", p)
	}
	if c.MaxKey < 0 || c.MaxSize < 0 {
		t.Errorf("negative limits: MaxKey %d, MaxSize %d", c.MaxKey, c.MaxSize)
	}
	if b, ok := d.(store.BatchDeleter); ok && b.MaxDeleteBatch() < 1 {
		t.Errorf("MaxDeleteBatch is %d", b.MaxDeleteBatch())
	}
}
