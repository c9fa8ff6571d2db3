package s3

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

func TestProvider(t *testing.T) { providertest.Check(t, Provider()) }

// No secret shows in an error, whatever the service or the network does.
func TestCanary(t *testing.T) {
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, 403, "SignatureDoesNotMatch", "<AWSAccessKeyId>AK</AWSAccessKeyId>")
	}))
	for what, x := range map[string]faults.Fault{"a refusal": nil, "a reset": faults.Reset(0), "a page": faults.Portal(), "nothing": faults.Empty(), "a redirect": faults.Redirect("http://127.0.0.1:1/x")} {
		f.Clear()
		if x != nil {
			f.Add(faults.Rule{Fault: x})
		}
		e := env(client(t, httpclient.Options{}), keys("AK", providertest.CanaryText))
		providertest.Canary(t, Provider(), e, map[string]string{"endpoint": `"` + f.URL + `"`}, func(ctx context.Context, opened any) error {
			d := opened.(*Driver)
			var all []string
			for _, call := range []func() error{
				func() error { _, err := d.Stat(ctx, "k", store.Cond{}); return err },
				func() error { _, err := d.List(ctx, store.Query{}); return err },
				func() error { _, err := d.Get(ctx, "k", store.GetOptions{}); return err },
				func() error { _, err := d.Put(ctx, "k", held(make([]byte, 1<<20)), store.PutOptions{}); return err },
				func() error { _, err := d.Begin(ctx, "k", store.PutOptions{}, 1); return err },
				func() error { _, err := d.Uploads(ctx, "", ""); return err },
				func() error { return d.Check(ctx) },
			} {
				err := call()
				if err == nil {
					t.Errorf("%s: no error", what)
					continue
				}
				all = append(all, err.Error(), d.Classify(err).Hint)
			}
			return fault.New(fault.Internal, "%s", strings.Join(all, "; "))
		})
	}
}
