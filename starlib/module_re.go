package starlib

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.starlark.net/starlark"
)

// maxPattern bounds a regular expression, in bytes; maxCached how many compiled ones are kept.
const (
	maxPattern = 16 << 10
	maxCached  = 256
)

// patterns caches compiled expressions for all runs.
var patterns = struct {
	sync.Mutex
	m map[string]*regexp.Regexp
}{m: map[string]*regexp.Regexp{}}

// compile returns the compiled pattern. RE2 matches in time linear in the text whatever the pattern is.
func compile(c *Call, pattern string) (*regexp.Regexp, error) {
	patterns.Lock()
	re := patterns.m[pattern]
	patterns.Unlock()
	if re != nil {
		return re, nil
	}
	if len(pattern) > maxPattern {
		return nil, c.Errorf("for parameter pattern: %s is too long, at most %s", formatBytes(int64(len(pattern))), formatBytes(maxPattern))
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, c.Errorf("for parameter pattern: %w", err)
	}
	patterns.Lock()
	defer patterns.Unlock()
	if len(patterns.m) >= maxCached {
		clear(patterns.m)
	}
	patterns.m[strings.Clone(pattern)] = re
	return re, nil
}

var reModule = NewModule("re", "Regular expressions in RE2 syntax, which match in linear time: no backreferences, no lookaround.", nil,
	declareFind("match", "The match of a pattern at the beginning of a text, or None.", `
re.match("([a-z]+)-(?P<n>[0-9]+)", "part-0042.csv")["n"]  # -> "0042"
re.match("b", "abc")  # -> None
`, func(loc []int, s string) bool { return loc[0] == 0 }),
	declareFind("fullmatch", "The match of a pattern with a whole text, or None.", `
re.fullmatch("[0-9]+", "12a")  # -> None
`, func(loc []int, s string) bool { return loc[0] == 0 && loc[1] == len(s) }),
	declareFind("search", "The first match of a pattern in a text, or None.", `
re.search("[0-9]+", "part-0042.csv").text  # -> "0042"
re.search("[0-9]+", "part-0042.csv").start  # -> 5
`, func(loc []int, s string) bool { return true }),
	Declare(Func{Name: "re.findall", Doc: "All matches of a pattern: texts, or tuples of the groups' texts when it has two groups or more, or the group's text when it has one.", Returns: "list", Example: `
re.findall("[0-9]+", "1, 22 and 333")  # -> ["1", "22", "333"]
re.findall("([a-z])=([0-9])", "a=1 b=2")  # -> [("a", "1"), ("b", "2")]
`}, func(p *Params) Impl {
		pattern, text := p.String("pattern", "The pattern."), p.String("text", "The text.")
		return func(c *Call) (starlark.Value, error) {
			s := text.Get(c)
			re, locs, err := findAll(c, pattern.Get(c), s, -1)
			if err != nil {
				return nil, err
			}
			groups := re.NumSubexp()
			if err := c.Run.Charge(int64(len(locs)) * int64(40+32*groups)); err != nil {
				return nil, err
			}
			out := make([]starlark.Value, len(locs))
			for i, loc := range locs {
				switch groups {
				case 0:
					out[i] = starlark.String(s[loc[0]:loc[1]])
				case 1:
					out[i] = groupText(s, loc, 1, starlark.String(""))
				default:
					t := make(starlark.Tuple, groups)
					for g := range t {
						t[g] = groupText(s, loc, g+1, starlark.String(""))
					}
					out[i] = t
				}
			}
			return starlark.NewList(out), nil
		}
	}),
	Declare(Func{Name: "re.sub", Doc: "A text with the matches of a pattern replaced: by a text, in which \\1 and \\g<name> are groups, or by what a function of the match returns.", Returns: "string", Example: `
re.sub("([0-9]+)-([0-9]+)", "\\2-\\1", "10-20")  # -> "20-10"
re.sub("[a-z]", lambda m: m.text.upper(), "a1b2", count = 1)  # -> "A1b2"
`}, func(p *Params) Impl {
		pattern := p.String("pattern", "The pattern.")
		repl := p.Value("repl", "The replacement.", "string", "function")
		text := p.String("text", "The text.")
		limit := p.Int("count", "How many matches are replaced; 0 means all.").Default(0)
		return func(c *Call) (starlark.Value, error) {
			n := int(limit.Get(c))
			if n <= 0 {
				n = -1
			}
			s := text.Get(c)
			re, locs, err := findAll(c, pattern.Get(c), s, n)
			if err != nil {
				return nil, err
			}
			expand, err := replacement(c, re, repl.Get(c), s)
			if err != nil {
				return nil, err
			}
			b, last := builder{run: c.Run}, 0
			for _, loc := range locs {
				if err := b.write(s[last:loc[0]]); err != nil {
					return nil, err
				}
				if err := expand(&b, loc); err != nil {
					return nil, err
				}
				last = loc[1]
			}
			if err := b.write(s[last:]); err != nil {
				return nil, err
			}
			return starlark.String(b.String()), nil
		}
	}),
	Declare(Func{Name: "re.split", Doc: "The parts of a text between the matches of a pattern.", Returns: "list[string]", Example: `
re.split("[,;] *", "a, b;c")  # -> ["a", "b", "c"]
`}, func(p *Params) Impl {
		pattern, text := p.String("pattern", "The pattern."), p.String("text", "The text.")
		limit := p.Int("maxsplit", "How many times to split; 0 means as often as possible.").Default(0)
		return func(c *Call) (starlark.Value, error) {
			n := int(limit.Get(c))
			if n <= 0 {
				n = -1
			}
			s := text.Get(c)
			_, locs, err := findAll(c, pattern.Get(c), s, n)
			if err != nil {
				return nil, err
			}
			if err := c.Run.Charge(int64(len(locs)+1) * 48); err != nil {
				return nil, err
			}
			out, last := []starlark.Value{}, 0
			for _, loc := range locs {
				out = append(out, starlark.String(s[last:loc[0]]))
				last = loc[1]
			}
			return starlark.NewList(append(out, starlark.String(s[last:]))), nil
		}
	}),
	Declare(Func{Name: "re.escape", Doc: "A pattern that matches a text as it is.", Returns: "string", Example: `re.escape("a.b*")  # -> "a\\.b\\*"`}, func(p *Params) Impl {
		text := p.String("text", "The text.")
		return func(c *Call) (starlark.Value, error) {
			if err := c.Run.Charge(2 * int64(len(text.Get(c)))); err != nil {
				return nil, err
			}
			return starlark.String(regexp.QuoteMeta(text.Get(c))), nil
		}
	}),
)

func declareFind(word, doc, example string, fits func(loc []int, s string) bool) *Function {
	return Declare(Func{Name: "re." + word, Doc: doc, Returns: "match or None", Example: example}, func(p *Params) Impl {
		pattern, text := p.String("pattern", "The pattern."), p.String("text", "The text.")
		return func(c *Call) (starlark.Value, error) {
			s, pat := text.Get(c), pattern.Get(c)
			switch word { // anchored, so that the leftmost match elsewhere does not hide it
			case "match":
				pat = `\A(?:` + pat + `)`
			case "fullmatch":
				pat = `\A(?:` + pat + `)\z`
			}
			re, err := compile(c, pat)
			if err != nil {
				return nil, err
			}
			loc := re.FindStringSubmatchIndex(s)
			if loc == nil || !fits(loc, s) {
				return nil, nil
			}
			return &match{re: re, s: s, loc: loc}, nil
		}
	})
}

// findAll returns up to n matches. What they take is charged while their number is found out.
func findAll(c *Call, pattern, s string, n int) (*regexp.Regexp, [][]int, error) {
	re, err := compile(c, pattern)
	if err != nil {
		return nil, nil, err
	}
	each := int64(32 + 16*(re.NumSubexp()+1))
	for try := 1 << 16; ; try *= 4 {
		if n >= 0 {
			try = min(try, n)
		}
		try = min(try, len(s)+1)
		if err := c.Run.Charge(int64(try) * each); err != nil {
			return nil, nil, err
		}
		locs := re.FindAllStringSubmatchIndex(s, try)
		if len(locs) < try || try == n || try == len(s)+1 {
			return re, locs, nil
		}
	}
}

func groupText(s string, loc []int, g int, none starlark.Value) starlark.Value {
	if loc[2*g] < 0 {
		return none
	}
	return starlark.String(s[loc[2*g]:loc[2*g+1]])
}

// replacement returns what writes that which a match becomes.
func replacement(c *Call, re *regexp.Regexp, repl starlark.Value, s string) (func(b *builder, loc []int) error, error) {
	switch r := repl.(type) {
	case starlark.Callable:
		return func(b *builder, loc []int) error {
			v, err := c.Run.Call(c.Thread, r, starlark.Tuple{&match{re: re, s: s, loc: loc}}, nil)
			if err != nil {
				return err
			}
			text, ok := starlark.AsString(v)
			if !ok {
				return c.Errorf("the function returned %s, want string", v.Type())
			}
			return b.write(text)
		}, nil
	case starlark.String:
		parts, err := template(c, re, string(r))
		if err != nil {
			return nil, err
		}
		return func(b *builder, loc []int) error {
			for _, p := range parts {
				text := p.text
				if p.group >= 0 && loc[2*p.group] >= 0 {
					text = s[loc[2*p.group]:loc[2*p.group+1]]
				}
				if err := b.write(text); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	return nil, c.Bad("repl", repl, "string or function")
}

// piece is a part of a replacement: a text, or a group when group >= 0.
type piece struct {
	text  string
	group int
}

func template(c *Call, re *regexp.Regexp, t string) ([]piece, error) {
	var parts []piece
	for {
		i := strings.IndexByte(t, '\\')
		if i < 0 || i == len(t)-1 {
			return append(parts, piece{t, -1}), nil
		}
		parts = append(parts, piece{t[:i], -1})
		t = t[i+1:]
		group := -1
		switch {
		case t[0] >= '0' && t[0] <= '9':
			group, t = int(t[0]-'0'), t[1:]
		case strings.HasPrefix(t, "g<") && strings.Contains(t, ">"):
			name, rest, _ := strings.Cut(t[2:], ">")
			t = rest
			if group = re.SubexpIndex(name); group < 0 {
				if _, err := fmt.Sscanf(name, "%d", &group); err != nil {
					return nil, c.Errorf("for parameter repl: the pattern has no group %q%s", bound(name, 40), didYouMean(name, re.SubexpNames(), `"`))
				}
			}
		case t[0] == '\\':
			parts, t = append(parts, piece{`\`, -1}), t[1:]
			continue
		case t[0] == 'n':
			parts, t = append(parts, piece{"\n", -1}), t[1:]
			continue
		default:
			return nil, c.Errorf("for parameter repl: unknown escape \\%c", t[0])
		}
		if group < 0 || group > re.NumSubexp() {
			return nil, c.Errorf("for parameter repl: the pattern has no group %d", group)
		}
		parts = append(parts, piece{"", group})
	}
}

// match is one match: m.text, m[1], m["name"].
type match struct {
	re  *regexp.Regexp
	s   string
	loc []int
}

var matchType = NewMethods("match", "A match of a regular expression. m[0] is its text, m[1] the first group, m[\"name\"] a named group; None for a group that took no part.", []AttrDoc{
	{"text", "string", "The text that matched."},
	{"start", "int", "Where it begins, in bytes."},
	{"end", "int", "Where it ends."},
	{"groups", "tuple", "The texts of the groups."},
	{"named", "dict", "The texts of the named groups."},
})

// Attr implements starlark.HasAttrs.
func (m *match) Attr(name string) (starlark.Value, error) {
	switch name {
	case "text":
		return starlark.String(m.s[m.loc[0]:m.loc[1]]), nil
	case "start":
		return starlark.MakeInt(m.loc[0]), nil
	case "end":
		return starlark.MakeInt(m.loc[1]), nil
	case "groups":
		t := make(starlark.Tuple, m.re.NumSubexp())
		for i := range t {
			t[i] = groupText(m.s, m.loc, i+1, starlark.None)
		}
		return t, nil
	case "named":
		d := starlark.NewDict(0)
		for i, n := range m.re.SubexpNames() {
			if n != "" {
				_ = d.SetKey(starlark.String(n), groupText(m.s, m.loc, i, starlark.None)) // a new dict takes string keys
			}
		}
		return d, nil
	}
	return nil, nil
}

// AttrNames implements starlark.HasAttrs.
func (m *match) AttrNames() []string { return matchType.Names() }

// Get implements starlark.Mapping.
func (m *match) Get(k starlark.Value) (starlark.Value, bool, error) {
	switch k := k.(type) {
	case starlark.Int:
		if i, ok := k.Int64(); ok && i >= 0 && i <= int64(m.re.NumSubexp()) {
			return groupText(m.s, m.loc, int(i), starlark.None), true, nil
		}
	case starlark.String:
		if i := m.re.SubexpIndex(string(k)); i >= 0 {
			return groupText(m.s, m.loc, i, starlark.None), true, nil
		}
	}
	return nil, false, nil
}

func (m *match) String() string {
	return fmt.Sprintf("match(%d, %d, %s)", m.loc[0], m.loc[1], starlark.String(bound(m.s[m.loc[0]:m.loc[1]], 100)))
}
func (m *match) Type() string          { return "match" }
func (m *match) Freeze()               {}
func (m *match) Truth() starlark.Bool  { return true }
func (m *match) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: match") }
