package s3

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// maxSigned is the longest life of a signed URL.
const maxSigned = 7 * 24 * time.Hour

// SignURL implements store.Signer. The URL ends with the credential that signs it, if that is sooner.
func (d *Driver) SignURL(ctx context.Context, key string, o store.SignOptions) (string, error) {
	if err := d.usable(ctx); err != nil {
		return "", err
	}
	if err := d.checkKey(key); err != nil {
		return "", err
	}
	if !slices.Contains([]string{"GET", "HEAD", "PUT", "DELETE"}, o.Method) {
		return "", fault.New(fault.InvalidArgument, "a URL cannot be signed for the method %q", o.Method)
	}
	if o.Expires < time.Second || o.Expires > maxSigned {
		return "", fault.New(fault.InvalidArgument, "a signed URL is valid for 1 second to 7 days, not for %v", o.Expires)
	}
	creds, err := d.credentials(ctx, false)
	if err != nil {
		return "", err
	}
	if creds.AccessKeyID == "" {
		return "", fault.Hinted(fault.Unauthenticated, "Declare a credential for the datastore.", "there is no credential to sign with")
	}
	region := d.regionNow()
	at, err := d.address(region)
	if err != nil {
		return "", err
	}
	u := &url.URL{Scheme: at.scheme, Host: at.host, RawPath: at.path + escape(key, true)}
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return "", err
	}
	q := []string{"X-Amz-Expires", strconv.FormatInt(int64(o.Expires/time.Second), 10)}
	if d.o.RequesterPays {
		q = append(q, "x-amz-request-payer", "requester")
	}
	u.RawQuery = queryOf(q)
	req := &http.Request{Method: o.Method, URL: u, Host: at.host, Header: http.Header{}}
	signed, _, err := d.signer.PresignHTTP(ctx, creds, req, unsignedPayload, "s3", region, d.now())
	if err != nil {
		return "", err
	}
	return signed, nil
}

// Check implements store.Checker: one name is listed, which shows that the bucket is there, that it is in the region and
// that the credential is taken. What is not allowed is said by the error; nothing is changed.
func (d *Driver) Check(ctx context.Context) error {
	_, err := d.List(ctx, store.Query{Max: 1})
	return err
}
