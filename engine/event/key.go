package event

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// keyPlace is a part of a key's template that stands for something of the event.
var keyPlace = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{([^{}]*)\}`) })

// KeyOf returns the message's OrderingKey or, where it has none, what a template makes of the message: `{subject}`,
// `{type}` and `{source}` stand for those of the event, `{NAME}` for its attribute NAME, which may be absent. All else
// stands for itself.
func KeyOf(template string, m Message) string {
	if m.OrderingKey != "" {
		return m.OrderingKey
	}
	if !strings.Contains(template, "{") {
		return template
	}
	return keyPlace().ReplaceAllStringFunc(template, func(s string) string {
		switch name := s[1 : len(s)-1]; name {
		case "subject":
			return m.Subject
		case "type":
			return m.Type
		case "source":
			return m.Source
		default:
			return m.Attributes[name]
		}
	})
}

// CheckKey refuses a template that cannot mean anything. The error is a sentence that names the attribute of the
// declaration that holds it.
func CheckKey(attribute, template string) error {
	rest := keyPlace().ReplaceAllStringFunc(template, func(s string) string {
		switch name := s[1 : len(s)-1]; {
		case name == "subject", name == "type", name == "source", checkAttributeName(name) == nil:
			return ""
		}
		return s
	})
	if strings.ContainsAny(rest, "{}") {
		return fmt.Errorf("%s %q: between braces stands subject, type, source or the name of an attribute (lower-case letters and digits).", attribute, template)
	}
	return nil
}
