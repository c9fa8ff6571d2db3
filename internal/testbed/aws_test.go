package testbed

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestAWSServers shows that the servers answer as they should: a request that is not signed, or by
// nobody, is refused where signatures count.
func TestAWSServers(t *testing.T) {
	get := func(t *testing.T, a *AWS, path, auth string) (int, string) {
		t.Helper()
		tr := &http.Transport{DisableKeepAlives: true}
		if a.CA != nil {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(a.CA)
			tr.TLSClientConfig = &tls.Config{RootCAs: pool}
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", a.Endpoint+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if auth != "" {
			req.Header.Set("Authorization", auth)
		}
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	for name, start := range map[string]func(testing.TB) *AWS{"versitygw": VersityGW, "versitygw over TLS": VersityGWTLS} {
		t.Run(name, func(t *testing.T) {
			if code, body := get(t, start(t), "/", ""); code != 403 || !strings.Contains(body, "AccessDenied") {
				t.Errorf("%d %s", code, body)
			}
		})
	}
	t.Run("moto", func(t *testing.T) {
		if code, body := get(t, Moto(t), "/?Action=GetCallerIdentity&Version=2011-06-15", ""); code != 200 {
			t.Errorf("%d %s", code, body)
		}
	})
	t.Run("moto with authorization", func(t *testing.T) {
		auth := "AWS4-HMAC-SHA256 Credential=AKIANOBODY0000000000/20261121/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=00"
		if code, body := get(t, MotoAuth(t, 0), "/?Action=ListUsers&Version=2010-05-08", auth); code != 403 || !strings.Contains(body, "InvalidClientTokenId") {
			t.Errorf("%d %s", code, body)
		}
	})
}
