package azurerest

import (
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// Reserved names of metadata. They are those of datastore "azure_blob", since an account can be used through both.
const (
	metaModified = "mtime"   // Attributes.Modified in RFC 3339, as rclone keeps it
	metaEncoded  = "dsrun64" // names of metadata whose values are base64, as they are no plain text
)

// Metadata returns user metadata, and the time of modification unless it is zero, in the form of the service: names that
// are identifiers, values that are plain ASCII.
func Metadata(user map[string]string, modified time.Time) (map[string]string, error) {
	out := map[string]string{}
	var encoded []string
	for name, v := range user {
		low := strings.ToLower(name)
		if !identifier(name) || low == metaEncoded {
			return nil, fault.New(fault.InvalidArgument, "%q cannot be the name of user metadata: Azure takes letters, digits and underscores, with a letter first", name)
		}
		if _, twice := out[low]; twice {
			return nil, fault.New(fault.InvalidArgument, "two names of user metadata differ only in case: %q", name)
		}
		if !utf8.ValidString(v) {
			return nil, fault.New(fault.InvalidArgument, "the user metadata %q is not valid UTF-8", name)
		}
		if v == "" || !Printable(v) || strings.Contains(v, "  ") {
			encoded = append(encoded, low)
			if v = base64.StdEncoding.EncodeToString([]byte(v)); v == "" {
				v = "="
			}
		}
		out[low] = v
	}
	if len(encoded) > 0 {
		out[metaEncoded] = strings.Join(encoded, ",")
	}
	if _, taken := out[metaModified]; !taken && !modified.IsZero() {
		out[metaModified] = modified.UTC().Format(time.RFC3339Nano)
	}
	return out, nil
}

// User reads what Metadata made.
func User(meta map[string]string) (user map[string]string, modified time.Time) {
	low := make(map[string]string, len(meta))
	for name, v := range meta {
		low[strings.ToLower(name)] = v
	}
	encoded := "," + low[metaEncoded] + ","
	for name, text := range low {
		if name == metaEncoded {
			continue
		}
		if strings.Contains(encoded, ","+name+",") {
			if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "=")); err == nil {
				text = string(b)
			}
		} else if name == metaModified {
			if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
				modified = t.UTC()
				continue
			}
		}
		if user == nil {
			user = map[string]string{}
		}
		user[name] = text
	}
	return user, modified
}

// Printable reports whether s can be the value of a header as it is.
func Printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// identifier reports whether s can name metadata: the services want identifiers of C#.
func identifier(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && s[i] != '_' && (i == 0 || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != ""
}

// Quoted returns an ETag in its one form, with quotes, which listings leave out.
func Quoted(etag string) string {
	if etag == "" || strings.HasPrefix(etag, `"`) || strings.HasPrefix(etag, "W/") {
		return etag
	}
	return `"` + etag + `"`
}
