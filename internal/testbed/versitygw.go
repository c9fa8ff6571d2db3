package testbed

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"testing"
	"time"
)

// AWS is a running server that speaks protocols of AWS, and how to log in to it.
type AWS struct {
	*Instance
	Endpoint        string // URL
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	CA              []byte // PEM of the certificate authority to trust; nil without TLS
}

// VersityGW starts an S3 server over a folder of files. It checks signatures and checksums, and knows conditional
// requests, multipart uploads, versions, bucket policies and ACLs. Its keys are those of the owner of everything.
func VersityGW(t testing.TB) *AWS { t.Helper(); return versityGW(t, false, "us-east-1") }

// VersityGWAuto is VersityGW in the region "auto", as Cloud Storage's XML API is signed for.
func VersityGWAuto(t testing.TB) *AWS { t.Helper(); return versityGW(t, false, "auto") }

// VersityGWTLS is VersityGW over TLS, with a certificate of AWS.CA.
func VersityGWTLS(t testing.TB) *AWS { t.Helper(); return versityGW(t, true, "us-east-1") }

func versityGW(t testing.TB, tls bool, region string) *AWS {
	t.Helper()
	a := &AWS{Region: region, AccessKeyID: "testbed-owner", SecretAccessKey: "testbed-owner-secret/+="}
	s := Server{
		Name:    "versitygw",
		Version: []string{"--version"},
		Setup: func(_ context.Context, i *Instance) error {
			for _, dir := range []string{"iam", "data", "versions"} {
				if err := os.MkdirAll(i.Path(dir), 0o700); err != nil {
					return err
				}
			}
			if !tls {
				return nil
			}
			cert, key, err := Certificate()
			if err != nil {
				return err
			}
			a.CA = cert
			return errors.Join(os.WriteFile(i.Path("cert.pem"), cert, 0o600), os.WriteFile(i.Path("key.pem"), key, 0o600))
		},
		Args: func(i *Instance) []string {
			args := []string{"--quiet", "--keep-alive", "--port", i.Addr, "--iam-dir", i.Path("iam")}
			if tls {
				args = append(args, "--cert", i.Path("cert.pem"), "--key", i.Path("key.pem"))
			}
			return append(args, "posix", "--versioning-dir", i.Path("versions"), i.Path("data"))
		},
		Env: func(*Instance) []string {
			return []string{"ROOT_ACCESS_KEY=" + a.AccessKeyID, "ROOT_SECRET_KEY=" + a.SecretAccessKey, "VGW_REGION=" + a.Region}
		},
	}
	a.Instance = s.Start(t)
	a.Endpoint = a.URL
	if tls {
		a.Endpoint = "https://" + a.Addr
	}
	return a
}

// Certificate makes a certificate for 127.0.0.1 and localhost that is its own authority, and its key, as PEM.
func Certificate() (cert, key []byte, _ error) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "testbed"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, priv.Public(), priv)
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}
