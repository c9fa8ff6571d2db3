package config

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The limits of a source file. HCL's parsers and evaluator recurse, and a Go stack that outgrows its limit ends the
// process, so nothing beyond these reaches them. They lie far above what a person or a generator writes.
const (
	maxFile   = 1 << 20 // bytes
	maxDepth  = 200     // nested brackets, quotes, templates and directives
	maxTokens = 200_000
	maxChain  = 500       // operators, indexes and dots in one expression, outside of nested brackets
	maxDigits = 400       // digits, or exponent, of a number
	maxJoin   = 512 << 20 // bytes that HCL copies when it joins the lines of one text: it joins them one by one
)

// prescan refuses source that would be dangerous to parse. It runs in linear time and does not recurse.
func prescan(f File, json bool) hcl.Diagnostics {
	if len(f.Bytes) > maxFile {
		return hcl.Diagnostics{errorAt(startOf(f.Name), "File too large",
			fmt.Sprintf("The file has %d bytes, and a configuration file may have %d. Move data to a datastore and read it from there.", len(f.Bytes), maxFile))}
	}
	if i := badByte(f.Bytes); i >= 0 {
		rng := rangeAt(f.Name, f.Bytes, i, i+1)
		if bytes.HasPrefix(f.Bytes, []byte("\xff\xfe")) || bytes.HasPrefix(f.Bytes, []byte("\xfe\xff")) {
			return hcl.Diagnostics{errorAt(startOf(f.Name), "Invalid character encoding", "The file is UTF-16. Save it as UTF-8.")}
		}
		if f.Bytes[i] == 0 {
			return hcl.Diagnostics{errorAt(rng, "NUL byte", "The file holds a NUL byte: it is not a text file, or it was damaged. Write it again as UTF-8 text.")}
		}
		return hcl.Diagnostics{errorAt(rng, "Invalid character encoding", fmt.Sprintf("The byte 0x%02x does not belong to a UTF-8 character. Save the file as UTF-8.", f.Bytes[i]))}
	}
	if json {
		return prescanJSON(f)
	}
	if at := tooManyWords(f.Bytes); at >= 0 {
		return hcl.Diagnostics{tooManyTokens(rangeAt(f.Name, f.Bytes, at, at+1))}
	}
	toks, _ := hclsyntax.LexConfig(f.Bytes, f.Name, hcl.InitialPos)
	return (&tokenScan{}).check(toks)
}

// tooManyWords returns the place where a file has twice as many words and signs as it may have, or -1. It counts those
// in texts and comments too, roughly, and takes no memory: each token that HCL's scanner returns takes a hundred bytes.
func tooManyWords(b []byte) int {
	n, inWord := 0, false
	for i, c := range b {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
		if c == '\n' || c > ' ' && (!word || !inWord) {
			if n++; n > 2*maxTokens {
				return i
			}
		}
		inWord = word
	}
	return -1
}

func tooManyTokens(rng hcl.Range) *hcl.Diagnostic {
	return errorAt(rng, "File too large", fmt.Sprintf("The file has more than %d words and signs. Split it, or move data to a datastore.", maxTokens))
}

// prescanExpr does for the text of one expression what prescan does for a file.
func prescanExpr(src []byte, name string) hcl.Diagnostics {
	if d := prescan(File{Name: name, Bytes: src}, false); d.HasErrors() {
		return d
	}
	toks, _ := hclsyntax.LexExpression(src, name, hcl.InitialPos)
	return (&tokenScan{}).check(toks)
}

// badByte returns the place of the first NUL or invalid UTF-8 byte, or -1.
func badByte(b []byte) int {
	if bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == 0 || (r == utf8.RuneError && n == 1) {
			return i
		}
		i += n
	}
	return -1
}

// tokenScan counts what recursion in the parser and evaluator depends on.
type tokenScan struct {
	tokens     int
	stack      []scanFrame
	directives int // open %{ if } and %{ for }
}

type scanFrame struct {
	open  hclsyntax.TokenType
	chain int
	text  int // bytes of literal text
	join  int // bytes copied to join it
}

// check scans tokens and returns one diagnostic at the first place beyond a limit.
func (s *tokenScan) check(toks hclsyntax.Tokens) hcl.Diagnostics {
	s.stack = append(s.stack[:0], scanFrame{})
	s.directives = 0
	var prev hclsyntax.TokenType
	for _, t := range toks {
		if s.tokens++; s.tokens > maxTokens {
			return hcl.Diagnostics{tooManyTokens(t.Range)}
		}
		top := &s.stack[len(s.stack)-1]
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen:
			top.chain++
			s.stack = append(s.stack, scanFrame{open: t.Type})
		case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			s.stack = append(s.stack, scanFrame{open: t.Type})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(s.stack) > 1 {
				s.stack = s.stack[:len(s.stack)-1]
			}
		case hclsyntax.TokenComma, hclsyntax.TokenEqual:
			top.chain = 0
		case hclsyntax.TokenNewline:
			if top.open == 0 || top.open == hclsyntax.TokenOBrace {
				top.chain = 0
			}
		case hclsyntax.TokenIdent:
			if prev == hclsyntax.TokenTemplateControl {
				s.directive(string(t.Bytes))
			}
		case hclsyntax.TokenStringLit, hclsyntax.TokenQuotedLit:
			top.text += len(t.Bytes)
			if top.join += top.text; top.join > maxJoin {
				return hcl.Diagnostics{errorAt(t.Range, "Text too long", "The text has too many lines. Put it into a file of its own and read that with the function file, or keep it in a datastore.")}
			}
		case hclsyntax.TokenNumberLit:
			if numberTooLong(t.Bytes) {
				return hcl.Diagnostics{numberOutOfRange(t.Range)}
			}
		case hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenPercent,
			hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenBang,
			hclsyntax.TokenQuestion, hclsyntax.TokenDot, hclsyntax.TokenDoubleColon, hclsyntax.TokenEllipsis, hclsyntax.TokenFatArrow:
			top.chain++
		}
		if len(s.stack)+s.directives > maxDepth {
			return hcl.Diagnostics{errorAt(t.Range, "Nesting too deep",
				fmt.Sprintf("Brackets, quotes and templates are nested more than %d deep here. Name parts of the expression in a locals block.", maxDepth))}
		}
		if top := &s.stack[len(s.stack)-1]; top.chain > maxChain {
			return hcl.Diagnostics{errorAt(t.Range, "Expression too long",
				fmt.Sprintf("The expression has more than %d operators. Name parts of it in a locals block.", maxChain))}
		}
		prev = t.Type
	}
	return nil
}

func (s *tokenScan) directive(word string) {
	switch word {
	case "if", "for":
		s.directives++
	case "endif", "endfor":
		s.directives = max(0, s.directives-1)
	}
}

func numberOutOfRange(rng hcl.Range) *hcl.Diagnostic {
	return errorAt(rng, "Number out of range", fmt.Sprintf("A number may have %d digits, and an exponent up to %d.", maxDigits, maxDigits))
}

// numberTooLong reports whether the text of a number has too many digits or too large an exponent to be written out.
func numberTooLong(b []byte) bool {
	if len(b) > maxDigits {
		return true
	}
	i := bytes.IndexAny(b, "eE")
	if i < 0 {
		return false
	}
	n := 0
	for _, c := range b[i+1:] {
		if c >= '0' && c <= '9' {
			if n = n*10 + int(c-'0'); n > maxDigits {
				return true
			}
		}
	}
	return false
}

// errorAt returns an error at a place.
func errorAt(rng hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng}
}

func startOf(name string) hcl.Range {
	return hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// rangeAt returns the place of the bytes from..to; columns are counted in characters.
func rangeAt(name string, src []byte, from, to int) hcl.Range {
	return hcl.Range{Filename: name, Start: posAt(src, from), End: posAt(src, to)}
}

func posAt(src []byte, at int) hcl.Pos {
	at = max(0, min(at, len(src)))
	line := 1 + bytes.Count(src[:at], []byte{'\n'})
	start := bytes.LastIndexByte(src[:at], '\n') + 1
	return hcl.Pos{Line: line, Column: 1 + utf8.RuneCount(src[start:at]), Byte: at}
}
