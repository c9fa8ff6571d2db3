package store

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// overlayPage is the number of entries of a page where Query.Max does not say.
const overlayPage = 1000

// overlayToken is where a listing goes on. It holds no state in the driver.
type overlayToken struct {
	base string // the base's own token of the page to fetch
	last string // the greatest key or prefix given so far
	tail bool   // the base has ended; only keys of the overlay follow
}

func (t overlayToken) encode() string {
	kind := "b"
	if t.tail {
		kind = "t"
	}
	return kind + strconv.Itoa(len(t.base)) + ":" + t.base + t.last
}

func decodeOverlayToken(s string) (overlayToken, error) {
	if s == "" {
		return overlayToken{}, nil
	}
	count, rest, ok := strings.Cut(s[1:], ":")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 0 || n > len(rest) || s[0] != 'b' && s[0] != 't' {
		return overlayToken{}, fault.New(fault.InvalidArgument, "not a token of this listing")
	}
	return overlayToken{base: rest[:n], last: rest[n:], tail: s[0] == 't'}, nil
}

// List implements Driver.
func (o *OverlayDriver) List(ctx context.Context, q Query) (Page, error) {
	if err := o.begin(ctx); err != nil {
		return Page{}, err
	}
	t, err := decodeOverlayToken(q.Token)
	if err != nil {
		return Page{}, err
	}
	for {
		var p Page
		var again bool
		if o.base.Caps().Order == OrderByKey {
			p, t, again, err = o.merged(ctx, q, t)
		} else {
			p, t, again, err = o.appended(ctx, q, t)
		}
		if err != nil || !again {
			return p, err
		}
	}
}

// merged makes one page in key order. again asks for another round, because nothing was left of a page of the base.
func (o *OverlayDriver) merged(ctx context.Context, q Query, t overlayToken) (p Page, next overlayToken, again bool, err error) {
	var base Page
	upto := ""
	if !t.tail {
		bq := q
		bq.Token = t.base
		if base, err = o.base.List(ctx, bq); err != nil {
			return p, t, false, err
		}
		if base.Next != "" {
			for _, e := range base.Entries {
				upto = max(upto, e.Key)
			}
			for _, f := range base.Prefixes {
				upto = max(upto, f)
			}
			if upto == "" {
				t.base = base.Next
				return p, t, true, nil
			}
		}
	}
	if base, err = o.mask(ctx, q, base, t.last); err != nil {
		return p, t, false, err
	}
	n := q.Max
	if n <= 0 {
		n = max(overlayPage, len(base.Entries)+len(base.Prefixes))
	}
	entries, prefixes := o.within(q, t.last, upto, n+1)
	p.Entries = append(base.Entries, entries...)
	slices.SortFunc(p.Entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	p.Prefixes = append(base.Prefixes, prefixes...)
	slices.Sort(p.Prefixes)
	p.Prefixes = slices.Compact(p.Prefixes)
	p.Truncated = base.Truncated && base.Next == "" // a fault that is not ours to hide
	switch {
	case len(p.Entries)+len(p.Prefixes) > n:
		t.last = cut(&p, n) // the same page of the base is fetched again for its rest
		t.tail = t.tail || base.Next == "" && len(base.Entries) == 0 && len(base.Prefixes) == 0
		p.Next = t.encode()
	case base.Next != "":
		t.base, t.last = base.Next, upto
		if len(p.Entries)+len(p.Prefixes) == 0 {
			return p, t, true, nil
		}
		p.Next = t.encode()
	}
	return p, t, false, nil
}

// cut keeps the first n entries and prefixes of a page and returns the last of them.
func cut(p *Page, n int) (last string) {
	i, j := 0, 0
	for range n {
		if j == len(p.Prefixes) || i < len(p.Entries) && p.Entries[i].Key < p.Prefixes[j] {
			last = p.Entries[i].Key
			i++
		} else {
			last = p.Prefixes[j]
			j++
		}
	}
	p.Entries, p.Prefixes = p.Entries[:i], p.Prefixes[:j]
	return last
}

// appended makes one page of a base without key order: the base's pages first, then the overlay's keys.
func (o *OverlayDriver) appended(ctx context.Context, q Query, t overlayToken) (p Page, next overlayToken, again bool, err error) {
	if !t.tail {
		bq := q
		bq.Token = t.base
		base, err := o.base.List(ctx, bq)
		if err != nil {
			return p, t, false, err
		}
		if p, err = o.mask(ctx, q, base, ""); err != nil {
			return p, t, false, err
		}
		p.Truncated = base.Truncated
		if base.Next == "" && !base.Truncated {
			t = overlayToken{tail: true}
		} else {
			t.base = base.Next
		}
		if len(p.Entries)+len(p.Prefixes) == 0 && (t.tail || base.Next != "") {
			return p, t, true, nil
		}
		if t.tail || base.Next != "" {
			p.Next = t.encode()
		}
		return p, t, false, nil
	}
	n := q.Max
	if n <= 0 {
		n = overlayPage
	}
	entries, prefixes := o.within(q, t.last, "", n+1)
	p.Entries, p.Prefixes = entries, prefixes
	if len(entries)+len(prefixes) > n {
		t.last = cut(&p, n)
		p.Next = t.encode()
	}
	p.Prefixes = slices.Clone(p.Prefixes)
	for i := len(p.Prefixes) - 1; i >= 0; i-- { // those that the base has were given with it
		in, err := o.survives(ctx, p.Prefixes[i])
		if err != nil {
			return p, t, false, err
		}
		if in {
			p.Prefixes = slices.Delete(p.Prefixes, i, i+1)
		}
	}
	return p, t, p.Next != "" && len(p.Entries)+len(p.Prefixes) == 0, nil
}

// mask takes out of a page of the base what the overlay has changed, and what is not after last.
func (o *OverlayDriver) mask(ctx context.Context, q Query, base Page, last string) (Page, error) {
	entries := make([]Entry, 0, len(base.Entries))
	o.mu.Lock()
	for _, e := range base.Entries {
		if _, changed := o.nodes[e.Key]; !changed && (last == "" || e.Key > last) {
			entries = append(entries, e)
		}
	}
	o.mu.Unlock()
	base.Entries = entries
	var prefixes []string
	for _, f := range base.Prefixes {
		if last != "" && f <= last {
			continue
		}
		alive := !o.deletedBelow(f)
		if !alive {
			var err error
			if alive, err = o.survives(ctx, f); err != nil {
				return base, err
			}
		}
		if alive {
			prefixes = append(prefixes, f)
		}
	}
	base.Prefixes = prefixes
	return base, nil
}

// deletedBelow reports whether the overlay deleted anything below a prefix.
func (o *OverlayDriver) deletedBelow(prefix string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := o.sorted()
	for i, _ := slices.BinarySearch(keys, prefix); i < len(keys) && strings.HasPrefix(keys[i], prefix); i++ {
		if o.nodes[keys[i]].gone {
			return true
		}
	}
	return false
}

// survives reports whether the base holds a key below a prefix that the overlay has not taken over.
func (o *OverlayDriver) survives(ctx context.Context, prefix string) (bool, error) {
	q := Query{Prefix: prefix}
	for {
		p, err := o.base.List(ctx, q)
		if err != nil {
			return false, err
		}
		for _, e := range p.Entries {
			if _, changed := o.node(e.Key); !changed {
				return true, nil
			}
		}
		if p.Next == "" {
			return false, nil
		}
		q.Token = p.Next
	}
}
