package gcpauth

import (
	"context"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// HMAC reports whether a source gives an HMAC key to Cloud Storage: it was declared so, or the environment, which its
// method asks, holds one.
func HMAC(src credential.Source) bool {
	s, ok := src.(*source)
	return ok && s.hmac
}

// AsKeys returns a source of an HMAC key with the fields of the family "aws", whose signatures the XML API takes.
func AsKeys(src credential.Source) credential.Source { return keys{src} }

type keys struct{ credential.Source }

// Resolve implements credential.Source.
func (k keys) Resolve(ctx context.Context, w credential.Want) (credential.Value, error) {
	w.Audience = ScopeStorage
	v, err := k.Source.Resolve(ctx, w)
	if err != nil {
		return v, err
	}
	id, sec := v.Fields[FieldAccessID], v.Fields[FieldSecret]
	if id.Reveal() == "" || sec.Reveal() == "" {
		return credential.Value{}, fault.New(fault.Unauthenticated, "the credential holds no HMAC key")
	}
	v.Fields = map[string]secret.String{"access_key_id": id, "secret_access_key": sec}
	return v, nil
}

// Project returns the project of the service account whose key a source holds; "" where it holds none.
func Project(src credential.Source) string {
	if s, ok := src.(*source); ok && s.key != nil {
		return s.key.Project
	}
	return ""
}
