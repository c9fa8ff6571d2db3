package gcs

import (
	"context"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// List implements store.Driver. The token of a page is the service's own.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	r := d.metaRequest("storage.objects.list", "GET", "/o")
	r.ask("fields", "kind,prefixes,nextPageToken,items("+resourceFields+")")
	r.ask("prefix", q.Prefix)
	r.ask("delimiter", q.Delimiter)
	r.ask("endOffset", q.Before)
	r.ask("pageToken", q.Token)
	// The service begins with the offset itself.
	switch {
	case q.After != "" && q.Delimiter != "":
		r.ask("startOffset", q.After+"\x01") // so that it is not rolled up; no key has a NUL
	case q.After != "":
		r.ask("startOffset", q.After)
	}
	if q.Max > 0 {
		r.ask("maxResults", strconv.Itoa(min(q.Max, maxPage)))
	}
	var res struct {
		Kind          string
		Items         []resource
		Prefixes      []string
		NextPageToken string
	}
	resp, err := d.json(ctx, r, &res)
	if err != nil {
		if d.o.CreateIfNotExists && missingBucket(err) {
			err = nil // the first write makes it
		}
		return store.Page{}, err
	}
	if res.Kind != "storage#objects" {
		return store.Page{}, notGCS(resp, "it lists no objects")
	}
	page := store.Page{Entries: make([]store.Entry, 0, len(res.Items)), Next: res.NextPageToken, Truncated: res.NextPageToken != ""}
	last := ""
	for i := range res.Items {
		x := &res.Items[i]
		e, ok := x.entry(false)
		if !ok || !strings.HasPrefix(x.Name, q.Prefix) || x.Name <= last {
			return store.Page{}, fault.New(fault.DataLoss, "the service lists the object %q without size or generation, or out of order", x.Name)
		}
		last = x.Name
		if q.After != "" && x.Name < q.After || q.Before != "" && x.Name >= q.Before {
			return store.Page{}, fault.New(fault.DataLoss, "the service lists the object %q, which is out of the bounds that were asked for", x.Name)
		}
		if _, is := shown(x.Name); is || q.After != "" && x.Name == q.After {
			continue
		}
		page.Entries = append(page.Entries, e)
	}
	page.Prefixes = res.Prefixes
	if page.Next != "" && page.Next == q.Token {
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
