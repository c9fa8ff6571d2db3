package gcs

import (
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

// addressing reads gs://BUCKET/KEY.
var addressing = provider.Addressing{
	Prefixes: []string{"gs://"},
	Form:     "gs://BUCKET/KEY",
	Parse: func(uri string) (provider.Address, bool, error) {
		bucket, key := locate(uri)
		if bucket == "" || checkBucket(bucket) != nil {
			return provider.Address{}, true, fault.Hinted(fault.InvalidArgument, "Write gs://BUCKET/KEY.", "%q is no name of a bucket", bucket)
		}
		return provider.Address{Attrs: []provider.Attr{{Name: "bucket", Value: bucket}}, Key: key}, true, nil
	},
}

func locate(uri string) (bucket, key string) {
	_, rest := provider.CutScheme(uri)
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	bucket, key := locate(uri)
	return key, bucket == o.Bucket, nil
}
