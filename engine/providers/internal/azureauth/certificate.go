package azureauth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// assertion signs what proves the application by its certificate: a JWT with PS256 whose header names the certificate,
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials.
func (w *world) assertion(p principal, audience string) (string, error) {
	text, err := readFile(p.certificateFile)
	if err != nil {
		return "", err
	}
	w.env.Redactor.Add(text)
	cert, key, err := parsePEM([]byte(text), p.certificateFile)
	if err != nil {
		return "", err
	}
	now := w.clock.Now()
	if now.After(cert.NotAfter) {
		return "", fault.Hinted(fault.Unauthenticated, "Make a new certificate and add it to the application.", "the certificate of %s ended on %s", p.certificateFile, cert.NotAfter.Format(time.DateOnly))
	}
	thumb := sha256.Sum256(cert.Raw)
	b64 := base64.RawURLEncoding.EncodeToString
	head, _ := json.Marshal(map[string]string{"alg": "PS256", "typ": "JWT", "x5t#S256": b64(thumb[:])})
	claims, _ := json.Marshal(map[string]any{"aud": audience, "iss": p.client, "sub": p.client, "jti": rand.Text(),
		"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()})
	signed := b64(head) + "." + b64(claims)
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		return "", err
	}
	return signed + "." + b64(sig), nil
}

// parsePEM finds the certificate and the RSA key that belong together.
func parsePEM(b []byte, file string) (*x509.Certificate, *rsa.PrivateKey, error) {
	bad := func(what string) (*x509.Certificate, *rsa.PrivateKey, error) {
		return nil, nil, fault.Hinted(fault.InvalidArgument, "The file must be PEM with the certificate and its RSA key, unencrypted, as `az ad sp create-for-rbac --create-cert` makes it.", "%s %s", file, what)
	}
	var certs []*x509.Certificate
	var key *rsa.PrivateKey
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return bad("has a damaged certificate")
			}
			certs = append(certs, c)
		case "PRIVATE KEY", "RSA PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
			}
			r, ok := k.(*rsa.PrivateKey)
			if err != nil || !ok {
				return bad("has a key that is not of RSA")
			}
			key = r
		case "ENCRYPTED PRIVATE KEY":
			return bad("has an encrypted key")
		}
	}
	if key == nil {
		return bad("has no private key")
	}
	for _, c := range certs {
		if key.PublicKey.Equal(c.PublicKey) {
			return c, key, nil
		}
	}
	return bad("has no certificate of its key")
}
