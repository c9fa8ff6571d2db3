package memory

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// List implements store.Driver. A token is the last name of the page before, so that a listing goes on in the same place
// when objects come and go.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := d.usable(ctx); err != nil {
		return store.Page{}, err
	}
	if q.Delimiter != "" && q.Delimiter != "/" {
		return store.Page{}, fault.New(fault.InvalidArgument, "a delimiter other than /")
	}
	limit := q.Max
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	last, err := fromToken(q.Token)
	if err != nil {
		return store.Page{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.objects.seek(max(q.Prefix, q.After))
	if last != "" {
		p = d.beyond(last, q)
	}
	var page store.Page
	for x := d.objects.at(p); x != nil; x = d.objects.at(p) {
		if !strings.HasPrefix(x.key, q.Prefix) || q.Before != "" && x.key >= q.Before {
			break
		}
		if x.key <= q.After && q.After != "" {
			p = d.objects.after(p)
			continue
		}
		if len(page.Entries)+len(page.Prefixes) == limit {
			page.Next = toToken(last)
			break
		}
		if dir := rollUp(x.key, q); dir != "" {
			page.Prefixes = append(page.Prefixes, dir)
			last = dir
		} else {
			e := x.entry
			e.Attrs = nil
			page.Entries = append(page.Entries, e)
			last = x.key
		}
		p = d.objects.after(p)
		if len(page.Prefixes) > 0 && last == page.Prefixes[len(page.Prefixes)-1] {
			p = d.beyond(last, q)
		}
	}
	return page, nil
}

// rollUp returns the prefix that stands for key, or "" when the key stands for itself.
func rollUp(key string, q store.Query) string {
	if q.Delimiter == "" {
		return ""
	}
	rest := key[len(q.Prefix):]
	if i := strings.Index(rest, q.Delimiter); i >= 0 {
		return key[:len(q.Prefix)+i+len(q.Delimiter)]
	}
	return ""
}

// beyond returns the position after a name that was listed: a key, or a prefix with all that it stands for.
func (d *data) beyond(last string, q store.Query) position {
	if q.Delimiter != "" && len(last) > len(q.Prefix) && strings.HasSuffix(last, q.Delimiter) {
		return d.objects.seek(last[:len(last)-1] + "0") // '0' follows '/'
	}
	return d.objects.seek(last + "\x00")
}

func toToken(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

func fromToken(t string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(t)
	if err != nil {
		return "", fault.New(fault.InvalidArgument, "a page token of another listing")
	}
	return string(b), nil
}
