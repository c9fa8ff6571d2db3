package event

import "testing"

func TestKeyOf(t *testing.T) {
	m := Message{Type: "a.b", Source: "/s", Subject: "x {type}", Attributes: map[string]string{"team": "ml"}}
	for template, want := range map[string]string{"": "", "fixed": "fixed", "{subject}": "x {type}", "{source}-{type}/{team}": "/s-a.b/ml", "{none}": ""} {
		if got := KeyOf(template, m); got != want {
			t.Errorf("%q gives %q", template, got)
		}
	}
	m.OrderingKey = "own"
	if got := KeyOf("{subject}", m); got != "own" {
		t.Errorf("the message's own key became %q", got)
	}
	for template, ok := range map[string]bool{"": true, "one": true, "{subject}": true, "{type}/{n1}-x": true, "{": false, "{}": false, "{Subject}": false, "}{": false, "{{type}}": false, "{id}": false} {
		if (CheckKey("group", template) == nil) != ok {
			t.Errorf("%q: %v", template, CheckKey("group", template))
		}
	}
}
