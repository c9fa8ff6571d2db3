package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// NameFrom makes a name for a block of a text such as the name of a bucket; "" when nothing of it can be used.
func NameFrom(text string) string {
	s := strings.Trim(notName.ReplaceAllString(strings.ToLower(text), "_"), "_0123456789")
	if len(s) > 60 {
		s = strings.TrimRight(s[:60], "_")
	}
	if slices.Contains(scriptWords, s) {
		s += "_data"
	}
	return s
}

// Quote writes a text as an expression of HCL.
func Quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case (r == '$' || r == '%') && strings.HasPrefix(text[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == utf8.RuneError || !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
