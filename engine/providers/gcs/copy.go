package gcs

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// CopyFrom implements store.Copier by rewriting, which the client goes on with until the service has all of the bytes.
func (d *Driver) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	from, ok := src.(*Driver)
	if !ok {
		return store.Entry{}, fault.New(fault.Unimplemented, "the source is not of this kind")
	}
	if from.base.Scheme != d.base.Scheme || !strings.EqualFold(from.base.Host, d.base.Host) {
		return store.Entry{}, fault.New(fault.Unimplemented, "the source is at another service")
	}
	if err := errors.Join(checkKey(srcKey), d.writable(ctx, dstKey, o.Put)); err != nil {
		return store.Entry{}, err
	}
	if o.SrcIfMatch == "" && o.SrcVersion == "" || o.KeepAttrs && d.o.StorageClass != "" {
		e, err := from.stat(ctx, srcKey, store.Cond{IfMatch: o.SrcIfMatch, Version: o.SrcVersion})
		if err != nil {
			return store.Entry{}, err
		}
		o.SrcVersion = e.Version
		if o.KeepAttrs && d.o.StorageClass != "" { // one attribute that is said replaces all
			o.KeepAttrs, o.Put.Attrs = false, *e.Attrs
		}
	}
	source, err := d.bucket()
	if err != nil {
		return store.Entry{}, err
	}
	target, _ := d.bucket()
	if from.o.Bucket != d.o.Bucket {
		c, _ := d.client()
		source = c.Bucket(from.o.Bucket)
		if from.o.UserProject != "" {
			source = source.UserProject(from.o.UserProject)
		}
	}
	in, out := source.Object(srcKey), conditional(target.Object(dstKey), o.Put)
	for _, s := range []string{o.SrcVersion, o.SrcIfMatch} {
		g, ok := generation(s)
		switch {
		case s == "":
		case !ok:
			return store.Entry{}, noMatch(s)
		case s == o.SrcVersion:
			in = in.Generation(g)
		default:
			in = in.If(storage.Conditions{GenerationMatch: g})
		}
	}
	c := out.CopierFrom(in)
	if !o.KeepAttrs {
		x, err := describe(o.Put.Attrs)
		if err != nil {
			return store.Entry{}, err
		}
		c.ObjectAttrs = storage.ObjectAttrs{ContentType: x.ContentType, ContentEncoding: x.ContentEncoding, ContentDisposition: x.ContentDisposition,
			CacheControl: x.CacheControl, ContentLanguage: x.ContentLanguage, Metadata: x.Metadata, StorageClass: d.o.StorageClass}
	}
	c.PredefinedACL, c.DestinationKMSKeyName = d.o.PredefinedACL, d.o.KMSKeyName
	a, err := c.Run(ctx)
	if err != nil {
		return store.Entry{}, d.foreign(from, d.fromClient(ctx, "storage.objects.create and storage.objects.get", err))
	}
	e, err := entryOfAttrs(a, dstKey)
	if err == nil && o.Size >= 0 && e.Size != o.Size {
		err = fault.New(fault.DataLoss, "the copy has %d bytes, the source %d", e.Size, o.Size)
	}
	return e, err
}

// conditional adds the conditions on a target.
func conditional(h *storage.ObjectHandle, o store.PutOptions) *storage.ObjectHandle {
	g, _ := generation(o.IfMatch)
	switch {
	case o.IfAbsent:
		return h.If(storage.Conditions{DoesNotExist: true})
	case o.IfMatch != "":
		return h.If(storage.Conditions{GenerationMatch: g})
	}
	return h
}

// foreign says that the source cannot be read with the target's credential, so that the copy is to go through the client.
func (d *Driver) foreign(from *Driver, err error) error {
	code := d.Classify(err).Code
	if d.cred != from.cred && (code == fault.PermissionDenied || code == fault.Unauthenticated || code == fault.NotFound && d.o.Bucket != from.o.Bucket) {
		return fault.New(fault.Unimplemented, "the service does not copy with this credential: %w", err)
	}
	return err
}

// entryOfAttrs describes an object as Google's client does.
func entryOfAttrs(a *storage.ObjectAttrs, key string) (store.Entry, error) {
	if a == nil || a.Generation <= 0 || a.Name != key || a.Size < 0 {
		return store.Entry{}, fault.New(fault.Unavailable, "the reply does not come from the service: it describes no object")
	}
	g := strconv.FormatInt(a.Generation, 10)
	sum := store.Sum{Algo: algoCRC32C, Value: []byte{byte(a.CRC32C >> 24), byte(a.CRC32C >> 16), byte(a.CRC32C >> 8), byte(a.CRC32C)}}
	x := described{ContentType: a.ContentType, ContentEncoding: a.ContentEncoding, ContentDisposition: a.ContentDisposition, CacheControl: a.CacheControl,
		ContentLanguage: a.ContentLanguage, Metadata: a.Metadata}
	return store.Entry{Key: key, Size: a.Size, Modified: a.Updated, ETag: g, Version: g, Sums: []store.Sum{sum}, Attrs: x.attributes()}, nil
}
