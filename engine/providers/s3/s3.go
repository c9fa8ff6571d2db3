// Package s3 keeps objects in a bucket of Amazon S3 or of a service that speaks its protocol.
//
// Requests are made here, over the block's own HTTP client, with the signer, the endpoint rules and the credentials of
// the AWS SDK; its S3 client is not used. That client accepts replies that prove nothing (a put without ETag, another
// range than asked, a listing that ends without its last page), spends most of the time of small requests and listings in
// its middleware, and has its own retries. One code path for all requests, hot or not, holds every promise in one place.
//
// Keys go over the wire byte by byte, percent-encoded and never cleaned. Where a service is known to keep them so (see
// presets.go), keys with empty, "." and ".." segments are allowed; elsewhere they are refused, since a service that maps
// keys to paths would take a//b for a/b. Leading and inner segments count; one "/" at the end, as of folder markers, is
// always allowed.
//
// Bytes that are sent carry a checksum that the service verifies (AWS), or are covered by TLS or by the signature; what
// the service confirms is compared. Bytes that are received are counted and, where the service declares a checksum of the
// whole object, verified.
package s3

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	maxKey       = 1024               // bytes of a key
	minPart      = 5 << 20            // bytes of every part but the last
	maxPart      = 5 << 30            // bytes of a part, of a single put and of a single copy
	maxParts     = 10_000             // of one upload
	maxSize      = maxPart * maxParts // 48.8 TiB
	maxBatch     = 1000               // keys of one batch delete
	maxReplyText = 64 << 20           // bytes of an XML reply that are read at most
)

// Options of `datastore "s3"`.
type Options struct {
	Bucket            string
	Region            string
	Endpoint          string
	Preset            string
	PathStyle         string
	Dualstack         bool
	Accelerate        bool
	SSE               string
	KMSKeyID          string
	StorageClass      string
	ACL               string
	RequesterPays     bool
	Checksum          string
	PartSize          int64
	CreateIfNotExists bool
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	o.PathStyle, o.Checksum = "auto", "auto"
	f.String(&o.Bucket, "bucket", "Name of the bucket, without s3:// and without a path; `prefix` names a part of it.").Required().Eg(`"my-bucket"`).
		Validate(func() error { return checkBucket(o.Bucket) })
	f.String(&o.Region, "region", "Region of the bucket; when absent, that of the credential, else it is found out where the service tells it.").Eg(`"eu-central-1"`)
	f.String(&o.Endpoint, "endpoint", "URL of a service other than AWS, without the bucket; for the presets r2 and oci_compat also the bare account id or namespace.").Eg(`"https://minio.example.com"`).
		Validate(func() error { return checkEndpoint(o.Endpoint, o.Preset, o.Bucket) })
	f.String(&o.Preset, "preset", "What kind of service answers, which decides the form of addresses and what is relied upon; when absent, it follows from the endpoint.").
		OneOf(presetNames()...)
	f.String(&o.PathStyle, "path_style", "Whether the bucket stands in the path of addresses (on) or in the host name (off).").OneOf("auto", "on", "off").Default(`"auto"`)
	f.Bool(&o.Dualstack, "dualstack", "Use the endpoints of AWS that speak IPv6 too.").Default("false")
	f.Bool(&o.Accelerate, "accelerate", "Use AWS's transfer acceleration, which the bucket must have switched on.").Default("false")
	f.String(&o.SSE, "sse", "Encryption at rest that is asked for on writes; when absent, the bucket's own.").OneOf("AES256", "aws:kms", "aws:kms:dsse")
	f.String(&o.KMSKeyID, "kms_key_id", "Key of KMS, by id, ARN or alias, for `sse = \"aws:kms\"`.").Eg(`"alias/data"`)
	f.String(&o.StorageClass, "storage_class", "Storage class of what is written; when absent, the bucket's own.").Eg(`"STANDARD_IA"`)
	f.String(&o.ACL, "acl", "Canned access control list of what is written.").OneOf("private", "public-read", "public-read-write", "authenticated-read",
		"aws-exec-read", "bucket-owner-read", "bucket-owner-full-control", "log-delivery-write").FromEnv("S3_CANNED_ACL")
	f.Bool(&o.RequesterPays, "requester_pays", "Agree to pay for requests and transfers of a bucket whose owner does not.").Default("false").FromEnv("MOSAICML_STREAMING_AWS_REQUESTER_PAYS")
	f.String(&o.Checksum, "checksum", "Checksum that goes with what is written and that the service verifies; `auto` is crc64nvme on AWS and none elsewhere.").
		OneOf("auto", "none", algoCRC64, algoCRC32C, algoSHA256).Default(`"auto"`)
	f.Size(&o.PartSize, "part_size", "Least size of the parts of large objects, from 5 MiB to 5 GiB; when absent, it is chosen.").Eg(`"64MiB"`).
		Validate(func() error {
			if o.PartSize != 0 && (o.PartSize < minPart || o.PartSize > maxPart) {
				return fmt.Errorf("The part size must be from \"5MiB\" to \"5GiB\".")
			}
			return nil
		})
	f.Bool(&o.CreateIfNotExists, "create_if_not_exists", "Make the bucket before the first write when it does not exist.").Default("false")
}

// Provider returns the datastore kind "s3".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("s3", "Objects in a bucket of Amazon S3 or of a service that speaks its protocol.", Open).With(awsauth.Family, awsauth.CompatibleFamily), addressing, (*Options).holds)
}

// Driver is an open bucket. It implements store.Driver, Copier, Multiparter, UploadLister, Signer, BatchDeleter, Locator
// and Checker.
type Driver struct {
	o        Options
	preset   preset
	algo     string // of the checksum of writes; "" none
	exact    bool   // the service keeps every key as it is
	caps     store.Caps
	address  addresser
	http     *http.Client
	signer   *v4.Signer
	cred     credential.Source // nil: unsigned
	clock    clock.Clock
	log      *slog.Logger
	closed   atomic.Bool
	unsigned atomic.Bool  // no credential was found
	wary     atomic.Bool  // a connection broke under a body: a refusal may have been lost with it, so that the next body is asked for first
	skew     atomic.Int64 // nanoseconds that the service's clock is ahead of ours

	own        bool // http has a connection pool of its own
	source     sync.Once
	sourceName string // where the credential comes from, for messages

	mu     sync.Mutex
	region string
	fixed  bool // the region was given, and is not to be found out
	made   bool // the bucket is known to exist, for create_if_not_exists
}

// Open opens a bucket. Nothing is asked of the service yet.
func Open(ctx context.Context, env provider.Env, o *Options) (store.Driver, error) {
	d := &Driver{o: *o, cred: env.Credential, clock: env.Clock, log: env.Log,
		signer: v4.NewSigner(func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true })}
	if d.clock == nil {
		d.clock = clock.Real
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.cred != nil && awsauth.Anonymous(d.cred) {
		d.cred = nil
	}
	d.ambient(env)
	if d.o.Endpoint == "" && env.Credential != nil {
		d.o.Endpoint = awsauth.Endpoint(env.Credential)
	}
	if env.HTTP == nil {
		c, err := httpclient.New(httpclient.Options{Name: env.Name, Log: env.Log})
		if err != nil {
			return nil, err
		}
		env.HTTP = c
	}
	plain := httpclient.WithHTTP1(env.HTTP)
	d.own = plain != env.HTTP
	client := *plain
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // see answered
	d.http = &client
	d.region = d.o.Region
	if d.region == "" && env.Credential != nil {
		d.region = awsauth.Region(ctx, env.Credential)
	}
	d.fixed = o.Region != ""
	if err := d.resolve(); err != nil {
		return nil, err
	}
	d.caps = d.capsOf()
	return d, nil
}

// ambient takes what the environment says of buckets, where the credential comes from the environment too.
func (d *Driver) ambient(env provider.Env) {
	a, ok := env.Credential.(interface{ Ambient() bool })
	if !ok || !a.Ambient() || env.Getenv == nil {
		return
	}
	if d.o.Endpoint == "" && d.o.Preset == "" {
		d.o.Endpoint = firstOf(env.Getenv("S3_ENDPOINT_URL"), env.Getenv("AWS_ENDPOINT_URL_S3"), env.Getenv("AWS_ENDPOINT_URL"))
	}
	if d.o.ACL == "" {
		d.o.ACL = env.Getenv("S3_CANNED_ACL")
	}
	d.o.RequesterPays = d.o.RequesterPays || listed(env.Getenv("MOSAICML_STREAMING_AWS_REQUESTER_PAYS"), d.o.Bucket)
}

func (d *Driver) capsOf() store.Caps {
	c := store.Caps{Order: store.OrderByKey, IfAbsent: d.preset.ifAbsent, IfMatch: d.preset.ifMatch, Pin: true, Metadata: true, Modified: true,
		Part:   store.PartLimits{Min: max(minPart, d.o.PartSize), Max: maxPart, Count: maxParts},
		MaxKey: maxKey, MaxSize: maxSize, Sums: []string{algoCRC64, algoCRC32C, algoSHA256}, Why: map[string]string{}}
	if !c.IfAbsent {
		c.Why["IfAbsent"] = d.preset.why
	}
	if !c.IfMatch {
		c.Why["IfMatch"] = d.preset.why
	}
	return c
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps { return d.caps }

// Close implements store.Driver. Connections of the client that was given belong to it.
func (d *Driver) Close() error {
	d.closed.Store(true)
	if d.own {
		d.http.CloseIdleConnections()
	}
	return nil
}

// URI implements store.Locator.
func (d *Driver) URI(key string) string { return "s3://" + d.o.Bucket + "/" + key }

// Home implements store.Homer. All of Amazon's addresses of a bucket are one service.
func (d *Driver) Home() string {
	u, err := url.Parse(d.o.Endpoint)
	if err != nil || strings.HasSuffix(u.Hostname(), ".amazonaws.com") || strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn") {
		return ""
	}
	return strings.ToLower(u.Host)
}

// String names the bucket; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return "s3://" + d.o.Bucket }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// usable is the first step of each call.
func (d *Driver) usable(ctx context.Context) error {
	if d.closed.Load() {
		return fault.New(fault.FailedPrecondition, "the store is closed")
	}
	return context.Cause(ctx)
}
