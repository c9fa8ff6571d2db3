// Package gcpauth logs in to Google Cloud. It holds the credential family "gcp".
//
// A declared credential is used as declared: nothing of the environment, of gcloud's files or of the machine's identity
// stands in for it or completes it. Only the method "default" asks those places.
package gcpauth

import (
	"context"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
)

// The fields of a credential.Value of the family "gcp": a token, or an access id with its secret (HMAC, for the XML API
// of Cloud Storage). A value without fields is anonymous.
const (
	FieldToken    = "access_token"
	FieldAccessID = "access_id"
	FieldSecret   = "secret"
)

// The scopes that a token can be for (credential.Want.Audience). An empty audience means ScopeCloud.
const (
	ScopeCloud   = "https://www.googleapis.com/auth/cloud-platform"
	ScopeStorage = "https://www.googleapis.com/auth/devstorage.full_control"
	ScopePubsub  = "https://www.googleapis.com/auth/pubsub"
)

// Anonymous reports whether a source was declared as anonymous: requests go without a token.
func Anonymous(src credential.Source) bool {
	a, ok := src.(interface{ Anonymous() bool })
	return ok && a.Anonymous()
}

// WithToken calls fn with a token for the scope, and once more with a new one when fn's error is Unauthenticated: the
// service has refused the token before the end of its life.
func WithToken(ctx context.Context, src credential.Source, scope string, fn func(token string) error) error {
	token, err := tokenOf(ctx, src, credential.Want{Audience: scope})
	if err != nil {
		return err
	}
	if err = fn(token); !fault.Is(err, fault.Unauthenticated) {
		return err
	}
	fresh, renewal := tokenOf(ctx, src, credential.Want{Audience: scope, Refresh: true})
	if renewal != nil || fresh == token { // nothing new to try: what the service said tells more
		return err
	}
	return fn(fresh)
}

func tokenOf(ctx context.Context, src credential.Source, w credential.Want) (string, error) {
	v, err := src.Resolve(ctx, w)
	if err != nil {
		return "", err
	}
	token := v.Fields[FieldToken].Reveal()
	if token == "" {
		return "", fault.Hinted(fault.InvalidArgument, "Use a credential with the method default, service_account, impersonate or access_token.",
			"the credential gives no access token")
	}
	return token, nil
}
