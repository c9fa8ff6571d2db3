package state

import (
	"errors"
	"slices"
	"strings"
)

// Suffixes keep values, parts of long keys, corners, locks and unfinished writes apart. No encoded name holds a dot.
const (
	valueSuffix = ".val"
	moreSuffix  = ".more"
	subSuffix   = ".d"
	lockSuffix  = ".lock"
	tempSuffix  = ".tmp"
)

// maxName is how many bytes of an encoded key one file name holds; longer keys continue in folders.
const maxName = 200

// maxKey bounds a key, in bytes, so that its path stays below what systems allow.
const maxKey = 1024

// encode returns a key as the parts of a path. Lowercase letters, digits, "-" and "_" stand for themselves; every other
// byte is %xx, capital letters too, because some file systems do not tell them from small ones.
func encode(key string) ([]string, error) {
	switch {
	case key == "":
		return nil, errors.New("it is empty")
	case len(key) > maxKey:
		return nil, errors.New("it is longer than 1024 bytes")
	}
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, c := range []byte(key) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	text := b.String()
	var parts []string
	for len(text) > maxName {
		parts = append(parts, text[:maxName])
		text = text[maxName:]
	}
	return append(parts, text), nil
}

// decode is the inverse of encode on the joined parts; ok is false for a name that encode does not make.
func decode(text string) (key string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) {
			return "", false
		}
		hi, lo := strings.IndexByte("0123456789abcdef", text[i+1]), strings.IndexByte("0123456789abcdef", text[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	key = b.String()
	parts, err := encode(key)
	return key, err == nil && strings.Join(parts, "") == text
}

func selectKeys(keys []string, prefix string) []string {
	keys = slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, prefix) })
	slices.Sort(keys)
	return keys
}
