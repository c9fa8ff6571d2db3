package oci

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// SignURL implements store.Signer by a pre-authenticated request, which the service keeps and lists until it is deleted
// there; after its end it opens nothing.
func (d *Driver) SignURL(ctx context.Context, key string, o store.SignOptions) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	access := map[string]string{"GET": "ObjectRead", "HEAD": "ObjectRead", "PUT": "ObjectWrite"}[o.Method]
	switch {
	case o.Method == "DELETE":
		return "", fault.New(fault.Unimplemented, "pre-authenticated requests cannot delete")
	case access == "":
		return "", fault.New(fault.InvalidArgument, "a URL cannot be signed for the method %q", o.Method)
	case o.Expires < time.Second:
		return "", fault.New(fault.InvalidArgument, "a signed URL is valid for 1 second or more, not for %v", o.Expires)
	}
	r := &request{action: "PAR_MANAGE", method: "POST", path: "/p"}
	err := r.encode(map[string]any{"name": "dsrun-" + rand.Text(), "objectName": key, "accessType": access, "timeExpires": d.now().Add(o.Expires).UTC().Format("2006-01-02T15:04:05.000Z")})
	if err != nil {
		return "", err
	}
	var made struct{ AccessURI, ObjectName string }
	resp, err := d.json(ctx, r, &made)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(made.AccessURI, "/p/") || made.ObjectName != key {
		return "", notOCI(resp, "it has no address")
	}
	return d.base.Scheme + "://" + d.base.Host + strings.TrimSuffix(d.base.EscapedPath(), "/") + made.AccessURI, nil
}
