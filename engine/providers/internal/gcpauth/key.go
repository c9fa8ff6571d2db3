package gcpauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
)

// key is a service account's key file.
type key struct {
	ClientEmail, PrivateKeyID, TokenURI, Project string
	private                                      *rsa.PrivateKey
}

// keyFields are what a key file holds; all of them must be there.
var keyFields = []string{"type", "project_id", "private_key_id", "private_key", "client_email", "client_id", "auth_uri", "token_uri",
	"auth_provider_x509_cert_url", "client_x509_cert_url", "universe_domain"}

const keyFileHint = "Make a new key with `gcloud iam service-accounts keys create FILE --iam-account=EMAIL` and use the whole file."

// parseKey reads the text of a key file. Errors do not repeat the text.
func (w *world) parseKey(where, text string) (*key, error) {
	w.learn(text)
	var m map[string]any
	if json.Unmarshal([]byte(text), &m) != nil || m == nil {
		return nil, fault.Hinted(fault.InvalidArgument, keyFileHint, "%s: invalid credentials format: not a JSON object", where)
	}
	get := func(name string) string { s, _ := m[name].(string); return s }
	var missing []string
	for _, name := range keyFields {
		if get(name) == "" {
			missing = append(missing, name)
		}
	}
	w.learn(get("private_key"))
	if len(missing) > 0 {
		return nil, fault.Hinted(fault.InvalidArgument, keyFileHint, "%s: invalid credentials format: missing %s", where, strings.Join(missing, ", "))
	}
	if get("type") != "service_account" {
		return nil, fault.Hinted(fault.InvalidArgument, keyFileHint, "%s: invalid credentials format: type is not service_account", where)
	}
	if !tokenURL(get("token_uri")) {
		return nil, fault.Hinted(fault.InvalidArgument, keyFileHint, "%s: invalid credentials format: token_uri is not an https URL", where)
	}
	k := &key{ClientEmail: get("client_email"), PrivateKeyID: get("private_key_id"), TokenURI: get("token_uri"), Project: get("project_id")}
	block, _ := pem.Decode([]byte(get("private_key")))
	if block != nil {
		if p, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			k.private, _ = p.(*rsa.PrivateKey)
		} else {
			k.private, _ = x509.ParsePKCS1PrivateKey(block.Bytes)
		}
	}
	if k.private == nil {
		return nil, fault.Hinted(fault.InvalidArgument, keyFileHint, "%s: invalid credentials format: private_key is not an RSA key in PEM", where)
	}
	return k, nil
}

// tokenURL reports whether a login may go to a URL: https, or this machine.
func tokenURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	h := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (h == "127.0.0.1" || h == "::1" || h == "localhost")
}

// sign is RS256: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, 3.3).
func (k *key) sign(b []byte) ([]byte, error) {
	sum := sha256.Sum256(b)
	return rsa.SignPKCS1v15(rand.Reader, k.private, crypto.SHA256, sum[:])
}

// keyToken exchanges a signed assertion for a token (RFC 7523; "Using OAuth 2.0 for Server to Server Applications").
func (w *world) keyToken(ctx context.Context, k *key, want credential.Want) (credential.Value, error) {
	now := w.clock.Now()
	head, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": k.PrivateKeyID})
	if err != nil {
		return credential.Value{}, err
	}
	claims, err := json.Marshal(map[string]any{"iss": k.ClientEmail, "scope": scope(want), "aud": k.TokenURI, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	if err != nil {
		return credential.Value{}, err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(head) + "." + enc.EncodeToString(claims)
	sig, err := k.sign([]byte(text))
	if err != nil {
		return credential.Value{}, fault.New(fault.Internal, "sign the login of %s: %w", k.ClientEmail, err)
	}
	assertion := w.learn(text + "." + enc.EncodeToString(sig))
	return w.exchange(ctx, "log in as "+k.ClientEmail, k.TokenURI, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
}

func scope(w credential.Want) string {
	if w.Audience == "" {
		return ScopeCloud
	}
	return w.Audience
}
