package starlib

import (
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.starlark.net/starlark"
)

var pathModule = NewModule("path", "Object names and paths, which are written with /.", nil,
	Declare(Func{
		Name: "path.join", Doc: "Joins parts with one / between them. Empty parts are left out; .. and . are kept as they are.", Returns: "string",
		Example: `path.join("a/", "b", "", "c.csv")  # -> "a/b/c.csv"`,
	}, func(p *Params) Impl {
		parts := p.Rest("parts", "The parts, strings.")
		return func(c *Call) (starlark.Value, error) {
			var b strings.Builder
			for i, v := range parts.Get(c) {
				s, ok := starlark.AsString(v)
				if !ok {
					return nil, c.Errorf("for argument %d: got %s, want string", i+1, v.Type())
				}
				if b.Len() > 0 {
					s = strings.TrimLeft(s, "/")
				}
				if s == "" {
					continue
				}
				if b.Len() > 0 && !strings.HasSuffix(b.String(), "/") {
					b.WriteByte('/')
				}
				if err := c.Run.Charge(int64(len(s))); err != nil {
					return nil, err
				}
				b.WriteString(s)
			}
			return starlark.String(b.String()), nil
		}
	}),
	pathPart("base", "The last part of a path: the name without its folders.", `path.base("a/b/c.csv.gz")  # -> "c.csv.gz"`, pathBase),
	pathPart("dir", "The folders of a path without the last part; \"\" when there are none.", `path.dir("a/b/c.csv")  # -> "a/b"`, func(s string) string {
		return s[:max(0, strings.LastIndexByte(s, '/'))]
	}),
	pathPart("ext", "The suffix of the name with its dot, or \"\".", `path.ext("a/b/c.csv.gz")  # -> ".gz"`, func(s string) string {
		return pathExt(pathBase(s))
	}),
	pathPart("stem", "The name without its folders and without its suffix.", `path.stem("a/b/c.csv")  # -> "c"`, func(s string) string {
		b := pathBase(s)
		return strings.TrimSuffix(b, pathExt(b))
	}),
	Declare(Func{
		Name: "path.match", Doc: "Reports whether a path matches a glob: * within a part, ** over parts, ? one character, [abc], {a,b}.", Returns: "bool",
		Example: `
path.match("train/**/*.{csv,jsonl}", "train/2026/01/a.csv")  # -> True
path.match("*.csv", "a/b.csv")  # -> False
`,
	}, func(p *Params) Impl {
		pattern := p.String("pattern", "The glob.")
		name := p.String("name", "The path.")
		return func(c *Call) (starlark.Value, error) {
			ok, err := doublestar.Match(pattern.Get(c), name.Get(c))
			if err != nil {
				return nil, c.Errorf("invalid glob %q: %w", bound(pattern.Get(c), 80), err)
			}
			return starlark.Bool(ok), nil
		}
	}),
)

func pathPart(word, doc, example string, part func(string) string) *Function {
	return Declare(Func{Name: "path." + word, Doc: doc, Returns: "string", Example: example}, func(p *Params) Impl {
		s := p.String("path", "The path.")
		return func(c *Call) (starlark.Value, error) { return starlark.String(part(s.Get(c))), nil }
	})
}

func pathBase(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// pathExt returns the suffix of a name. A name that only begins with a dot has none.
func pathExt(base string) string {
	ext := path.Ext(base)
	if ext == base {
		return ""
	}
	return ext
}
