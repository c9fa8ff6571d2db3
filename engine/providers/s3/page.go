package s3

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// listPage is a decoded page of ListObjectsV2.
type listPage struct {
	entries   []store.Entry
	prefixes  []string
	truncated bool
	next      string
	keyCount  int // -1: not said
}

// decodePage reads a page of ListObjectsV2: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html. It
// reads the bytes once, without reflection and with two allocations for all texts, and is strict: what is cut, of
// another kind, or said twice is an error. Elements that are not known are skipped.
//
// The page's keys and ETags share their memory; it is freed when none of them is held any more.
func decodePage(b []byte) (listPage, error) {
	scratch := scratches.Get().(*pageScratch)
	defer scratches.Put(scratch)
	p := pageDecoder{b: b, page: listPage{keyCount: -1}, pageScratch: scratch}
	p.texts, p.rows, p.prefixes = p.texts[:0], p.rows[:0], p.prefixes[:0]
	if err := p.document(); err != nil {
		return listPage{}, fmt.Errorf("the page of the listing is no valid reply, near byte %d: %w", p.i, err)
	}
	if err := p.settle(); err != nil {
		return listPage{}, err
	}
	return p.page, nil
}

// span is a text in pageDecoder.texts.
type span struct{ from, to int }

type row struct {
	key, etag span
	size      int64
	modified  time.Time
}

type pageDecoder struct {
	b       []byte
	i       int
	encoded bool // keys are percent-encoded
	page    listPage
	*pageScratch

	day   [10]byte // the date of the last time, and what it is
	dayAt time.Time
}

// pageScratch is memory that serves one page after another.
type pageScratch struct {
	texts    []byte // all decoded texts, one after another
	rows     []row
	prefixes []span
}

var scratches = sync.Pool{New: func() any { return new(pageScratch) }}

var (
	errCut    = errors.New("it ends too early")
	errSyntax = errors.New("it is no well-formed XML")
)

// tag reads the next tag and the text before it. name is empty for the end of the element; empty says that the element
// has no content (<a/>).
type tag struct {
	name  []byte
	end   bool
	empty bool
}

func (p *pageDecoder) document() error {
	p.i = len(p.b) - len(bytes.TrimPrefix(p.b, []byte("\ufeff")))
	for first := true; ; first = false {
		p.space()
		if !bytes.HasPrefix(p.b[p.i:], []byte("<?")) {
			break
		}
		n := bytes.Index(p.b[p.i:], []byte("?>"))
		if n < 0 || !first {
			return errSyntax
		}
		p.i += n + 2
	}
	root, err := p.tag()
	if err != nil {
		return err
	}
	if string(root.name) != "ListBucketResult" || root.end {
		return fmt.Errorf("its root is %.40q, not ListBucketResult", root.name)
	}
	if !root.empty {
		if err := p.list(); err != nil {
			return err
		}
	}
	p.space()
	if p.i != len(p.b) {
		return errSyntax
	}
	return nil
}

// list reads the content of ListBucketResult.
func (p *pageDecoder) list() error {
	var seen struct{ truncated, next, count, encoding bool }
	for {
		t, err := p.child()
		if err != nil {
			return err
		}
		if t.end {
			return p.close(t, "ListBucketResult")
		}
		once := func(flag *bool) error {
			if *flag {
				return fmt.Errorf("%s stands there twice", t.name)
			}
			*flag = true
			return nil
		}
		var text span
		switch string(t.name) {
		case "Contents":
			err = p.contents(t)
		case "CommonPrefixes":
			err = p.commonPrefixes(t)
		case "IsTruncated":
			if err = once(&seen.truncated); err == nil {
				text, err = p.text(t)
			}
			switch string(p.at(text)) {
			case "true":
				p.page.truncated = true
			case "false":
			default:
				err = firstErr(err, fmt.Errorf("IsTruncated is %.20q", p.at(text)))
			}
		case "NextContinuationToken":
			if err = once(&seen.next); err == nil {
				text, err = p.text(t)
			}
			p.page.next = string(p.at(text))
		case "KeyCount":
			if err = once(&seen.count); err == nil {
				text, err = p.text(t)
			}
			n, ok := digits(p.at(text))
			if !ok || n > 1<<31 {
				err = firstErr(err, fmt.Errorf("KeyCount is %.20q", p.at(text)))
			}
			p.page.keyCount = int(n)
		case "EncodingType":
			if err = once(&seen.encoding); err == nil {
				text, err = p.text(t)
			}
			switch string(p.at(text)) {
			case "url":
				p.encoded = true
			case "":
			default:
				err = firstErr(err, fmt.Errorf("EncodingType is %.20q", p.at(text)))
			}
		default:
			err = p.skip(t, 0)
		}
		if err != nil {
			return err
		}
	}
}

// contents reads <Contents>.
func (p *pageDecoder) contents(t tag) error {
	if t.empty {
		return errors.New("an object without a key")
	}
	r := row{size: -1}
	var key, etag, modified bool
	for {
		t, err := p.child()
		if err != nil {
			return err
		}
		if t.end {
			if err := p.close(t, "Contents"); err != nil {
				return err
			}
			if !key || r.key.from == r.key.to || r.size < 0 {
				return errors.New("an object without a key or a size")
			}
			p.rows = append(p.rows, r)
			return nil
		}
		var text span
		twice := false
		switch string(t.name) {
		case "Key":
			twice, key = key, true
			r.key, err = p.text(t)
		case "ETag":
			twice, etag = etag, true
			r.etag, err = p.etag(t)
		case "Size":
			twice = r.size >= 0
			text, err = p.text(t)
			n, ok := digits(p.at(text))
			if !ok {
				err = firstErr(err, fmt.Errorf("a size is %.20q", p.at(text)))
			}
			r.size = n
			p.texts = p.texts[:text.from]
		case "LastModified":
			twice, modified = modified, true
			if text, err = p.text(t); err == nil {
				r.modified, err = p.time(p.at(text))
			}
			p.texts = p.texts[:text.from]
		default:
			err = p.skip(t, 0)
		}
		if err != nil {
			return err
		}
		if twice {
			return fmt.Errorf("%s stands there twice", t.name)
		}
	}
}

// etag reads an ETag and gives it quotes where it has none.
func (p *pageDecoder) etag(t tag) (span, error) {
	at := len(p.texts)
	p.texts = append(p.texts, '"')
	s, err := p.text(t)
	if text := p.at(s); err != nil || len(text) == 0 || text[0] == '"' || bytes.HasPrefix(text, []byte("W/")) {
		return s, err
	}
	p.texts = append(p.texts, '"')
	return span{at, len(p.texts)}, nil
}

// commonPrefixes reads <CommonPrefixes>.
func (p *pageDecoder) commonPrefixes(t tag) error {
	if t.empty {
		return errors.New("a prefix without a name")
	}
	var s span
	got := false
	for {
		t, err := p.child()
		if err != nil {
			return err
		}
		if t.end {
			if err := p.close(t, "CommonPrefixes"); err != nil {
				return err
			}
			if !got || s.from == s.to {
				return errors.New("a prefix without a name")
			}
			p.prefixes = append(p.prefixes, s)
			return nil
		}
		if string(t.name) != "Prefix" {
			if err := p.skip(t, 0); err != nil {
				return err
			}
			continue
		}
		if got {
			return errors.New("a prefix with two names")
		}
		got = true
		if s, err = p.text(t); err != nil {
			return err
		}
	}
}

// settle makes strings of the texts, and decodes keys.
func (p *pageDecoder) settle() error {
	all := string(p.texts)
	text := func(s span) string { return all[s.from:s.to] }
	key := func(s span) (string, error) {
		k := text(s)
		if !p.encoded || strings.IndexByte(k, '%') < 0 && strings.IndexByte(k, '+') < 0 {
			return k, nil
		}
		return unescape(k)
	}
	var err error
	p.page.entries = make([]store.Entry, len(p.rows))
	for i, r := range p.rows {
		e := &p.page.entries[i]
		if e.Key, err = key(r.key); err != nil {
			return err
		}
		e.Size, e.ETag, e.Modified = r.size, text(r.etag), r.modified
	}
	if len(p.prefixes) > 0 {
		p.page.prefixes = make([]string, len(p.prefixes))
	}
	for i, s := range p.prefixes {
		if p.page.prefixes[i], err = key(s); err != nil {
			return err
		}
	}
	if n := len(p.rows) + len(p.prefixes); p.page.keyCount >= 0 && p.page.keyCount != n {
		return fault.New(fault.DataLoss, "the page of the listing says that it has %d names and has %d", p.page.keyCount, n)
	}
	return nil
}

func (p *pageDecoder) at(s span) []byte { return p.texts[s.from:s.to] }

func firstErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
