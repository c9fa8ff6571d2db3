package store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/dsrun/dsrun/engine/fault"
)

// pattern is a compiled glob over whole keys, with the meaning of doublestar v4
// (https://github.com/bmatcuk/doublestar): * and ? within a segment, ** as a whole segment across, [class], {a,b}, and \
// before a character that stands for itself. `a/**` is what lies below a/, not an object named a.
type pattern struct {
	prefix  string // literal; every match starts with it
	literal bool   // prefix is the one key that matches
	match   func(key string) bool
}

// maxWays bounds the combinations of alternatives in one pattern: {a,b}{c,d} has four.
const maxWays = 1000

const meta = `*?[{\`

// compilePattern reads a glob. An error says where it is wrong and what to write instead.
func compilePattern(text string) (pattern, error) {
	if text == "" || text == "**" {
		return pattern{match: nil}, nil
	}
	if err := checkPattern(text); err != nil {
		return pattern{}, err
	}
	i := 0
	var prefix strings.Builder
	for i < len(text) && (text[i] == '\\' || !strings.ContainsRune(meta, rune(text[i]))) {
		if text[i] == '\\' {
			i++
		}
		prefix.WriteByte(text[i])
		i++
	}
	p := pattern{prefix: prefix.String()}
	if i == len(text) {
		p.literal = true
		p.match = func(key string) bool { return key == p.prefix }
		return p, nil
	}
	rest := text[i:]
	n := len(p.prefix)
	atDir := n == 0 || p.prefix[n-1] == '/'
	tail, hasTail := strings.CutPrefix(rest, "**/*")
	one, hasOne := strings.CutPrefix(rest, "*")
	switch {
	case rest == "**" && atDir:
		p.match = func(key string) bool { return strings.HasPrefix(key, p.prefix) }
	case hasTail && atDir && !strings.ContainsAny(tail, meta+"/"):
		p.match = func(key string) bool {
			return strings.HasPrefix(key, p.prefix) && strings.HasSuffix(key[n:], tail)
		}
	case hasOne && !strings.ContainsAny(one, meta+"/"):
		p.match = func(key string) bool {
			return strings.HasPrefix(key, p.prefix) && strings.HasSuffix(key[n:], one) && strings.IndexByte(key[n:], '/') < 0
		}
	default:
		p.match = func(key string) bool {
			return strings.HasPrefix(key, p.prefix) && doublestar.MatchUnvalidated(text, key)
		}
	}
	return p, nil
}

// checkPattern finds the first thing wrong in a glob.
func checkPattern(text string) error {
	bad := func(pos int, what, remedy string) error {
		return fault.Hinted(fault.InvalidArgument, remedy, "pattern %q: %s at position %d", text, what, pos+1)
	}
	type group struct{ pos, choices int }
	var braces []group
	ways := 1
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i == len(text) {
				return bad(i-1, `a lone "\"`, `Write "\\" for a backslash in the key.`)
			}
		case '[':
			end := classEnd(text, i)
			if end < 0 {
				return bad(i, `a "[" that is not closed or is empty`, `Close it as in [a-z], or write "\[" for a bracket in the key.`)
			}
			i = end
		case '*':
			end := i + 1
			for end < len(text) && text[end] == '*' {
				end++
			}
			// Elsewhere **.csv reaches into folders; here it would silently not.
			if end-i > 1 && (i > 0 && !strings.ContainsRune("/{,", rune(text[i-1])) || end < len(text) && !strings.ContainsRune("/},", rune(text[end]))) {
				return bad(i, `"**" is not a segment of its own`, `Write "**/*.csv" for all below, or "*.csv" for one level.`)
			}
			i = end - 1
		case '{':
			braces = append(braces, group{i, 1})
		case ',':
			if len(braces) > 0 {
				braces[len(braces)-1].choices++
			}
		case '}':
			if len(braces) == 0 {
				return bad(i, `a "}" without its "{"`, `Write "\}" for a brace in the key.`)
			}
			// Each key may have to be held against every combination: hundreds of them would stop a listing.
			if ways *= braces[len(braces)-1].choices; ways > maxWays {
				return bad(braces[len(braces)-1].pos, fmt.Sprintf("more than %d combinations of alternatives", maxWays), "List with a simpler pattern, or in several listings.")
			}
			braces = braces[:len(braces)-1]
		}
	}
	if len(braces) > 0 {
		return bad(braces[len(braces)-1].pos, `a "{" that is not closed`, `Close it as in {a,b}, or write "\{" for a brace in the key.`)
	}
	if strings.IndexByte(text, 0) >= 0 {
		return bad(strings.IndexByte(text, 0), "a NUL byte", "Take it out: no key holds one.")
	}
	if !utf8.ValidString(text) {
		return fault.New(fault.InvalidArgument, "pattern %q is not valid UTF-8", text)
	}
	if !doublestar.ValidatePattern(text) { // what the checks above may have missed
		return fault.New(fault.InvalidArgument, "pattern %q is not valid", text)
	}
	return nil
}

// classEnd returns the position of the "]" that ends the class at i, or -1.
func classEnd(text string, i int) int {
	i++
	if i < len(text) && (text[i] == '^' || text[i] == '!') {
		i++
	}
	if i >= len(text) || text[i] == ']' {
		return -1
	}
	for ; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ']':
			return i
		}
	}
	return -1
}

// String names the pattern for messages.
func (p pattern) String() string { return fmt.Sprintf("%q", p.prefix) }
