package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maskText stands for what must not be shown.
const maskText = secret.Mask

// secretName are words in the names of attributes that hold secrets, also where no schema says so: in locals, in the
// files of values, and in files that do not parse.
var secretName = regexp.MustCompile(`(?i)(^|_)(password|passwd|passphrase|pwd|secret|token|sas|connection_string|credentials?|(private|access|account|api|signing|encryption|secret)_?key)(_(key|value|json|base64))?$`)

// learnSensitive notes the names of sensitive attributes.
func (c *Config) learnSensitive(s Schemas) {
	c.sensitive = map[string]bool{}
	for _, kind := range []string{"credential", "datastore", "topic"} {
		for _, label := range s.Labels(kind) {
			if body, ok := s.Lookup(kind, label); ok {
				_, fs := body.Declare()
				c.learnFields(fs)
			}
		}
	}
}

func (c *Config) learnFields(fs *schema.Fields) {
	for _, f := range fs.List {
		if f.Sensitive {
			c.sensitive[f.Name] = true
		}
	}
}

// learnVariables notes the names of sensitive variables, for the files that give them values.
func (c *Config) learnVariables() {
	for name, v := range c.vars {
		if v.Sensitive {
			c.sensitive["var."+name] = true
		}
	}
}

// isSensitive reports whether what is assigned to the name may be a secret.
func (c *Config) isSensitive(name string) bool {
	return c.sensitive[name] || name != "credential" && secretName.MatchString(name)
}

// maskSpans returns the parts of a file that must not be shown. It looks at words and signs alone, so that it works on
// files that do not parse too.
func (c *Config) maskSpans(s *source) []span {
	s.masksOnce.Do(func() {
		switch {
		case s.text:
			name := s.Name[strings.LastIndexAny(s.Name, " ")+1:]
			name = strings.TrimPrefix(name, "DSRUN_VAR_")
			if c.isSensitive(name) || c.sensitive["var."+name] {
				s.masks = []span{{0, len(s.Bytes)}}
			}
		case s.json:
			s.masks = c.maskJSON(s)
		default:
			s.masks = c.maskHCL(s)
		}
	})
	return s.masks
}

// sensitiveAt reports whether an attribute holds a secret; in is the header of the block around it.
func (c *Config) sensitiveAt(s *source, in []string, name string) bool {
	if c.isSensitive(name) {
		return true
	}
	if s.values {
		return s.broken || c.sensitive["var."+name] || c.vars[name] == nil
	}
	if name == "default" && len(in) >= 2 && in[0] == "variable" {
		return s.broken || c.sensitive["var."+in[1]] || c.isSensitive(in[1])
	}
	return false
}

// maskFrame is an open bracket or quote.
type maskFrame struct {
	open   hclsyntax.TokenType
	secret bool // everything inside is
	attr   bool // the attribute that is being read is
	header []string
}

// plainWords are words of expressions that are no text that lacks its quotes.
var plainWords = map[string]bool{"var": true, "local": true, "credential": true, "datastore": true, "topic": true,
	"true": true, "false": true, "null": true, "for": true, "in": true, "if": true, "secret": true}

func (c *Config) maskHCL(s *source) []span {
	toks, _ := hclsyntax.LexConfig(s.Bytes, s.Name, hcl.InitialPos)
	var out []span
	stack := []maskFrame{{}}
	var header []string // words of the line so far, which may be the header of a block
	for i, t := range toks {
		top := &stack[len(stack)-1]
		hidden := top.secret || top.attr
		body := top.open == 0 || top.open == hclsyntax.TokenOBrace
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			f := maskFrame{open: t.Type, secret: hidden}
			if text := t.Type == hclsyntax.TokenOQuote || t.Type == hclsyntax.TokenOHeredoc; text && body && len(header) > 0 && c.isSensitive(header[len(header)-1]) {
				f.secret = true // the equals sign is missing
			}
			switch t.Type {
			case hclsyntax.TokenOParen:
				switch fn := calledBefore(toks, i); {
				case fn == "env" || fn == "file" || strings.HasPrefix(fn, "secret::"):
					f.secret = false
				case fn == "sensitive":
					f.secret = true
				}
			case hclsyntax.TokenOBrace:
				f.header, header = header, nil
			}
			stack = append(stack, f)
			continue
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
			continue
		case hclsyntax.TokenNewline:
			if body {
				top.attr, header = false, nil
			}
			continue
		case hclsyntax.TokenComma:
			top.attr, header = false, nil
			continue
		case hclsyntax.TokenEqual, hclsyntax.TokenColon:
			if body && len(header) > 0 && !hidden {
				top.attr = c.sensitiveAt(s, top.header, header[len(header)-1])
				header = nil
			}
			continue
		case hclsyntax.TokenIdent:
			if !hidden {
				header = append(header, string(t.Bytes))
				continue
			}
			if next := toks[min(i+1, len(toks)-1)].Type; plainWords[string(t.Bytes)] || next == hclsyntax.TokenOParen || next == hclsyntax.TokenDoubleColon || afterDot(toks, i) {
				continue
			}
		case hclsyntax.TokenQuotedLit:
			if !hidden {
				header = append(header, string(t.Bytes))
			}
		case hclsyntax.TokenDot:
			if i > 0 && (plainWords[string(toks[i-1].Bytes)] || afterDot(toks, i-1)) {
				continue
			}
		case hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit, hclsyntax.TokenInvalid, hclsyntax.TokenBadUTF8, hclsyntax.TokenQuotedNewline,
			hclsyntax.TokenApostrophe, hclsyntax.TokenBacktick, hclsyntax.TokenSemicolon, hclsyntax.TokenSlash, hclsyntax.TokenPlus, hclsyntax.TokenMinus:
		default:
			continue
		}
		if hidden && t.Range.End.Byte > t.Range.Start.Byte {
			out = append(out, span{t.Range.Start.Byte, t.Range.End.Byte})
		}
	}
	if len(stack) > 1 || slices.ContainsFunc(toks, func(t hclsyntax.Token) bool { return t.Type == hclsyntax.TokenQuotedNewline }) {
		out = append(out, c.maskLines(s)...)
		slices.SortFunc(out, func(a, b span) int { return a.from - b.from })
	}
	return joinSpans(out)
}

// maskLines masks what follows the equals sign on lines that assign to a sensitive attribute. It is for files in which a
// quote or bracket is not closed: what stands inside of it is read as something else.
func (c *Config) maskLines(s *source) []span {
	var out []span
	at := 0
	for line := range bytes.Lines(s.Bytes) {
		name, value, ok := bytes.Cut(line, []byte("="))
		if word := string(bytes.TrimSpace(name)); ok && c.isSensitive(word) {
			end := at + len(bytes.TrimRight(line, "\r\n"))
			if from := at + len(line) - len(bytes.TrimLeft(value, " \t")); from < end {
				out = append(out, span{from, end})
			}
		}
		at += len(line)
	}
	return out
}

// calledBefore returns the name of the function whose opening parenthesis is token i.
func calledBefore(toks hclsyntax.Tokens, i int) string {
	var parts []string
	for i--; i >= 0; i-- {
		if t := toks[i]; t.Type == hclsyntax.TokenIdent {
			parts = append(parts, string(t.Bytes))
		} else if t.Type != hclsyntax.TokenDoubleColon {
			break
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, "::")
}

func afterDot(toks hclsyntax.Tokens, i int) bool {
	for ; i >= 2 && toks[i-1].Type == hclsyntax.TokenDot && toks[i-2].Type == hclsyntax.TokenIdent; i -= 2 {
		if plainWords[string(toks[i-2].Bytes)] {
			return true
		}
	}
	return false
}

// joinSpans joins spans that touch.
func joinSpans(in []span) []span {
	var out []span
	for _, s := range in {
		if n := len(out); n > 0 && out[n-1].to >= s.from {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// maskJSON works on JSON whose strings are known to end, or on the start of a file that is not well-formed.
func (c *Config) maskJSON(s *source) []span {
	var out []span
	type frame struct {
		name   string
		secret bool
	}
	stack := []frame{{}}
	key := ""
	for i := 0; i < len(s.Bytes); i++ {
		switch b := s.Bytes[i]; b {
		case '{', '[':
			top := stack[len(stack)-1]
			f := frame{name: key, secret: top.secret || c.jsonSecret(s, key, func(n int) string {
				if at := len(stack) - n; at >= 0 {
					return stack[at].name
				}
				return ""
			})}
			if b == '[' && key == "" {
				f.name = top.name
			}
			stack, key = append(stack, f), ""
		case '}', ']':
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
		case '"':
			end := jsonStringEnd(s.Bytes, i)
			if nl := strings.IndexByte(string(s.Bytes[i:end]), '\n'); nl >= 0 {
				end = i + nl // an unclosed string
			}
			rest := strings.TrimLeft(string(s.Bytes[end:min(len(s.Bytes), end+64)]), " \t\r\n")
			if strings.HasPrefix(rest, ":") {
				key = strings.Trim(string(s.Bytes[i:end]), `"`)
			} else {
				top := stack[len(stack)-1]
				if top.secret || c.jsonSecret(s, key, func(n int) string {
					if at := len(stack) - n; at >= 0 {
						return stack[at].name
					}
					return ""
				}) {
					out = append(out, span{i + 1, max(i+1, end-1)})
				}
				key = ""
			}
			i = max(i, end-1)
		case ',':
			key = ""
		default:
			if key != "" && b > ' ' && b != ':' && (stack[len(stack)-1].secret || c.isSensitive(key)) {
				out = append(out, span{i, i + 1})
			}
		}
	}
	return joinSpans(out)
}

// jsonSecret is sensitiveAt for JSON: above(1) is the name of the object around, above(2) of the one around that.
func (c *Config) jsonSecret(s *source, key string, above func(int) string) bool {
	return key != "" && c.sensitiveAt(s, []string{above(2), above(1)}, key)
}
