package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// copiers is how many parts of one object are copied at once.
const copiers = 8

// family returns src as a bucket of the same service.
func (d *Driver) family(src store.Driver) (*Driver, error) {
	from, ok := src.(*Driver)
	if !ok {
		return nil, fault.New(fault.Unimplemented, "the source is not of this kind")
	}
	if strings.HasPrefix(from.o.Bucket, "arn:") {
		return nil, fault.New(fault.Unimplemented, "the source is an access point")
	}
	a, err1 := from.address(from.regionNow())
	b, err2 := d.address(d.regionNow())
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	bothAmazon := d.o.Endpoint == "" && from.o.Endpoint == "" && d.preset.name == "aws" && from.preset.name == "aws"
	if !bothAmazon && (a.scheme != b.scheme || hostOf(from, a) != hostOf(d, b)) {
		return nil, fault.New(fault.Unimplemented, "the source is at another service")
	}
	return from, nil
}

func hostOf(d *Driver, a address) string {
	if p := d.o.Bucket + "."; len(a.host) > len(p) && a.host[:len(p)] == p {
		return a.host[len(p):]
	}
	return a.host
}

// foreign says that the source cannot be read with the target's credential, so that the copy is to go through the client.
func (d *Driver) foreign(from *Driver, err error) error {
	var reply *ReplyError
	if d.cred != from.cred && errors.As(err, &reply) && reply.class().Code == fault.PermissionDenied {
		return fault.New(fault.Unimplemented, "the service does not copy with this credential: %w", err)
	}
	return err
}

// source sets the headers that name and pin the source of a copy.
func (r *request) source(from *Driver, key string, o store.CopyOptions) {
	text := from.o.Bucket + "/" + escape(key, true)
	if o.SrcVersion != "" {
		text += "?versionId=" + escape(o.SrcVersion, false)
	}
	r.set("X-Amz-Copy-Source", text)
	r.set("X-Amz-Copy-Source-If-Match", o.SrcIfMatch)
}

type copyResult struct{ ETag, ChecksumCRC64NVME, ChecksumCRC32C, ChecksumSHA256, ChecksumType string }

// CopyFrom implements store.Copier.
func (d *Driver) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	from, err := d.family(src)
	if err != nil {
		return store.Entry{}, err
	}
	if err := errors.Join(from.checkKey(srcKey), d.writable(ctx, dstKey, o.Put)); err != nil {
		return store.Entry{}, err
	}
	if o.SrcIfMatch == "" && o.SrcVersion == "" || o.Size < 0 {
		e, err := from.Stat(ctx, srcKey, store.Cond{IfMatch: o.SrcIfMatch, Version: o.SrcVersion})
		if err != nil {
			return store.Entry{}, err
		}
		o.SrcIfMatch, o.SrcVersion, o.Size = e.ETag, e.Version, e.Size
	}
	// Services other than AWS hold conditions when an upload is completed, not when an object is copied.
	conditional := (o.Put.IfAbsent || o.Put.IfMatch != "") && !(d.preset.ifCopy && d.exact)
	if conditional && o.Size == 0 {
		return store.Entry{}, fault.New(fault.Unimplemented, "no conditional copy of an empty object")
	}
	if o.Size > maxPart || conditional {
		return d.copyLarge(ctx, from, srcKey, dstKey, o)
	}
	r := &request{action: "PutObject", method: "PUT", key: dstKey}
	if o.KeepAttrs {
		r.set("X-Amz-Metadata-Directive", "COPY")
	} else {
		r.set("X-Amz-Metadata-Directive", "REPLACE")
		if err := describe(r, o.Put.Attrs); err != nil {
			return store.Entry{}, err
		}
	}
	d.stored(r)
	condition(r, o.Put)
	r.source(from, srcKey, o)
	var res copyResult
	resp, err := d.xml(ctx, r, "CopyObjectResult", &res)
	if err != nil {
		return store.Entry{}, d.foreign(from, err)
	}
	if res.ETag == "" {
		return store.Entry{}, notS3(resp, "it has no ETag")
	}
	e := store.Entry{Key: dstKey, Size: o.Size, ETag: quoted(res.ETag), Version: version(resp.Header)}
	if s, ok := res.sum(); ok {
		e.Sums = []store.Sum{s}
	}
	return e, nil
}

func (c copyResult) sum() (store.Sum, bool) {
	for algo, text := range map[string]string{algoCRC64: c.ChecksumCRC64NVME, algoCRC32C: c.ChecksumCRC32C, algoSHA256: c.ChecksumSHA256} {
		if s, ok := parseSum(algo, text); ok && (s.Parts > 0 || c.ChecksumType != "COMPOSITE") {
			return s, true
		}
	}
	return store.Sum{}, false
}

// CopyPart implements store.PartCopier.
func (u *upload) CopyPart(ctx context.Context, n int, src store.Driver, srcKey string, rg store.Range, o store.CopyOptions) (store.Part, error) {
	from, err := u.d.family(src)
	if err != nil {
		return store.Part{}, err
	}
	if err := errors.Join(checkPart(n, rg.Off), from.checkKey(srcKey)); err != nil {
		return store.Part{}, err
	}
	if rg.Len < 1 || rg.Len > maxPart {
		return store.Part{}, fault.New(fault.InvalidArgument, "a copied part of %d bytes", rg.Len)
	}
	r := u.request("PutObject", "PUT", "partNumber", fmt.Sprint(n))
	r.source(from, srcKey, o)
	r.set("X-Amz-Copy-Source-Range", fmt.Sprintf("bytes=%d-%d", rg.Off, rg.Off+rg.Len-1))
	var res copyResult
	resp, err := u.d.xml(ctx, r, "CopyPartResult", &res)
	if err != nil {
		return store.Part{}, u.d.foreign(from, u.broke(err))
	}
	if res.ETag == "" {
		return store.Part{}, notS3(resp, "it has no ETag")
	}
	p := store.Part{N: n, Off: rg.Off, Size: rg.Len, ETag: quoted(res.ETag)}
	if s, ok := res.sum(); ok && s.Algo == u.Algo {
		p.Sum = s
	}
	return p, nil
}

// copyLarge copies an object in parts: it is too large for one call, or the target has a condition.
func (d *Driver) copyLarge(ctx context.Context, from *Driver, srcKey, dstKey string, o store.CopyOptions) (e store.Entry, err error) {
	if o.KeepAttrs {
		held, err := from.Stat(ctx, srcKey, store.Cond{IfMatch: o.SrcIfMatch, Version: o.SrcVersion})
		if err != nil {
			return e, err
		}
		o.Put.Attrs = *held.Attrs
	}
	u, err := d.begin(ctx, dstKey, o.Put, o.Size, false) // the service makes the checksum of what it copies
	if err != nil {
		return e, err
	}
	defer func() {
		if err != nil {
			fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = u.Abort(fresh)
		}
	}()
	parts, err := copyParts(ctx, u, from, srcKey, o)
	if err != nil {
		return e, err
	}
	return u.Commit(ctx, parts)
}

// copyPart is the size of the parts of a copy, unless the object needs larger ones.
var copyPart int64 = 512 << 20

func copyParts(ctx context.Context, u *upload, from *Driver, srcKey string, o store.CopyOptions) ([]store.Part, error) {
	size := max(copyPart, (o.Size+maxParts-1)/maxParts)
	parts := make([]store.Part, (o.Size+size-1)/size)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copiers)
	for i := range parts {
		g.Go(func() (err error) {
			off := int64(i) * size
			parts[i], err = u.CopyPart(ctx, i+1, from, srcKey, store.Range{Off: off, Len: min(size, o.Size-off)}, o)
			return err
		})
	}
	return parts, g.Wait()
}
