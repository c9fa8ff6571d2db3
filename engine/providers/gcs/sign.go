package gcs

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/storage"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
	"github.com/dsrun/dsrun/engine/store"
)

// maxSigned is the longest life of a signed URL.
const maxSigned = 7 * 24 * time.Hour

// SignURL implements store.Signer by the V4 signing process (GOOG4-RSA-SHA256), with the key of a service account, or by
// the IAM API where the credential acts for one whose key it does not have.
func (d *Driver) SignURL(ctx context.Context, key string, o store.SignOptions) (string, error) {
	if err := d.usable(ctx); err != nil {
		return "", err
	}
	if err := checkKey(key); err != nil {
		return "", err
	}
	switch {
	case !slices.Contains([]string{"GET", "HEAD", "PUT", "DELETE"}, o.Method):
		return "", fault.New(fault.InvalidArgument, "a URL cannot be signed for the method %q", o.Method)
	case o.Expires < time.Second || o.Expires > maxSigned:
		return "", fault.New(fault.InvalidArgument, "a signed URL is valid for 1 second to 7 days, not for %v", o.Expires)
	case dotted(key):
		return "", fault.New(fault.InvalidArgument, "no URL can be signed for a key with \".\" or \"..\" between slashes: programs would take them away")
	case d.cred == nil:
		return "", fault.Hinted(fault.Unauthenticated, "Declare a credential for the datastore.", "there is no credential to sign with")
	}
	email, sign, err := gcpauth.SignerOf(ctx, d.cred)
	if err != nil {
		return "", err
	}
	end := d.clock.Now().Add(o.Expires)
	if o.Expires < maxSigned {
		end = end.Add(500 * time.Millisecond) // the life is counted from a moment later, in whole seconds
	}
	opts := &storage.SignedURLOptions{GoogleAccessID: email, SignBytes: sign, Method: o.Method, Expires: end, Scheme: storage.SigningSchemeV4,
		Hostname: d.base.Host, Insecure: d.base.Scheme == "http"}
	if d.o.UserProject != "" {
		opts.QueryParameters = url.Values{"userProject": {d.o.UserProject}}
	}
	return storage.SignedURL(d.o.Bucket, key, opts)
}

func dotted(key string) bool {
	for s := range strings.SplitSeq(key, "/") {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}
