// Package oci keeps objects in a bucket of Oracle Cloud's Object Storage, by its native API.
//
// Requests are made here, over the block's own HTTP client, signed by Oracle's Go SDK; the SDK's Object Storage client is
// not used. That client ends every transfer after 60 seconds, compares no checksum of what it sent with what the service
// confirms, and its upload manager asks a failing source for its next part for ever.
//
// Names of objects go over the wire byte by byte, with "/" percent-encoded too, so that nothing on the way takes a//b for
// a/b. The service allows every name but those with line breaks and NUL.
//
// What is sent is compared with the MD5 that the service confirms: small objects and parts carry theirs before the bytes,
// so that the service refuses others; a part is compared before the upload is completed; a large single put is compared
// after it and removed again when it differs. What is received is counted, and verified where the service declares a
// checksum of the whole.
//
// There is no copy on the server's side: the service copies later, in a work request that needs a policy for the service
// itself, goes on when its caller is gone, and cannot change the content type. Copies go through the client.
package oci

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/ociauth"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	maxKey       = 1024
	minPart      = 10 << 20 // bytes of every part but the last
	maxPart      = 50 << 30 // bytes of a part and of a single put
	maxParts     = 10_000
	maxSize      = 10 << 40
	maxPage      = 1000
	maxReplyText = 64 << 20 // bytes of a JSON reply that are read at most
)

// Options of `datastore "oci"`.
type Options struct {
	Bucket            string
	Region            string
	Namespace         string
	CompartmentID     string
	Endpoint          string
	StorageTier       string
	PartSize          int64
	CreateIfNotExists bool
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Bucket, "bucket", "Name of the bucket, without oci:// and without a path; `prefix` names a part of it.").Required().Eg(`"my-bucket"`).
		Validate(func() error { return checkBucket(o.Bucket) })
	f.String(&o.Region, "region", "Region of the bucket; when absent, that of the credential.").Eg(`"eu-frankfurt-1"`).
		Validate(func() error { return ociauth.CheckRegion(o.Region) })
	f.String(&o.Namespace, "namespace", "Object Storage namespace of the tenancy; when absent, the service is asked.").Eg(`"examplens"`).
		Validate(func() error {
			if strings.ContainsAny(o.Namespace, "/@ \t\n") {
				return fmt.Errorf("The namespace is a plain name.")
			}
			return nil
		})
	f.String(&o.CompartmentID, "compartment_id", "OCID of the compartment in which a missing bucket is made; when absent, the tenancy.").Eg(`"ocid1.compartment.oc1..exampleuniqueid"`)
	f.String(&o.Endpoint, "endpoint", "URL of the service, such as a private endpoint; when absent, that of the region.").Eg(`"https://objectstorage.eu-frankfurt-1.oraclecloud.com"`).
		Validate(func() error { return ociauth.CheckURL("endpoint", o.Endpoint) })
	f.String(&o.StorageTier, "storage_tier", "Storage tier of what is written; when absent, the bucket's own.").OneOf("Standard", "InfrequentAccess", "Archive")
	f.Size(&o.PartSize, "part_size", "Least size of the parts of large objects, from 10 MiB to 50 GiB; when absent, it is chosen.").Eg(`"64MiB"`).
		Validate(func() error {
			if o.PartSize != 0 && (o.PartSize < minPart || o.PartSize > maxPart) {
				return fmt.Errorf("The part size must be from \"10MiB\" to \"50GiB\".")
			}
			return nil
		})
	f.Bool(&o.CreateIfNotExists, "create_if_not_exists", "Make the bucket before the first write when it does not exist.").Default("false")
}

func checkBucket(s string) error {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return fmt.Errorf("The bucket's name has letters, digits, hyphens, underscores and dots only, without oci:// and without a path.")
		}
	}
	if s == "" || len(s) > 256 {
		return fmt.Errorf("The bucket's name has 1 to 256 characters.")
	}
	return nil
}

// Provider returns the datastore kind "oci".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("oci", "Objects in a bucket of Oracle Cloud's Object Storage.", Open).With(ociauth.Family), addressing, (*Options).holds)
}

// Driver is an open bucket. It implements store.Driver, Multiparter, UploadLister, Signer, Locator and Checker.
type Driver struct {
	o      Options
	base   *url.URL
	caps   store.Caps
	http   *http.Client
	cred   credential.Source
	signer *ociauth.Signer
	clock  clock.Clock
	log    *slog.Logger
	closed atomic.Bool
	skew   atomic.Int64 // nanoseconds that the service's clock is ahead of ours

	source     sync.Once
	sourceName string // where the credential comes from, for messages

	mu        sync.Mutex
	namespace string
	made      bool // the bucket is known to exist, for create_if_not_exists
}

// Open opens a bucket. Nothing is asked of the service yet.
func Open(ctx context.Context, env provider.Env, o *Options) (store.Driver, error) {
	if env.Credential == nil {
		return nil, fault.Hinted(fault.Unauthenticated, "Declare a `credential \"oci\"`, or run `oci setup config`.", "there is no credential to sign requests with")
	}
	d := &Driver{o: *o, cred: env.Credential, clock: env.Clock, log: env.Log, namespace: o.Namespace, signer: ociauth.NewSigner(env.Credential)}
	if d.clock == nil {
		d.clock = clock.Real
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if env.HTTP == nil {
		c, err := httpclient.New(httpclient.Options{Name: env.Name, Log: env.Log})
		if err != nil {
			return nil, err
		}
		env.HTTP = c
	}
	client := *env.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // requests are signed for one host
	d.http = &client
	endpoint := o.Endpoint
	if endpoint == "" {
		region := ociauth.FullRegion(o.Region)
		if region == "" {
			region = ociauth.Region(ctx, env.Credential)
		}
		if region == "" {
			return nil, fault.Hinted(fault.InvalidArgument, "Set `region` of the datastore or of its credential.", "the region of the bucket is not known")
		}
		endpoint = "https://" + ociauth.Host("objectstorage", region)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "the endpoint is not a URL")
	}
	d.base = u
	d.caps = store.Caps{Order: store.OrderByKey, IfAbsent: true, IfMatch: true, Pin: true, Metadata: true, Modified: true,
		Part:   store.PartLimits{Min: max(minPart, o.PartSize), Max: maxPart, Count: maxParts},
		MaxKey: maxKey, MaxSize: maxSize, Sums: []string{algoMD5, algoCRC32C}}
	return d, nil
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps { return d.caps }

// Close implements store.Driver. Connections belong to the client.
func (d *Driver) Close() error { d.closed.Store(true); return nil }

// URI implements store.Locator. The namespace stands in it where it is known.
func (d *Driver) URI(key string) string {
	d.mu.Lock()
	ns := d.namespace
	d.mu.Unlock()
	if ns != "" {
		ns = "@" + ns
	}
	return "oci://" + d.o.Bucket + ns + "/" + key
}

// String names the bucket; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return "oci://" + d.o.Bucket }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// usable is the first step of each call.
func (d *Driver) usable(ctx context.Context) error {
	if d.closed.Load() {
		return fault.New(fault.FailedPrecondition, "the store is closed")
	}
	return context.Cause(ctx)
}
