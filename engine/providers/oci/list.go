package oci

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// listed is the reply of ListObjects.
type listed struct {
	Objects *[]struct {
		Name         string    `json:"name"`
		Size         *int64    `json:"size"`
		ETag         string    `json:"etag"`
		MD5          string    `json:"md5"`
		TimeCreated  time.Time `json:"timeCreated"`
		TimeModified time.Time `json:"timeModified"`
	} `json:"objects"`
	Prefixes      []string `json:"prefixes"`
	NextStartWith string   `json:"nextStartWith"`
}

// List implements store.Driver. The token of a page is the name that the next one starts with.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	r := &request{action: "OBJECT_INSPECT", method: "GET", path: "/o", query: []string{"fields", "name,size,etag,md5,timeCreated,timeModified"}}
	add := func(name, value string) {
		if value != "" {
			r.query = append(r.query, name, value)
		}
	}
	if q.Token != "" && (len(q.Token) > maxKey || !utf8.ValidString(q.Token) || strings.ContainsAny(q.Token, "\x00\r\n")) {
		return store.Page{}, fault.New(fault.InvalidArgument, "the token is not of a listing of this store")
	}
	add("prefix", q.Prefix)
	add("delimiter", q.Delimiter)
	add("end", q.Before)
	if q.Token != "" {
		add("start", q.Token)
	} else {
		add("startAfter", q.After)
	}
	if q.Max > 0 {
		add("limit", strconv.Itoa(min(q.Max, maxPage)))
	}
	var res listed
	resp, err := d.json(ctx, r, &res)
	if err != nil {
		if d.o.CreateIfNotExists && missingBucket(err) {
			err = nil // the first write makes it
		}
		return store.Page{}, err
	}
	if res.Objects == nil {
		return store.Page{}, notOCI(resp, "it lists no objects")
	}
	page := store.Page{Entries: make([]store.Entry, 0, len(*res.Objects)), Prefixes: res.Prefixes, Next: res.NextStartWith, Truncated: res.NextStartWith != ""}
	last := ""
	for _, x := range *res.Objects {
		if x.Size == nil || *x.Size < 0 || x.ETag == "" || !strings.HasPrefix(x.Name, q.Prefix) || x.Name <= last || x.Name < q.Token {
			return store.Page{}, fault.New(fault.DataLoss, "the service lists the object %q without size or ETag, or out of order", x.Name)
		}
		last = x.Name
		if q.After != "" && x.Name <= q.After || q.Before != "" && x.Name >= q.Before {
			return store.Page{}, fault.New(fault.DataLoss, "the service lists the object %q, which is out of the bounds that were asked for", x.Name)
		}
		e := store.Entry{Key: x.Name, Size: *x.Size, ETag: x.ETag, Modified: x.TimeModified}
		if e.Modified.IsZero() {
			e.Modified = x.TimeCreated
		}
		if s, ok := parseSum(algoMD5, x.MD5); ok {
			e.Sums = []store.Sum{s}
		}
		page.Entries = append(page.Entries, e)
	}
	for _, p := range page.Prefixes {
		last = max(last, p)
	}
	if page.Next != "" && (page.Next <= q.Token || page.Next <= last) {
		return store.Page{}, fault.New(fault.DataLoss, "the service gives the same page again and again")
	}
	return page, nil
}

// Check implements store.Checker: one name is listed, which shows that the bucket is there and that the credential is
// taken. What is not allowed is said by the error; nothing is changed.
func (d *Driver) Check(ctx context.Context) error {
	_, err := d.List(ctx, store.Query{Max: 1})
	return err
}
