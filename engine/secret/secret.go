// Package secret holds values that must not be shown.
package secret

import (
	"fmt"
	"log/slog"
)

// Mask is what a secret prints as.
const Mask = "(sensitive)"

// String is a secret text. Every way of printing or encoding it gives Mask; only Reveal gives the text.
//
// The text is behind a pointer because package fmt calls no method on the unexported fields of a struct: it prints what
// they hold, which is then an address.
type String struct{ v *string }

// New returns the secret s.
func New(s string) String { return String{&s} }

// Reveal returns the text. Call it only where the text goes on the wire.
func (s String) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// IsZero reports whether the secret is empty, which means unset.
func (s String) IsZero() bool { return s.Reveal() == "" }

// String implements fmt.Stringer with Mask.
func (String) String() string { return Mask }

// GoString implements fmt.GoStringer with Mask.
func (String) GoString() string { return Mask }

// Format implements fmt.Formatter, so that no verb reaches the text.
func (String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Mask)) }

// MarshalText implements encoding.TextMarshaler with Mask.
func (String) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// MarshalJSON implements json.Marshaler with Mask.
func (String) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }

// LogValue implements slog.LogValuer with Mask.
func (String) LogValue() slog.Value { return slog.StringValue(Mask) }
