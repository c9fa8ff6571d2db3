//go:build unix

package s3

import (
	"context"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/nulls3"
)

// cpu is the user and system time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkList lists many keys with this driver and with the SDK's paginator, in turn, and reports the CPU time a key
// of each and their ratio. The server is in this process; its share, the same on both sides, makes the ratio look worse
// than it is.
func BenchmarkList(b *testing.B) {
	keysListed := testbed.Scale(50_000, 1_000_000)
	srv := httptest.NewServer(&nulls3.Server{Keys: keysListed, Size: 1000})
	defer srv.Close()
	c := client(b, httpclient.Options{})
	cred := keys("AK", "secret")
	d := openWith(b, env(c, cred), Options{Bucket: "b", Endpoint: srv.URL, Preset: "aws", Region: "us-east-1"})
	api := sdk.New(sdk.Options{BaseEndpoint: &srv.URL, Region: "us-east-1", UsePathStyle: true, HTTPClient: c, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) { return d.credentials(ctx, false) })})
	own := func() (n int) {
		for q := (store.Query{}); ; {
			p, err := d.List(b.Context(), q)
			if err != nil {
				b.Fatal(err)
			}
			n += len(p.Entries)
			if q.Token = p.Next; q.Token == "" {
				return n
			}
		}
	}
	theirs := func() (n int) {
		bucket := "b"
		for p := sdk.NewListObjectsV2Paginator(api, &sdk.ListObjectsV2Input{Bucket: &bucket}); p.HasMorePages(); {
			page, err := p.NextPage(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n += len(page.Contents)
		}
		return n
	}
	var took [2]time.Duration
	rounds := 0
	for b.Loop() {
		for i, list := range []func() int{own, theirs} {
			begun := cpu()
			if n := list(); n != keysListed {
				b.Fatalf("%d keys of %d", n, keysListed)
			}
			took[i] += cpu() - begun
		}
		rounds++
	}
	per := func(t time.Duration) float64 { return float64(t.Nanoseconds()) / float64(rounds*keysListed) }
	b.ReportMetric(per(took[0]), "ns/key")
	b.ReportMetric(per(took[1]), "sdk-ns/key")
	b.ReportMetric(per(took[0])/per(took[1]), "ratio")
}
