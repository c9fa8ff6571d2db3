package httpclient

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var quiet = log.New(io.Discard, "", 0)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(t *testing.T, until time.Time, names ...string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serve(t *testing.T, conf *tls.Config) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	s.TLS, s.EnableHTTP2 = conf, true
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	later := time.Now().Add(time.Hour)
	good := ca.issue(t, later, "127.0.0.1")
	refusedCount, dangerous := 0, 0
	for _, c := range []struct {
		name string
		conf *tls.Config
		ok   bool
	}{
		{"good", &tls.Config{Certificates: []tls.Certificate{good}}, true},
		{"TLS 1.2", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, true},
		{"self-signed", &tls.Config{Certificates: []tls.Certificate{other.issue(t, later, "127.0.0.1")}}, false},
		{"expired", &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(-time.Hour), "127.0.0.1")}}, false},
		{"wrong name", &tls.Config{Certificates: []tls.Certificate{ca.issue(t, later, "example.com", "127.0.0.2")}}, false},
		{"TLS 1.1", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
	} {
		url := serve(t, c.conf)
		resp, err := client(t, Options{CA: ca.pem}).Get(url)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok {
			dangerous++
			if err != nil {
				refusedCount++
			}
		}
		var log bytes.Buffer
		resp, err = client(t, Options{Name: "lake", Insecure: true, Log: slog.New(slog.NewTextHandler(&log, nil))}).Get(url)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) == (c.name == "TLS 1.1") { // unchecked, but not of old versions
			t.Errorf("insecure, %s: %v", c.name, err)
		}
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "lake") {
			t.Errorf("insecure says nothing: %q", log.String())
		}
	}
	t.Logf("refused %d of %d", refusedCount, dangerous)
	if _, err := New(Options{CA: []byte("nothing")}); err == nil {
		t.Error("a ca_file without a certificate is taken")
	}
}

func TestProtocols(t *testing.T) {
	ca := newAuthority(t)
	url := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour), "127.0.0.1")}})
	for h1, want := range map[bool]string{false: "HTTP/2.0", true: "HTTP/1.1"} {
		resp, err := client(t, Options{CA: ca.pem, HTTP1: h1}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != want {
			t.Errorf("%s instead of %s", b, want)
		}
	}
	c := client(t, Options{CA: ca.pem})
	plain := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	t.Cleanup(plain.Close)
	for _, at := range []string{url, plain.URL, url} {
		h2 := WithHTTP2(c)
		resp, err := h2.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		h2.CloseIdleConnections()
		if string(b) != "HTTP/2.0" {
			t.Errorf("%s instead of HTTP/2.0 at %s", b, at)
		}
	}
	for _, h1 := range []bool{true, false, true} { // the one it is made of stays as it was
		want, c := "HTTP/2.0", c
		if h1 {
			want, c = "HTTP/1.1", WithHTTP1(c)
		}
		resp, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != want {
			t.Errorf("%s instead of %s", b, want)
		}
	}
}
