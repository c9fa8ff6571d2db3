package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// forms returns v and the ways in which common encodings print it. Base64 appears without its first and last
// characters where those depend on the neighbours of v, so that v is found inside longer base64 text too.
func forms(v string) []string {
	out := []string{v}
	add := func(more ...string) { out = append(out, more...) }
	for _, e := range []string{url.QueryEscape(v), url.PathEscape(v), strictEscape(v), strings.ReplaceAll(url.PathEscape(v), "%2F", "/")} {
		add(e, lowerHex(e), url.QueryEscape(e))
	}
	quoted := jsonBody(v)
	add(quoted, jsonBody(quoted), strings.ReplaceAll(quoted, "/", `\/`), inner(strconv.Quote(v)), inner(strconv.QuoteToASCII(v)))
	if b, err := json.Marshal(v); err == nil { // < > & as \u003c
		add(inner(string(b)), jsonBody(inner(string(b))))
	}
	if !utf8.ValidString(v) {
		add(string([]rune(v))) // every byte that is no text as U+FFFD
	}
	add(markupNumeric.Replace(strings.Map(xmlRune, v)))
	add(markup.Replace(v), strings.ReplaceAll(v, "'", `'\''`))
	h := hex.EncodeToString([]byte(v))
	add(h, strings.ToUpper(h))
	for _, b := range base64Forms(v) {
		add(b)
		if e := url.QueryEscape(b); e != b {
			add(e, lowerHex(e))
		}
	}
	return out
}

var (
	markup        = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")
	markupNumeric = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "\n", "&#xA;", "\t", "&#x9;", "\r", "&#xD;")
)

// xmlRune is what an XML encoder prints for a character that XML cannot hold.
func xmlRune(r rune) rune {
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
		return utf8.RuneError
	}
	return r
}

// strictEscape percent-encodes all but the unreserved characters of RFC 3986, as request signing does.
func strictEscape(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }

// lowerHex turns %2F into %2f.
func lowerHex(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			for j := i + 1; j <= i+2; j++ {
				if b[j] >= 'A' && b[j] <= 'F' {
					b[j] += 'a' - 'A'
				}
			}
		}
	}
	return string(b)
}

// jsonBody is v as a JSON string without the quotes and without the escapes that only HTML needs.
func jsonBody(v string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return v
	}
	return inner(strings.TrimSuffix(b.String(), "\n"))
}

// inner takes the quotes off.
func inner(q string) string { return q[1 : len(q)-1] }

// base64Forms returns the base64 of v at the three positions that it can have in a longer text, and whole with padding.
func base64Forms(v string) []string {
	var out []string
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		out = append(out, enc.EncodeToString([]byte(v)), enc.WithPadding(base64.NoPadding).EncodeToString([]byte(v)))
		for shift := range 3 {
			text := enc.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, shift), v...))
			// Six bits a character: those that hold a bit of a neighbour are left off.
			from := (shift*8 + 5) / 6
			to := (shift + len(v)) * 8 / 6
			out = append(out, text[from:to])
		}
	}
	return out
}
