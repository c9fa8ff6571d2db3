package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// buffers hold pages while they are decoded.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// List implements store.Driver.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	r := &request{action: "ListBucket", method: "GET", query: []string{"list-type", "2", "encoding-type", "url"}}
	add := func(name, value string) {
		if value != "" {
			r.query = append(r.query, name, value)
		}
	}
	add("prefix", q.Prefix)
	add("delimiter", q.Delimiter)
	add("continuation-token", q.Token)
	add("start-after", q.After)
	if q.Max > 0 {
		add("max-keys", strconv.Itoa(min(q.Max, 1000)))
	}
	resp, err := d.do(ctx, r)
	if err != nil {
		if d.o.CreateIfNotExists && missingBucket(err) {
			err = nil // the first write makes it
		}
		return store.Page{}, err
	}
	b := buffers.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() < 4<<20 {
			b.Reset()
			buffers.Put(b)
		}
	}()
	if err := d.readBody(ctx, resp, r, b); err != nil {
		return store.Page{}, err
	}
	p, err := decodePage(b.Bytes())
	if err != nil {
		if bad := d.reply(resp, b.Bytes(), r, "ListBucketResult"); bad != nil {
			return store.Page{}, bad
		}
		return store.Page{}, &fault.Error{Class: d.brokenPage(err), Err: err}
	}
	page := store.Page{Entries: p.entries, Prefixes: p.prefixes, Next: p.next, Truncated: p.truncated}
	switch {
	case p.truncated && p.next == "":
		return store.Page{}, fault.New(fault.DataLoss, "the service says that more follows and does not say where")
	case p.truncated && p.next == q.Token:
		return store.Page{}, fault.New(fault.DataLoss, "the service gives the same page again and again")
	case !p.truncated:
		page.Next = ""
	}
	return within(page, q), nil
}

// brokenPage is the class of a page that cannot be read: as good as none.
func (d *Driver) brokenPage(err error) fault.Class {
	if c := d.Classify(err); c.Code == fault.DataLoss {
		return c
	}
	return fault.Class{Code: fault.Unavailable}
}

// within drops what is not before q.Before, and with it the pages that follow, and what services give although it is
// not after q.After.
func within(p store.Page, q store.Query) store.Page {
	if q.After != "" && q.Delimiter == "" {
		p.Entries = slices.DeleteFunc(p.Entries, func(e store.Entry) bool { return e.Key <= q.After })
	}
	if q.Before == "" {
		return p
	}
	past := false
	for i, e := range p.Entries {
		if e.Key >= q.Before {
			p.Entries, past = p.Entries[:i], true
			break
		}
	}
	for i, s := range p.Prefixes {
		if s >= q.Before {
			p.Prefixes, past = p.Prefixes[:i], true
			break
		}
	}
	if past {
		p.Next, p.Truncated = "", false
	}
	return p
}

// readBody reads a reply into b and closes it.
func (d *Driver) readBody(ctx context.Context, resp *http.Response, r *request, b *bytes.Buffer) error {
	defer resp.Body.Close()
	if n := resp.ContentLength; n > 0 && n <= maxReplyText {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, maxReplyText+1))
	switch {
	case err != nil:
		return transportError(ctx, err)
	case n > maxReplyText:
		return fault.New(fault.DataLoss, "the reply to %s is longer than %d bytes", r.action, int64(maxReplyText))
	}
	return nil
}

// reply checks the root of an XML reply: <Error> in a reply of success is an error, and so is everything but root.
func (d *Driver) reply(resp *http.Response, body []byte, r *request, root string) error {
	dec := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := dec.Token()
		if err != nil {
			return notS3(resp, "its body is not "+root)
		}
		if s, ok := t.(xml.StartElement); ok {
			switch s.Name.Local {
			case root, strings.TrimSuffix(root, "Result") + "Response", strings.TrimSuffix(root, "Result"): // some services name it so
				return nil
			case "Error":
				return d.failure(resp, body, r, d.regionNow())
			}
			return notS3(resp, "its body is "+strings.ToValidUTF8(s.Name.Local, "?"))
		}
	}
}

// xml sends a request and decodes its XML reply, whose root must be the given one.
func (d *Driver) xml(ctx context.Context, r *request, root string, v any) (*http.Response, error) {
	resp, err := d.do(ctx, r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := d.readBody(ctx, resp, r, &b); err != nil {
		return nil, err
	}
	if err := d.reply(resp, b.Bytes(), r, root); err != nil {
		return nil, err
	}
	if err := xml.Unmarshal(b.Bytes(), v); err != nil {
		return nil, &fault.Error{Class: fault.Class{Code: fault.Unavailable}, Err: err}
	}
	return resp, nil
}
