// Command s3sdk does with the plain AWS SDK for Go what a program would write in an afternoon: the figure beside which
// own code has to earn its place.
//
//	s3sdk [-ca FILE] list URL
//	s3sdk [-ca FILE] get URL KEY FILE
//	s3sdk [-ca FILE] put URL KEY FILE
//	s3sdk [-ca FILE] getall URL DIR       64 objects at once
//	s3sdk [-ca FILE] putall URL DIR       64 objects at once
//
// The bucket is "bucket"; credentials come from the environment.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

var bucket = aws.String("bucket")

func main() {
	log.SetFlags(0)
	ca := flag.String("ca", "", "certificate authority in PEM")
	flag.Parse()
	if flag.NArg() < 2 {
		log.Fatal("s3sdk list|get|put|getall|putall URL ...")
	}
	ctx := context.Background()
	client, err := open(ctx, flag.Arg(1), *ca)
	if err == nil {
		err = run(ctx, client, flag.Arg(0), flag.Args()[2:])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func open(ctx context.Context, url, ca string) (*s3.Client, error) {
	conf, err := config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"))
	if err != nil {
		return nil, err
	}
	web := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = 64 })
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		web = web.WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig = &tls.Config{RootCAs: pool} })
	}
	return s3.NewFromConfig(conf, func(o *s3.Options) {
		o.BaseEndpoint, o.UsePathStyle, o.HTTPClient = aws.String(url), true, web
	}), nil
}

func run(ctx context.Context, c *s3.Client, verb string, args []string) error {
	switch {
	case verb == "list":
		n := 0
		err := each(ctx, c, func(string) error { n++; return nil })
		fmt.Println(n)
		return err
	case verb == "get" && len(args) == 2:
		return get(ctx, c, args[0], args[1])
	case verb == "put" && len(args) == 2:
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = manager.NewUploader(c, func(u *manager.Uploader) { u.PartSize = 16 << 20 }).Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &args[0], Body: f})
		return err
	case verb == "getall" && len(args) == 1:
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(64)
		err := each(ctx, c, func(key string) error {
			g.Go(func() error { return get(ctx, c, key, filepath.Join(args[0], filepath.Base(key))) })
			return nil
		})
		if werr := g.Wait(); err == nil {
			err = werr
		}
		return err
	case verb == "putall" && len(args) == 1:
		names, err := os.ReadDir(args[0])
		if err != nil {
			return err
		}
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(64)
		for _, n := range names {
			g.Go(func() error {
				f, err := os.Open(filepath.Join(args[0], n.Name()))
				if err != nil {
					return err
				}
				defer f.Close()
				_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String(n.Name()), Body: f})
				return err
			})
		}
		return g.Wait()
	}
	return fmt.Errorf("s3sdk: %s with %d arguments is unknown", verb, len(args))
}

func each(ctx context.Context, c *s3.Client, f func(key string) error) error {
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			if err := f(*o.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

func get(ctx context.Context, c *s3.Client, key, file string) error {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, out.Body)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
