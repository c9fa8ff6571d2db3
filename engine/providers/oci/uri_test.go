package oci

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
)

// An address that names a namespace is the block's only when the service has that one, whether or not the block says so,
// in a dry run too.
func TestHoldsURI(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.Bucket("b")
	s := httptest.NewServer(f)
	defer s.Close()
	e := env(client(t, httpclient.Options{}), apiKey())
	for _, ns := range []string{"", "examplens"} {
		d := openWith(t, e, Options{Bucket: "b", Namespace: ns, Endpoint: s.URL})
		defer d.Close()
		for _, h := range []store.URIHolder{d, store.Overlay(d)} {
			for _, uri := range []string{"oci://b/x", "oci://b@examplens/x"} {
				if err := h.HoldsURI(t.Context(), uri); err != nil {
					t.Errorf("namespace %q: %s: %v", ns, uri, err)
				}
			}
			if err := h.HoldsURI(t.Context(), "oci://b@other/x"); d.Classify(err).Code != fault.NotFound || !strings.Contains(err.Error(), "examplens") {
				t.Errorf("namespace %q: %v", ns, err)
			}
		}
		if uri := d.URI("x"); uri != "oci://b@examplens/x" {
			t.Errorf("namespace %q: URI %s", ns, uri)
		}
	}
}
