package gcs

import (
	"context"
	"net/http"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"
)

// newClient makes Google's client, over the same connections and with the same token. It is told to look for no
// credential and no endpoint itself, and to try nothing again: that is the portable layer's.
func (d *Driver) newClient() (*storage.Client, error) {
	hc := *d.http
	hc.Transport = &authorized{d}
	c, err := storage.NewClient(context.Background(), option.WithoutAuthentication(), option.WithHTTPClient(&hc), option.WithEndpoint(d.base.String()+"/storage/v1/"))
	if err != nil {
		return nil, err
	}
	c.SetRetry(storage.WithPolicy(storage.RetryNever))
	return c, nil
}

// bucket returns the handle of Google's client for the bucket.
func (d *Driver) bucket() (*storage.BucketHandle, error) {
	c, err := d.client()
	if err != nil {
		return nil, err
	}
	b := c.Bucket(d.o.Bucket)
	if d.o.UserProject != "" {
		b = b.UserProject(d.o.UserProject)
	}
	return b, nil
}

// authorized is the transport of Google's client: it adds the token, and sends a request again whose token was refused.
type authorized struct{ d *Driver }

// RoundTrip implements http.RoundTripper.
func (a *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	for refresh := false; ; refresh = true {
		mine := req.Clone(req.Context())
		mine.Header.Set("User-Agent", "dsrun")
		if refresh && req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			mine.Body = body
		}
		if err := a.d.authorize(req.Context(), mine, refresh); err != nil {
			return nil, err
		}
		resp, err := a.d.http.Transport.RoundTrip(mine)
		if err != nil || resp.StatusCode != http.StatusUnauthorized || refresh || a.d.cred == nil || req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
			return resp, err
		}
		drain(resp)
	}
}
