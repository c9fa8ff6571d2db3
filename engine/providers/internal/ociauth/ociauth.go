// Package ociauth logs in to Oracle Cloud Infrastructure. It holds the credential family "oci" and signs requests.
//
// Signing, keys and regions are those of Oracle's Go SDK. Its providers of principals are not used: they read the
// process's environment whatever they are told, make HTTP clients of their own, know no context, and sleep for minutes.
// The exchanges they make are few and are made here over the block's own client, in the same form.
//
// A declared credential is used as declared: nothing of the environment or of shared files stands in for it or completes
// it. Only the method "default" asks those places; the three principals ask what their method is named after.
package ociauth

import (
	"context"
	"crypto/rsa"
	"net/http"
	"strings"
	"sync"

	"github.com/oracle/oci-go-sdk/v65/common"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
)

// The fields of a credential.Value of the family "oci".
const (
	FieldTenancy       = "tenancy"
	FieldUser          = "user"
	FieldFingerprint   = "fingerprint"
	FieldPrivateKey    = "private_key"    // PEM, not encrypted
	FieldSecurityToken = "security_token" // instead of user and fingerprint
	FieldRegion        = "region"
)

// Signer signs requests with a credential. It is safe for concurrent use.
type Signer struct {
	src credential.Source

	mu  sync.Mutex
	pem string
	key *rsa.PrivateKey
}

// NewSigner returns the signer of a source.
func NewSigner(src credential.Source) *Signer { return &Signer{src: src} }

// Sign sets the Authorization header of a request, whose Date header and URL stand. With body, the request's whole body
// is read and covered; without, it is not looked at, as Object Storage has it for the bytes of objects. refresh gets a
// new credential first, because the last was refused.
func (s *Signer) Sign(ctx context.Context, req *http.Request, body, refresh bool) error {
	v, err := s.src.Resolve(ctx, credential.Want{Refresh: refresh})
	if err != nil {
		return err
	}
	k, err := s.keyOf(v)
	if err != nil {
		return err
	}
	return sign(req, k, common.DefaultGenericHeaders(), body)
}

// sign signs a request with a key. headers are signed besides those of the body.
func sign(req *http.Request, k common.KeyProvider, headers []string, body bool) error {
	return common.RequestSignerWithBodyHashingPredicate(k, headers, []string{"content-length", "content-type", "x-content-sha256"},
		func(*http.Request) bool { return body }).Sign(req)
}

// keyOf returns the key of a value. Reading a key takes longer than signing with it, so that it is kept.
func (s *Signer) keyOf(v credential.Value) (held, error) {
	text := v.Fields[FieldPrivateKey].Reveal()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil || s.pem != text {
		key, err := parseKey(text, "")
		if err != nil {
			return held{}, err
		}
		s.pem, s.key = text, key
	}
	return held{key: s.key, id: keyID(v)}, nil
}

// keyID is what stands as keyId in a signature: "ST$" and a token, or the three parts of an API key's name.
func keyID(v credential.Value) string {
	if t := v.Fields[FieldSecurityToken].Reveal(); t != "" {
		return "ST$" + t
	}
	return v.Fields[FieldTenancy].Reveal() + "/" + v.Fields[FieldUser].Reveal() + "/" + v.Fields[FieldFingerprint].Reveal()
}

// held is a key that is there. It implements common.KeyProvider.
type held struct {
	key *rsa.PrivateKey
	id  string
}

func (h held) PrivateRSAKey() (*rsa.PrivateKey, error) { return h.key, nil }
func (h held) KeyID() (string, error)                  { return h.id, nil }

// Region returns the region that goes with a source, or "".
func Region(ctx context.Context, src credential.Source) string {
	if r, ok := src.(interface{ Region(context.Context) string }); ok {
		return r.Region(ctx)
	}
	return ""
}

// Tenancy returns the tenancy of a source's value, or "".
func Tenancy(ctx context.Context, src credential.Source) string {
	v, err := src.Resolve(ctx, credential.Want{})
	if err != nil {
		return ""
	}
	return v.Fields[FieldTenancy].Reveal()
}

// FullRegion returns the name of a region for its name or its short code ("fra").
func FullRegion(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" || strings.Contains(s, "-") {
		return s
	}
	return string(common.StringToRegion(s))
}

// Host returns the host of a service in a region, such as objectstorage.eu-frankfurt-1.oraclecloud.com. A region that
// Oracle's SDK does not know is one of the commercial realm.
func Host(service, region string) string {
	domain := "oraclecloud.com"
	if r := common.Region(region); region != "" {
		if _, err := r.RealmID(); err == nil {
			domain = r.SecondLevelDomain()
		}
	}
	return service + "." + region + "." + domain
}

// parseKey reads an RSA key from PEM.
func parseKey(text, passphrase string) (*rsa.PrivateKey, error) {
	var pass *string
	if passphrase != "" {
		pass = &passphrase
	}
	key, err := common.PrivateKeyFromBytes([]byte(text), pass)
	if err != nil || key == nil {
		// What the parser says may quote what it read.
		return nil, fault.Hinted(fault.Unauthenticated, "Give the RSA key in PEM form that belongs to the fingerprint, with its passphrase if it is encrypted.", "the private key cannot be read")
	}
	return key, nil
}
