package secret

import (
	"encoding/json"
	"net/url"
	"strings"
)

// minPart is the shortest part, in bytes, of a longer secret that is masked alone.
const minPart = 8

// parts returns v, v without surrounding space, v percent-decoded, and what is secret inside of v when it is a URL, a
// query string (shared access signature, presigned URL), a connection string, a key file in JSON, or several lines
// (PEM): services and libraries print such parts without the rest.
func parts(v string) []string {
	seen := map[string]bool{}
	var out []string
	add := func(p string, least int) {
		if len(p) >= least && !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	decoded := func(p string, least int) {
		add(p, least)
		if d, err := url.PathUnescape(p); err == nil {
			add(d, least)
		}
	}
	trimmed := strings.TrimSpace(v)
	decoded(trimmed, minLen)
	if trimmed != v && strings.TrimLeft(v, " \t\r\n") == v {
		add(v, minLen) // a needle that begins with a line end would hold lines back
	}
	if _, rest, ok := strings.Cut(trimmed, "://"); ok { // scheme://user:password@host
		authority, _, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at > 0 {
			if _, p, ok := strings.Cut(authority[:at], ":"); ok {
				decoded(p, minLen)
			}
		}
	}
	// user:password@tcp(host)/db, the form of some database drivers
	if at := strings.LastIndexByte(trimmed, '@'); at > 0 && !strings.Contains(trimmed, "://") {
		if colon := strings.IndexByte(trimmed[:at], ':'); colon > 0 {
			add(trimmed[colon+1:at], minLen)
		}
	}
	query := trimmed
	if i := strings.IndexByte(query, '?'); i >= 0 {
		query = query[i+1:]
	}
	for _, sep := range []string{"&", ";", " "} {
		if !strings.Contains(query, "=") {
			break
		}
		for _, pair := range strings.Split(query, sep) {
			if name, value, ok := strings.Cut(pair, "="); ok && sensitiveName(name) {
				decoded(strings.TrimSpace(value), minPart)
			}
		}
	}
	if strings.HasPrefix(trimmed, "{") {
		jsonParts(trimmed, func(p string) {
			add(p, minPart)
			lines(p, func(l string) { add(l, minPart) })
		})
	}
	lines(trimmed, func(l string) { add(l, minPart) })
	return out
}

// lines calls fn with each line of a text of several, but not with the frame of a PEM block, which is no secret.
func lines(s string, fn func(string)) {
	if !strings.Contains(s, "\n") {
		return
	}
	for _, l := range strings.Split(s, "\n") {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "-----") && !strings.ContainsAny(l, "{}") {
			if name, _, ok := strings.Cut(l, ":"); ok && strings.HasPrefix(strings.TrimSpace(name), `"`) {
				continue // a line of a JSON file: jsonParts knows which of its values are secret
			}
			fn(l)
		}
	}
}

// jsonParts calls fn with every text below a sensitive name.
func jsonParts(s string, fn func(string)) {
	var top any
	if len(s) > 1<<20 || json.Unmarshal([]byte(s), &top) != nil {
		return
	}
	var walk func(v any, hot bool)
	walk = func(v any, hot bool) {
		switch v := v.(type) {
		case string:
			if hot {
				fn(strings.TrimSpace(v))
			}
		case []any:
			for _, x := range v {
				walk(x, hot)
			}
		case map[string]any:
			for name, x := range v {
				walk(x, hot || sensitiveName(name))
			}
		}
	}
	walk(top, false)
}

// sensitiveName reports whether a parameter or field of that name holds a secret.
func sensitiveName(name string) bool {
	n := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == '-' || r == '_' || r == ' ':
			return -1
		}
		return r
	}, name)
	if n == "sig" || n == "pwd" || n == "pass" {
		return true
	}
	for _, end := range []string{"signature", "password", "passwd", "secret", "token", "accesskey", "accountkey", "apikey", "privatekey", "secretkey", "passphrase", "sharedaccesskey"} {
		if strings.HasSuffix(n, end) {
			return true
		}
	}
	return false
}
