package azureauth

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// TestEventGrid: each login stands where topics, and topics of namespaces, look for it; none opens what it is not for.
func TestEventGrid(t *testing.T) {
	const sas = "r=https%3A%2F%2Ft.eventgrid.azure.net%2Fapi%2Fevents&e=6%2F15%2F2027+6%3A20%3A15+PM&s=canary%2Bsignature%3D"
	for name, c := range map[string]struct {
		o                Options
		topic, namespace string // header and value
	}{
		"key":       {Options{Method: methodAccessKey, AccessKey: secret.New("key-canary")}, "Aeg-Sas-Key: key-canary", "Authorization: SharedAccessKey key-canary"},
		"signature": {Options{Method: methodSAS, SASToken: secret.New(" " + sas + "\n")}, "Aeg-Sas-Token: " + sas, "Authorization: SharedAccessSignature " + sas},
		"storage":   {Options{Method: methodSAS, SASToken: secret.New("sv=2024-11-04&sig=abcd")}, "", ""},
		"nobody":    {Options{Method: methodAnonymous}, "", ""},
	} {
		env := provider.Env{Name: "x", Redactor: secret.NewRedactor()}
		src, err := open(context.Background(), env, &c.o)
		if err != nil {
			t.Fatal(name, err)
		}
		for namespace, want := range map[bool]string{false: c.topic, true: c.namespace} {
			req, _ := http.NewRequest("POST", "https://t.eventgrid.azure.net/api/events", nil)
			renewable, err := AuthorizeEventGrid(context.Background(), src, req, namespace, false)
			header, value, _ := strings.Cut(want, ": ")
			if renewable || (err == nil) != (want != "") || err != nil && !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%s: %v %v", name, renewable, err)
			}
			if want != "" && (req.Header.Get(header) != value || len(req.Header) != 1) {
				t.Errorf("%s: %v", name, req.Header)
			}
		}
		req, _ := http.NewRequest("GET", "https://a.blob.core.windows.net/c/k", nil)
		if err := Authorize(context.Background(), src, req, "a", begin, false); (err == nil) != (c.topic == "") {
			t.Errorf("%s for a storage account: %v", name, err)
		}
		if text := env.Redactor.Redact("canary+signature= canary%2Bsignature%3D key-canary"); c.topic != "" && strings.Count(text, "canary") > 2 {
			t.Errorf("%s: %s", name, text)
		}
	}
	env := provider.Env{Name: "x", Redactor: secret.NewRedactor()}
	if _, err := open(context.Background(), env, &Options{Method: methodSAS, SASToken: secret.New(sas)}); err != nil || strings.Contains(env.Redactor.Redact("canary+signature= canary%2Bsignature%3D"), "canary") {
		t.Errorf("the signature is not known to the redactor: %v", err)
	}
}
