package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// prescanJSON refuses JSON that is not well-formed, is nested too deep, or holds a template in a string that would be
// dangerous to parse. After it, a string's end and a bracket's depth are beyond doubt.
func prescanJSON(f File) hcl.Diagnostics {
	var raw json.RawMessage
	if err := json.Unmarshal(f.Bytes, &raw); err != nil {
		at := len(f.Bytes)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = max(0, int(syntax.Offset)-1)
		}
		if at >= len(bytes.TrimRight(f.Bytes, " \t\r\n")) {
			return hcl.Diagnostics{errorAt(rangeAt(f.Name, f.Bytes, len(f.Bytes), len(f.Bytes)), "Incomplete JSON", "The file ends before its outermost object is closed. Add what is missing, such as a \"}\".")}
		}
		return hcl.Diagnostics{errorAt(rangeAt(f.Name, f.Bytes, at, at+1), "Invalid JSON", jsonRemedy(f.Bytes, at))}
	}
	depth, items := 0, 0
	scan := &tokenScan{}
	for i := 0; i < len(f.Bytes); i++ {
		switch c := f.Bytes[i]; {
		case c == '{' || c == '[':
			depth++
			items++
		case c == '}' || c == ']':
			depth--
		case c == ',':
			items++
		case c == '"':
			end := jsonStringEnd(f.Bytes, i)
			if d := scanJSONString(scan, f, i, end); d.HasErrors() {
				return d
			}
			i = end - 1
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(f.Bytes) && bytes.IndexByte([]byte("+-.eE0123456789"), f.Bytes[end]) >= 0 {
				end++
			}
			if numberTooLong(f.Bytes[i:end]) {
				return hcl.Diagnostics{numberOutOfRange(rangeAt(f.Name, f.Bytes, i, end))}
			}
			i = end - 1
		}
		if depth > maxDepth {
			return hcl.Diagnostics{errorAt(rangeAt(f.Name, f.Bytes, i, i+1), "Nesting too deep", fmt.Sprintf("Objects and arrays are nested more than %d deep here.", maxDepth))}
		}
		if items+scan.tokens > maxTokens {
			return hcl.Diagnostics{errorAt(rangeAt(f.Name, f.Bytes, i, i+1), "File too large", fmt.Sprintf("The file has more than %d values. Split it, or move data to a datastore.", maxTokens))}
		}
	}
	return nil
}

// jsonStringEnd returns the place after the closing quote of the string that starts at i.
func jsonStringEnd(src []byte, i int) int {
	for i++; i < len(src) && src[i] != '"'; i++ {
		if src[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(src))
}

// scanJSONString scans the template inside of a JSON string.
func scanJSONString(scan *tokenScan, f File, from, to int) hcl.Diagnostics {
	lit := f.Bytes[from:to]
	scan.tokens++
	if bytes.IndexByte(lit, '{') < 0 && !bytes.Contains(lit, []byte(`\u`)) {
		return nil
	}
	var s string
	if json.Unmarshal(lit, &s) != nil {
		return nil
	}
	toks, _ := hclsyntax.LexTemplate([]byte(s), f.Name, hcl.InitialPos)
	diags := scan.check(toks)
	for _, d := range diags {
		rng := rangeAt(f.Name, f.Bytes, from, to)
		d.Subject = &rng
	}
	return diags
}

func jsonRemedy(src []byte, at int) string {
	before := bytes.TrimRight(src[:at], " \t\r\n")
	var last byte
	if len(before) > 0 {
		last = before[len(before)-1]
	}
	switch c := src[at]; {
	case last == ',' && (c == '}' || c == ']'):
		return "JSON allows no comma after the last item. Remove it."
	case c == '\'':
		return "JSON strings stand in double quotes, not single ones."
	case c == '/' || c == '#':
		return `JSON has no comments. Use a property named "//" instead.`
	case c == '\n' || c == '\r':
		return `A string ends on the line where it starts. Close it, and write line breaks as \n.`
	}
	return fmt.Sprintf("%q is not expected here. Look for a missing comma, quote or bracket before it.", rune(src[at]))
}
