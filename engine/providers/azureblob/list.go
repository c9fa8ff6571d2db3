package azureblob

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// blobName is a name in a listing, percent-encoded when XML cannot hold it.
type blobName struct {
	Encoded bool   `xml:"Encoded,attr"`
	Text    string `xml:",chardata"`
}

func (n blobName) key() (string, error) {
	k, err := n.Text, error(nil)
	if n.Encoded {
		k, err = url.PathUnescape(n.Text)
	}
	if err != nil || k == "" {
		return "", fault.New(fault.DataLoss, "the listing has a name that cannot be read")
	}
	return k, nil
}

// listPage is a page of List Blobs: https://learn.microsoft.com/rest/api/storageservices/list-blobs.
type listPage struct {
	Blobs *struct {
		Blob []struct {
			Name       blobName
			Properties struct {
				Modified      string  `xml:"Last-Modified"`
				ETag          string  `xml:"Etag"`
				ContentLength *int64  `xml:"Content-Length"`
				MD5           string  `xml:"Content-MD5"`
				BlobType      *string `xml:"BlobType"`
			}
		}
		BlobPrefix []struct{ Name blobName }
	}
	NextMarker *string
}

// ListsSerially implements store.SerialLister.
func (d *Driver) ListsSerially() bool { return true }

// List implements store.Driver. The service has no way to begin behind a name: pages before Query.After are read and
// dropped.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	r := &request{action: "List Blobs", method: "GET", query: []string{"restype", "container", "comp", "list"}}
	for _, x := range [][2]string{{"prefix", q.Prefix}, {"delimiter", q.Delimiter}, {"marker", q.Token}} {
		if x[1] != "" {
			r.query = append(r.query, x[0], x[1])
		}
	}
	if q.Max > 0 {
		r.query = append(r.query, "maxresults", strconv.Itoa(min(q.Max, 5000)))
	}
	var p listPage
	if _, err := d.xml(ctx, r, "EnumerationResults", &p); err != nil {
		if d.o.CreateIfNotExists && is(err, "ContainerNotFound") {
			return store.Page{}, nil // the first write makes it
		}
		return store.Page{}, err
	}
	if p.Blobs == nil || p.NextMarker == nil {
		return store.Page{}, fault.New(fault.DataLoss, "the page of the listing lacks its names or what follows")
	}
	page := store.Page{Next: *p.NextMarker, Truncated: *p.NextMarker != ""}
	if page.Next != "" && page.Next == q.Token {
		return store.Page{}, fault.New(fault.DataLoss, "the service gives the same page again and again")
	}
	for _, b := range p.Blobs.Blob {
		key, err := b.Name.key()
		if err != nil {
			return store.Page{}, err
		}
		if b.Properties.ContentLength == nil || *b.Properties.ContentLength < 0 || b.Properties.ETag == "" {
			return store.Page{}, fault.New(fault.DataLoss, "the listing has an object without a size or an ETag")
		}
		if key <= q.After && q.After != "" {
			continue
		}
		if q.Before != "" && key >= q.Before {
			page.Next, page.Truncated = "", false
			break
		}
		e := store.Entry{Key: key, Size: *b.Properties.ContentLength, ETag: quoted(b.Properties.ETag)}
		if e.Modified, err = http.ParseTime(b.Properties.Modified); err != nil {
			return store.Page{}, fault.New(fault.DataLoss, "the listing has a time that cannot be read")
		}
		if sum, err := base64.StdEncoding.DecodeString(b.Properties.MD5); err == nil && len(sum) == 16 {
			e.Sums = []store.Sum{{Algo: "md5", Value: sum}}
		}
		page.Entries = append(page.Entries, e)
	}
	for _, b := range p.Blobs.BlobPrefix {
		name, err := b.Name.key()
		if err != nil {
			return store.Page{}, err
		}
		if q.Before != "" && name >= q.Before {
			page.Next, page.Truncated = "", false
			break
		}
		if q.After == "" || name > q.After {
			page.Prefixes = append(page.Prefixes, name)
		}
	}
	return page, nil
}
