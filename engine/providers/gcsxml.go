package providers

import (
	"context"
	"errors"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/gcs"
	"github.com/dsrun/dsrun/engine/providers/s3"
	"github.com/dsrun/dsrun/engine/store"
)

// xmlBucket is a bucket of Cloud Storage that is opened with an HMAC key: the XML API is S3's, so its driver is that of
// S3. Only its address is Cloud Storage's.
type xmlBucket struct {
	*s3.Driver
	o *gcs.Options
}

// openGCSXML implements gcs.OpenXML.
func openGCSXML(ctx context.Context, env provider.Env, o *gcs.Options) (store.Driver, error) {
	d, err := s3.Open(ctx, env, &s3.Options{Bucket: o.Bucket, Endpoint: o.Endpoint, Preset: "gcs_xml", PathStyle: "on", StorageClass: o.StorageClass,
		ACL: gcs.XMLACL(o.PredefinedACL), PartSize: o.PartSize, CreateIfNotExists: o.CreateIfNotExists})
	if err != nil {
		return nil, err
	}
	return &xmlBucket{Driver: d.(*s3.Driver), o: o}, nil
}

// URI implements store.Locator.
func (b *xmlBucket) URI(key string) string { return gcs.URI(b.o.Bucket, key) }

// Home implements store.Homer.
func (b *xmlBucket) Home() string { return gcs.Home(b.o.Endpoint) }

// String keeps %v free of everything else.
func (b *xmlBucket) String() string { return "gs://" + b.o.Bucket }

// GoString implements fmt.GoStringer.
func (b *xmlBucket) GoString() string { return b.String() }

// CopyFrom implements store.Copier.
func (b *xmlBucket) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	return b.Driver.CopyFrom(ctx, bare(src), srcKey, dstKey, o)
}

// bare is the driver of S3 below a bucket of this kind; a bucket of S3 itself is another service's.
func bare(src store.Driver) store.Driver {
	if b, ok := src.(*xmlBucket); ok {
		return b.Driver
	}
	return nil
}

// Begin implements store.Multiparter.
func (b *xmlBucket) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	return parted(b.Driver.Begin(ctx, key, o, size))
}

// Resume implements store.Multiparter.
func (b *xmlBucket) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	return parted(b.Driver.Resume(ctx, state))
}

// xmlUpload is an upload whose parts can be copied from buckets of this kind.
type xmlUpload struct {
	store.Upload
	parts store.PartCopier
}

func parted(u store.Upload, err error) (store.Upload, error) {
	if err != nil {
		return nil, err
	}
	return &xmlUpload{u, u.(store.PartCopier)}, nil
}

// CopyPart implements store.PartCopier.
func (u *xmlUpload) CopyPart(ctx context.Context, n int, src store.Driver, srcKey string, r store.Range, o store.CopyOptions) (store.Part, error) {
	return u.parts.CopyPart(ctx, n, bare(src), srcKey, r, o)
}

// Classify implements store.Driver. The remedies are those of Cloud Storage.
func (b *xmlBucket) Classify(err error) fault.Class {
	c := b.Driver.Classify(err)
	var reply *s3.ReplyError
	switch {
	case c.Hint == "" || !errors.As(err, &reply):
	case reply.Code == "NoSuchBucket":
		c.Hint = b.o.BucketHint()
	case strings.Contains(c.Hint, "s3:"):
		c.Hint = "Give the account of the HMAC key a role on the bucket, with `gcloud storage buckets add-iam-policy-binding gs://" + b.o.Bucket + " --member=serviceAccount:EMAIL --role=roles/storage.objectUser`."
	case reply.Code == "InvalidAccessKeyId":
		c.Hint = "The service does not know the HMAC key: see Settings > Interoperability in the console, or `gcloud storage hmac list`."
	}
	return c
}
