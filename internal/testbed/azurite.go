package testbed

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Azure is a server of Azure storage that runs.
type Azure struct {
	*Instance
	Account  string
	Key      string // base64
	Endpoint string // of the account's Blob service
	CA       []byte // PEM of the certificate to trust; nil without TLS
}

// Azurite starts Microsoft's emulator of Blob storage with one account. It checks signatures.
func Azurite(t testing.TB) *Azure { t.Helper(); return azurite(t, false) }

// AzuriteOAuth is Azurite over TLS, which takes bearer tokens too. It checks their claims and not their signatures.
func AzuriteOAuth(t testing.TB) *Azure { t.Helper(); return azurite(t, true) }

func azurite(t testing.TB, oauth bool) *Azure {
	t.Helper()
	a := &Azure{Account: "testbedaccount", Key: base64.StdEncoding.EncodeToString([]byte(strings.Repeat("testbed-key/+", 4)))}
	s := Server{
		Name:    "azurite",
		Program: "azurite-blob",
		Version: []string{"--version"},
		Args: func(i *Instance) []string {
			args := []string{"--silent", "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(i.Port), "--skipApiVersionCheck", "--disableTelemetry"}
			if oauth {
				args = append(args, "--oauth", "basic", "--cert", i.Path("cert.pem"), "--key", i.Path("key.pem"))
			}
			return args
		},
		Env: func(*Instance) []string { return []string{"AZURITE_ACCOUNTS=" + a.Account + ":" + a.Key} },
	}
	if oauth {
		s.Setup = func(_ context.Context, i *Instance) (err error) { a.CA, err = selfSigned(i); return err }
	}
	a.Instance = s.Start(t)
	if oauth {
		a.URL = strings.Replace(a.URL, "http://", "https://", 1)
	}
	a.Endpoint = a.URL + "/" + a.Account
	return a
}

// selfSigned writes cert.pem and key.pem for 127.0.0.1 into the instance's folder and returns the certificate.
func selfSigned(i *Instance) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "testbed"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(i.Path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600); err != nil {
		return nil, err
	}
	return cert, os.WriteFile(i.Path("cert.pem"), cert, 0o600)
}
