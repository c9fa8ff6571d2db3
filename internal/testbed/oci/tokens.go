package oci

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// issuer gives tokens and knows the keys that they are bound to.
type issuer struct {
	tokens map[string]issued
	leaf   *x509.Certificate
	key    *rsa.PrivateKey
	ca     []byte // PEM
	region string
}

type issued struct {
	key *rsa.PublicKey
	end time.Time
}

func (i *issuer) keyOf(token string, now time.Time) *rsa.PublicKey {
	if t, ok := i.tokens[token]; ok && now.Before(t.end) {
		return t.key
	}
	return nil
}

func (s *Server) tokens() *issuer {
	if s.issuer == nil {
		s.issuer = &issuer{tokens: map[string]issued{}, region: "us-ashburn-1"}
	}
	return s.issuer
}

// Issue gives a token that is bound to a key, as a JWT whose signature nobody checks.
func (s *Server) Issue(key *rsa.PublicKey, life time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.Now().Add(life)
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	// The claim jwk holds the public key, which Oracle's SDKs compare with their own.
	jwk, _ := json.Marshal(map[string]string{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())})
	token := part(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + part(map[string]any{"exp": end.Unix(), "iat": s.Now().Unix(), "tenant": s.Tenancy, "jti": s.unique(), "jwk": string(jwk)}) + "." + part("signature")
	s.tokens().tokens[token] = issued{key, end}
	return token
}

// Instance makes the machine's identity that the fake's metadata service gives out, below /opc/v2.
func (s *Server) Instance() error {
	root, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "PKISVC Identity Intermediate"}, NotBefore: s.Now().Add(-time.Hour), NotAfter: s.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	unit := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 11}}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: s.Now().Add(-time.Hour), NotAfter: s.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "ocid1.instance.oc1..testbed", ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: unit.Type, Value: "opc-certtype:instance"}, {Type: unit.Type, Value: "opc-instance:ocid1.instance.oc1..testbed"}, {Type: unit.Type, Value: "opc-tenant:" + s.Tenancy}}}}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, root.Public(), root)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), root)
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.tokens()
	i.leaf, i.key, i.ca = parsed, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	return nil
}

// metadata is the instance metadata service, version 2.
func (c *call) metadata(path string) *failure {
	if c.r.Method != "GET" || c.r.Header.Get("Authorization") != "Bearer Oracle" {
		return fail(401, "NotAuthenticated", "the header against forgery is missing")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	i := c.s.tokens()
	if i.leaf == nil {
		return fail(404, "NotFound", "no such path")
	}
	var out []byte
	switch strings.TrimSuffix(path, "/") {
	case "/instance/region":
		out = []byte(i.region)
	case "/instance/regionInfo":
		return c.reply(200, map[string]string{"realmDomainComponent": "oraclecloud.com", "realmKey": "oc1", "regionIdentifier": i.region, "regionKey": "IAD"})
	case "/identity/cert.pem":
		out = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.leaf.Raw})
	case "/identity/key.pem":
		out = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(i.key)})
	case "/identity/intermediate.pem":
		out = i.ca
	default:
		return fail(404, "NotFound", "no such path")
	}
	c.w.Header().Set("Content-Type", "text/plain")
	c.w.Write(out)
	return nil
}

// federate is the service that gives a token for an instance's certificate.
func (c *call) federate() *failure {
	c.s.mu.Lock()
	i := c.s.tokens()
	leaf := i.leaf
	c.s.mu.Unlock()
	if leaf == nil {
		return fail(401, "NotAuthenticated", "no instance")
	}
	sum := sha256.Sum256(leaf.Raw)
	old := sha1.Sum(leaf.Raw) // the older form, which Oracle's Python SDK uses
	colons := func(b []byte) string { return strings.ReplaceAll(fmt.Sprintf("% x", b), " ", ":") }
	ids := []string{c.s.Tenancy + "/fed-x509-sha256/" + colons(sum[:]), c.s.Tenancy + "/fed-x509/" + colons(old[:])}
	_, f := c.verify([]string{"(request-target)", "content-length", "content-type", "x-content-sha256"}, func(id string) *rsa.PublicKey {
		for _, want := range ids {
			if strings.EqualFold(id, want) {
				return leaf.PublicKey.(*rsa.PublicKey)
			}
		}
		return nil
	})
	if f != nil {
		return f
	}
	var d struct {
		Certificate, PublicKey   string
		IntermediateCertificates []string
	}
	if f := c.json(&d); f != nil {
		return f
	}
	raw, err := base64.StdEncoding.DecodeString(d.Certificate)
	if err != nil || !bytes.Equal(raw, leaf.Raw) || len(d.IntermediateCertificates) != 1 {
		return fail(401, "NotAuthenticated", "the certificate is not that of the instance")
	}
	key, f := publicKey(d.PublicKey)
	if f != nil {
		return f
	}
	return c.reply(200, map[string]string{"token": c.s.Issue(key, time.Hour)})
}

// publicKey reads what stands between the lines of a PEM block.
func publicKey(text string) (*rsa.PublicKey, *failure) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		var k any
		if k, err = x509.ParsePKIXPublicKey(raw); err == nil {
			if key, ok := k.(*rsa.PublicKey); ok {
				return key, nil
			}
		}
	}
	return nil, fail(400, "InvalidParameter", "the public key cannot be read")
}
