//go:build unix

package s3

import (
	"bytes"
	"context"
	"io"
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
	d, api := both(b, &nulls3.Server{Keys: keysListed, Size: 1000})
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
	compare(b, keysListed, "key", own, theirs)
}

// compare runs the two in turn and reports the CPU time of each for one of n things, and their ratio.
func compare(b *testing.B, n int, what string, own, theirs func() int) {
	var took [2]time.Duration
	rounds := 0
	for b.Loop() {
		for i, f := range []func() int{own, theirs} {
			begun := cpu()
			if got := f(); got != n {
				b.Fatalf("%d of %d", got, n)
			}
			took[i] += cpu() - begun
		}
		rounds++
	}
	per := func(t time.Duration) float64 { return float64(t.Nanoseconds()) / float64(rounds*n) }
	b.ReportMetric(per(took[0]), "ns/"+what)
	b.ReportMetric(per(took[1]), "sdk-ns/"+what)
	b.ReportMetric(per(took[0])/per(took[1]), "ratio")
}

// BenchmarkSmall gets and puts objects of 16 KiB, as BenchmarkList lists.
func BenchmarkSmall(b *testing.B) {
	const n, size = 500, 16 << 10
	d, api := both(b, &nulls3.Server{Keys: 1, Size: size})
	bucket, key, content := "b", "k", make([]byte, size)
	b.Run("get", func(b *testing.B) {
		compare(b, n, "get", func() int {
			for range n {
				x, err := d.Get(b.Context(), key, store.GetOptions{})
				if err != nil {
					b.Fatal(err)
				}
				if got, err := io.Copy(io.Discard, x.Body); got != size || err != nil {
					b.Fatal(got, err)
				}
				x.Body.Close()
			}
			return n
		}, func() int {
			for range n {
				x, err := api.GetObject(b.Context(), &sdk.GetObjectInput{Bucket: &bucket, Key: &key})
				if err != nil {
					b.Fatal(err)
				}
				if got, err := io.Copy(io.Discard, x.Body); got != size || err != nil {
					b.Fatal(got, err)
				}
				x.Body.Close()
			}
			return n
		})
	})
	b.Run("put", func(b *testing.B) {
		compare(b, n, "put", func() int {
			for range n {
				if _, err := d.Put(b.Context(), key, held(content), store.PutOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			return n
		}, func() int {
			for range n {
				if _, err := api.PutObject(b.Context(), &sdk.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content)}); err != nil {
					b.Fatal(err)
				}
			}
			return n
		})
	})
}

// both returns this driver and the SDK's client on a null server.
func both(b *testing.B, s *nulls3.Server) (*Driver, *sdk.Client) {
	srv := httptest.NewServer(s)
	b.Cleanup(srv.Close)
	c := client(b, httpclient.Options{})
	d := openWith(b, env(c, keys("AK", "secret")), Options{Bucket: "b", Endpoint: srv.URL, Preset: "aws", Region: "us-east-1"})
	return d, sdk.New(sdk.Options{BaseEndpoint: &srv.URL, Region: "us-east-1", UsePathStyle: true, HTTPClient: c, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) { return d.credentials(ctx, false) })})
}
