// Package gcs keeps objects in a bucket of Google Cloud Storage.
//
// What is hot (reading, writing, listing, deleting) are requests of our own over the block's HTTP client: metadata and
// writes by the JSON API, content and uploads in parts by the XML API, both with an OAuth 2 token. What is rare and has
// rules of its own is done by Google's client cloud.google.com/go/storage over the same connections: copies on the
// server's side (rewrite), the atomic rename that ends a conditional upload in parts, new buckets, and signed URLs (V4).
// That client is told to look for no credential itself.
//
// An ETag here is an object's generation, which is what the service's conditions are on. Names of objects go over the
// wire byte by byte, with "/" percent-encoded too, so that nothing on the way takes a//b for a/b.
//
// CRC32C is checked both ways: small objects carry theirs in front, so that the service refuses others; the service's
// word on a large one is compared, and what differs is removed again. What is received is counted, and the whole of an
// object verified.
//
// An HMAC key is a credential of the XML API, which is S3's: with one, the bucket is opened by the driver of S3.
package gcs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"cloud.google.com/go/storage"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	service      = "https://storage.googleapis.com"
	maxKey       = 1024
	minPart      = 5 << 20 // bytes of every part but the last
	maxPart      = 5 << 30 // bytes of a part
	maxParts     = 10_000
	maxSize      = 5 << 40
	maxPage      = 1000
	maxReplyText = 64 << 20 // bytes of a reply of JSON or XML that are read at most
)

// Options of `datastore "gcs"`.
type Options struct {
	Bucket            string
	Project           string
	Location          string
	Endpoint          string
	UserProject       string
	KMSKeyName        string
	StorageClass      string
	PredefinedACL     string
	PartSize          int64
	CreateIfNotExists bool
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Bucket, "bucket", "Name of the bucket, without gs:// and without a path; `prefix` names a part of it.").Required().Eg(`"my-bucket"`).
		Validate(func() error { return checkBucket(o.Bucket) })
	f.String(&o.Project, "project", "Project in which a missing bucket is made; when absent, that of the service account's key.").Eg(`"example-project"`)
	f.String(&o.Location, "location", "Location in which a missing bucket is made; when absent, the service's own choice (US).").Eg(`"europe-west3"`)
	f.String(&o.Endpoint, "endpoint", "URL of the service, such as that of Private Service Connect; when absent, the public one.").Eg(`"https://storage.googleapis.com"`).
		Validate(func() error { return checkEndpoint(o.Endpoint) })
	f.String(&o.UserProject, "user_project", "Project that pays for requests and transfers of a bucket whose owner does not (Requester Pays).").Eg(`"example-project"`)
	f.String(&o.KMSKeyName, "kms_key_name", "Key of Cloud KMS that encrypts what is written; when absent, the bucket's own.").
		Eg(`"projects/example-project/locations/europe-west3/keyRings/data/cryptoKeys/lake"`)
	f.String(&o.StorageClass, "storage_class", "Storage class of what is written; when absent, the bucket's own.").OneOf("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
	f.String(&o.PredefinedACL, "predefined_acl", "Access control list of what is written, in buckets without uniform access.").
		OneOf("authenticatedRead", "bucketOwnerFullControl", "bucketOwnerRead", "private", "projectPrivate", "publicRead")
	f.Size(&o.PartSize, "part_size", "Least size of the parts of large objects, from 5 MiB to 5 GiB; when absent, it is chosen.").Eg(`"64MiB"`).
		Validate(func() error {
			if o.PartSize != 0 && (o.PartSize < minPart || o.PartSize > maxPart) {
				return fmt.Errorf("The part size must be from \"5MiB\" to \"5GiB\".")
			}
			return nil
		})
	f.Bool(&o.CreateIfNotExists, "create_if_not_exists", "Make the bucket before the first write when it does not exist.").Default("false")
}

func checkBucket(s string) error {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return fmt.Errorf("The bucket's name has lower-case letters, digits, hyphens, underscores and dots only, without gs:// and without a path.")
		}
	}
	if len(s) < 3 || len(s) > 222 || strings.Contains(s, "..") {
		return fmt.Errorf("The bucket's name has 3 to 63 characters, or up to 222 with dots, and no two dots in a row.")
	}
	return nil
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("\"endpoint\" must be a URL such as \"https://storage.googleapis.com\", without user, path and query.")
	}
	return nil
}

// OpenXML opens a bucket with an HMAC key by the XML API. The credential of env is one of the family aws.
type OpenXML func(ctx context.Context, env provider.Env, o *Options) (store.Driver, error)

// Provider returns the datastore kind "gcs". With an HMAC key its stores are opened by xml.
func Provider(xml OpenXML) provider.Provider {
	return provider.Addressed(provider.Store("gcs", "Objects in a bucket of Google Cloud Storage.", func(ctx context.Context, env provider.Env, o *Options) (store.Driver, error) {
		if env.Credential != nil && gcpauth.HMAC(env.Credential) {
			return openXML(ctx, env, o, xml)
		}
		return Open(ctx, env, o)
	}).With(gcpauth.Family), addressing, (*Options).holds)
}

// openXML hands over to the driver of the XML API what that API has.
func openXML(ctx context.Context, env provider.Env, o *Options, xml OpenXML) (store.Driver, error) {
	for name, value := range map[string]string{"user_project": o.UserProject, "kms_key_name": o.KMSKeyName, "project": o.Project, "location": o.Location} {
		if value != "" {
			return nil, fault.Hinted(fault.InvalidArgument, "Use a credential that gives a token (a service account), or remove it.", "%s cannot be had with an HMAC key", name)
		}
	}
	own := *o
	if own.Endpoint == "" {
		own.Endpoint = service
	}
	env.Credential = gcpauth.AsKeys(env.Credential)
	return xml(ctx, env, &own)
}

// Driver is an open bucket. It implements store.Driver, Copier, Multiparter, UploadLister, Signer, Locator and Checker.
type Driver struct {
	o     Options
	base  *url.URL
	caps  store.Caps
	http  *http.Client
	cred  credential.Source // nil: anonymous
	clock clock.Clock
	log   *slog.Logger

	own    bool // http has a connection pool of its own
	closed atomic.Bool

	client func() (*storage.Client, error) // Google's, made when it is first wanted

	source     sync.Once
	sourceName string // where the credential comes from, for messages

	mu   sync.Mutex
	made bool // the bucket is known to exist, for create_if_not_exists
}

// Open opens a bucket. Nothing is asked of the service yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	d := &Driver{o: *o, cred: env.Credential, clock: env.Clock, log: env.Log}
	if d.clock == nil {
		d.clock = clock.Real
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.cred == nil || gcpauth.Anonymous(d.cred) {
		d.cred = nil
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
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // tokens are for one host
	d.http = &client
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = service
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "the endpoint is not a URL")
	}
	u.Path, u.RawPath = "", ""
	d.base = u
	d.client = sync.OnceValues(d.newClient)
	d.caps = store.Caps{Order: store.OrderByKey, IfAbsent: true, IfMatch: true, Pin: true, Metadata: true, Modified: true,
		Part:   store.PartLimits{Min: max(minPart, o.PartSize), Max: maxPart, Count: maxParts},
		MaxKey: maxKey, MaxSize: maxSize, Sums: []string{algoCRC32C, algoMD5}}
	return d, nil
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
func (d *Driver) URI(key string) string { return URI(d.o.Bucket, key) }

// URI is the address of an object.
func URI(bucket, key string) string { return "gs://" + bucket + "/" + key }

// Home implements store.Homer.
func (d *Driver) Home() string { return Home(d.base.String()) }

// Home names the service at an endpoint. All of Google's addresses are one service.
func Home(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	if h := strings.ToLower(u.Hostname()); h == "" || h == "googleapis.com" || strings.HasSuffix(h, ".googleapis.com") {
		return ""
	}
	return strings.ToLower(u.Host)
}

// String names the bucket; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return "gs://" + d.o.Bucket }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// usable is the first step of each call.
func (d *Driver) usable(ctx context.Context) error {
	if d.closed.Load() {
		return fault.New(fault.FailedPrecondition, "the store is closed")
	}
	return context.Cause(ctx)
}
