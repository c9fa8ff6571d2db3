package oci

import (
	"context"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

// addressing reads oci://BUCKET@NAMESPACE/KEY and, without the namespace, oci://BUCKET/KEY.
var addressing = provider.Addressing{
	Prefixes: []string{"oci://"},
	Form:     "oci://BUCKET@NAMESPACE/KEY",
	Parse: func(uri string) (provider.Address, bool, error) {
		bucket, namespace, key := locate(uri)
		if checkBucket(bucket) != nil {
			return provider.Address{}, true, fault.Hinted(fault.InvalidArgument, "Write oci://BUCKET@NAMESPACE/KEY.", "%q is no name of a bucket", bucket)
		}
		a := provider.Address{Attrs: []provider.Attr{{Name: "bucket", Value: bucket}}, Key: key}
		if namespace != "" {
			a.Attrs = append(a.Attrs, provider.Attr{Name: "namespace", Value: namespace})
		}
		return a, true, nil
	},
}

func locate(uri string) (bucket, namespace, key string) {
	_, rest := provider.CutScheme(uri)
	front, key, _ := strings.Cut(rest, "/")
	bucket, namespace, _ = strings.Cut(front, "@")
	return bucket, namespace, key
}

// holds reports whether the block holds an address. A block without a namespace may: see HoldsURI.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	bucket, namespace, key := locate(uri)
	return key, bucket == o.Bucket && (namespace == "" || o.Namespace == "" || namespace == o.Namespace), nil
}

// HoldsURI implements store.URIHolder: the namespace of a block that does not name it is asked for, when an address
// does.
func (d *Driver) HoldsURI(ctx context.Context, uri string) error {
	_, want, _ := locate(uri)
	if want == "" {
		return nil
	}
	ns, err := d.namespaceOf(ctx)
	if err == nil && ns != want {
		err = fault.New(fault.NotFound, "the bucket is in the namespace %s, the address names %s", ns, want)
	}
	return err
}
