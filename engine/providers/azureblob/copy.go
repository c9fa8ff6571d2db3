package azureblob

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/store"
)

const copiers = 8 // blocks of one object that are copied at once

// family returns src as a container of the same account.
func (d *Driver) family(src store.Driver) (*Driver, error) {
	from, ok := src.(*Driver)
	if !ok || from.o.Account != d.o.Account || from.base.String() != d.base.String() {
		return nil, fault.New(fault.Unimplemented, "the source is not in the same account")
	}
	return from, nil
}

// CopyFrom implements store.Copier. The service fills blocks from the source, each pinned to the source's ETag, and the
// commit gives conditions and attributes, so that the copy appears whole.
func (d *Driver) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	from, err := d.family(src)
	if err != nil {
		return store.Entry{}, err
	}
	if err := d.writable(ctx, dstKey, o.Put); err != nil {
		return store.Entry{}, err
	}
	held, err := from.Stat(ctx, srcKey, store.Cond{IfMatch: o.SrcIfMatch, Version: o.SrcVersion})
	if err != nil {
		return store.Entry{}, err
	}
	o.SrcIfMatch, o.Size = held.ETag, held.Size
	if o.KeepAttrs {
		o.Put.Attrs = *held.Attrs
	}
	u := d.newUpload(dstKey, o.Put, o.Size)
	size := max(int64(copyPart), (o.Size+maxParts-1)/maxParts)
	parts := make([]store.Part, (o.Size+size-1)/size)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(copiers)
	for i := range parts {
		g.Go(func() (err error) {
			off := int64(i) * size
			parts[i], err = u.CopyPart(gctx, i+1, from, srcKey, store.Range{Off: off, Len: min(size, o.Size-off)}, o)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return store.Entry{}, err
	}
	var sum []byte
	if len(held.Sums) > 0 {
		sum = held.Sums[0].Value
	}
	return u.commit(ctx, parts, sum)
}

// copyPart is the size of the blocks of a copy, unless the object needs larger ones.
const copyPart = 256 << 20

// CopyPart implements store.PartCopier: Put Block From URL.
func (u *upload) CopyPart(ctx context.Context, n int, src store.Driver, srcKey string, rg store.Range, o store.CopyOptions) (store.Part, error) {
	from, err := u.d.family(src)
	if err != nil {
		return store.Part{}, err
	}
	if err := u.open(); err != nil {
		return store.Part{}, err
	}
	if err := checkKey(srcKey); err != nil {
		return store.Part{}, err
	}
	if n < 1 || n > maxParts || rg.Off < 0 || rg.Len < 1 || rg.Len > maxPart {
		return store.Part{}, fault.New(fault.InvalidArgument, "a copied part %d of %d bytes", n, rg.Len)
	}
	p := store.Part{N: n, Off: rg.Off, Size: rg.Len, ETag: u.block(n)}
	r := &request{action: "Put Block From URL", method: "PUT", key: u.Key, query: []string{"comp", "block", "blockid", p.ETag}, write: true}
	if err := from.source(ctx, r, srcKey, o); err != nil {
		return store.Part{}, err
	}
	r.set("X-Ms-Source-Range", fmt.Sprintf("bytes=%d-%d", rg.Off, rg.Off+rg.Len-1))
	resp, err := u.d.do(ctx, r)
	if err != nil {
		return store.Part{}, err
	}
	drain(resp)
	if resp.StatusCode != 201 {
		return store.Part{}, notAzure(resp, "a block is answered with 201")
	}
	return p, nil
}

// source sets the headers that name, open and pin the source of a copy.
func (d *Driver) source(ctx context.Context, r *request, key string, o store.CopyOptions) error {
	address, query := d.address(key), ""
	if d.cred != nil {
		v, err := d.cred.Resolve(ctx, credential.Want{Audience: azureauth.StorageScope})
		if err != nil {
			return err
		}
		switch f := v.Fields; {
		case !f[azureauth.FieldSAS].IsZero():
			query = f[azureauth.FieldSAS].Reveal()
		case !f[azureauth.FieldToken].IsZero():
			r.set("X-Ms-Copy-Source-Authorization", "Bearer "+f[azureauth.FieldToken].Reveal())
		default:
			perm := "r"
			if query, err = d.sas(ctx, key, perm, time.Hour); err != nil {
				return err
			}
			azureauth.LearnSAS(query, d.redactor)
		}
	}
	if o.SrcVersion != "" {
		if query != "" {
			query = "&" + query
		}
		query = "versionid=" + escape(o.SrcVersion) + query
	}
	if query != "" {
		address += "?" + query
	}
	r.set("X-Ms-Copy-Source", address)
	r.set("X-Ms-Source-If-Match", o.SrcIfMatch)
	return nil
}
