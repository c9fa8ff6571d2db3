package starlib

import (
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// pythonHints say what stands in for the parts of Python that Starlark does not have, by the word that the parser or
// resolver stumbles over.
var pythonHints = map[string]string{
	"import":   `Nothing needs to be imported: ds, json, re and the others are there. load("//lib/x.star", "f") takes from files of yours.`,
	"from":     `Nothing needs to be imported: ds, json, re and the others are there. load("//lib/x.star", "f") takes from files of yours.`,
	"class":    `Starlark has no classes: use functions, dicts and struct(name = value).`,
	"try":      `Starlark has no exceptions: value, err = catch(fn, argument).`,
	"except":   `Starlark has no exceptions: value, err = catch(fn, argument).`,
	"finally":  `Starlark has no exceptions: value, err = catch(fn, argument).`,
	"raise":    `Starlark has no exceptions: fail("what is wrong") ends the script.`,
	"assert":   `Write: if not condition: fail("what is wrong").`,
	"with":     `Nothing needs to be closed: dsrun closes what it opens. ds.NAME.create(path, fn) writes step by step.`,
	"yield":    `Starlark has no generators: return a list, or a stream such as stream.of(items).map(fn).`,
	"is":       `Compare with == and !=.`,
	"del":      `Use d.pop(key) for dicts and l.pop(index) for lists.`,
	"global":   `Functions cannot assign to globals: return the value.`,
	"nonlocal": `Functions cannot assign to the variables around them: return the value, or change a dict or list.`,
	"while":    `Use a for loop with break, such as: for _ in range(1000).`,
}

// pythonHint returns the remedy for a mistake that is right in Python, or "".
func pythonHint(msg, line string, col int) string {
	if strings.Contains(msg, "does not support while loops") {
		return pythonHints["while"]
	}
	if _, got, ok := strings.Cut(msg, "got "); ok {
		word, _, _ := strings.Cut(strings.Trim(got, "'"), ",")
		if h := pythonHints[strings.Trim(word, "' ")]; h != "" {
			return h
		}
		if strings.HasPrefix(got, "string literal") {
			if before := strings.TrimRight(firstChars(line, col), " "); strings.Contains(before, `f"`) || strings.Contains(before, "f'") {
				return `Starlark has no f-strings: fmt("{} of {}", a, b).`
			}
			if strings.HasPrefix(strings.TrimSpace(line), "print ") {
				return `Write print("...") with parentheses.`
			}
		}
	}
	if word, _, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
		return pythonHints[word]
	}
	return ""
}

func firstChars(s string, n int) string {
	r := []rune(s)
	return string(r[:min(max(n, 0), len(r))])
}

// hinted adds a hint to an error of a source.
func (e *ScriptError) hinted(hint string) *ScriptError {
	if hint != "" {
		e.Err = fault.Hinted(fault.InvalidArgument, hint, "%s", e.Message)
	}
	return e
}
