// Package azureblob keeps objects as block blobs in a container of Azure Blob storage.
//
// Requests are made here, over the block's own HTTP client, signed by internal/azureauth; the SDK's client is not used. It
// does not notice bytes that differ from the MD5 that the service declares, takes a source that ends early for a whole
// one, and has its own retries.
//
// Bytes that are sent carry an MD5 or a CRC-64 that the service verifies. What does not fit into one request goes up as
// blocks, which are invisible until they are committed, all at once. Blocks that are never committed cannot be deleted:
// the service drops them after a week, or when the blob is written.
package azureblob

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
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

// The limits of https://learn.microsoft.com/azure/storage/blobs/scalability-targets.
const (
	maxKey    = 1024       // bytes of a name; the service counts characters
	maxPart   = 4000 << 20 // bytes of a block
	maxParts  = 50_000     // of one blob
	maxSize   = maxPart * maxParts
	blockSize = 4 << 20  // bytes of a body that are held at once: of one Put Blob, and of the blocks of a longer body
	maxReply  = 64 << 20 // bytes of an XML reply that are read at most
)

// Options of `datastore "azure_blob"`.
type Options struct {
	Account           string
	Container         string
	Endpoint          string
	AccessTier        string
	PartSize          int64
	CreateIfNotExists bool
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Account, "account", "Name of the storage account.").Required().Eg(`"examplelake"`).
		Validate(func() error { return checkAccount(o.Account) })
	f.String(&o.Container, "container", "Name of the container, without a path; `prefix` names a part of it.").Required().Eg(`"raw"`).
		Validate(func() error { return checkContainer(o.Container) })
	f.String(&o.Endpoint, "endpoint", "URL of the account's Blob service, when it is not that of the cloud; of an emulator with the account in the path.").Eg(`"http://127.0.0.1:10000/devstoreaccount1"`).
		Validate(func() error { return checkEndpoint(o.Endpoint) })
	f.String(&o.AccessTier, "access_tier", "Access tier of what is written; when absent, the account's own.").OneOf("Hot", "Cool", "Cold", "Archive")
	f.Size(&o.PartSize, "part_size", "Least size of the blocks of large objects, up to 4000 MiB; when absent, it is chosen.").Eg(`"64MiB"`).
		Validate(func() error {
			if o.PartSize < 0 || o.PartSize > maxPart {
				return fmt.Errorf("The part size must be at most \"4000MiB\".")
			}
			return nil
		})
	f.Bool(&o.CreateIfNotExists, "create_if_not_exists", "Make the container before the first write when it does not exist.").Default("false")
}

// Provider returns the datastore kind "azure_blob".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("azure_blob", "Block blobs in a container of Azure Blob storage.", Open).With(azureauth.Family), addressing, (*Options).holds)
}

func checkAccount(s string) error {
	ok := len(s) >= 3 && len(s) <= 24
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
	}
	if !ok {
		return fmt.Errorf("The account %q must be 3 to 24 lower-case letters and digits.", s)
	}
	return nil
}

func checkContainer(s string) error {
	if s == "$root" || s == "$web" || s == "$logs" {
		return nil
	}
	ok := len(s) >= 3 && len(s) <= 63 && !strings.Contains(s, "--") && !strings.HasPrefix(s, "-") && !strings.HasSuffix(s, "-")
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("The container %q must be 3 to 63 lower-case letters, digits and single hyphens.", s)
	}
	return nil
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("\"endpoint\" must be a URL such as \"https://examplelake.blob.core.windows.net\", without user, query or fragment.")
	}
	return nil
}

// Driver is an open container. It implements store.Driver, Copier, Multiparter, Signer, Locator and Checker.
type Driver struct {
	o        Options
	base     *url.URL // of the account
	http     *http.Client
	cred     credential.Source // nil: anonymous
	clock    clock.Clock
	log      *slog.Logger
	redactor *secret.Redactor
	closed   atomic.Bool

	mu   sync.Mutex
	made bool // the container is known to exist, for create_if_not_exists
}

// Open opens a container. Nothing is asked of the service yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	d := &Driver{o: *o, clock: env.Clock, log: env.Log, redactor: env.Redactor}
	if d.clock == nil {
		d.clock = clock.Real
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.redactor == nil {
		d.redactor = secret.NewRedactor()
	}
	at := o.Endpoint
	if env.Credential != nil {
		d.cred = azureauth.ForAccount(env.Credential, o.Account)
		if at == "" && azureauth.Account(env.Credential) == o.Account {
			at = azureauth.Endpoint(env.Credential, "blob")
		}
	}
	if at == "" {
		at = "https://" + o.Account + ".blob." + azureauth.CloudOf(env.Credential).Suffix
	}
	var err error
	if d.base, err = url.Parse(strings.TrimSuffix(at, "/")); err != nil {
		return nil, fault.New(fault.InvalidArgument, "the endpoint is not a URL")
	}
	if d.cred != nil && azureauth.Anonymous(env.Credential) {
		d.cred = nil
	}
	if env.HTTP == nil {
		if env.HTTP, err = httpclient.New(httpclient.Options{Name: env.Name, Log: env.Log}); err != nil {
			return nil, err
		}
	}
	client := *env.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // requests are signed for one host
	d.http = &client
	return d, nil
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps {
	return store.Caps{Order: store.OrderByKey, IfAbsent: true, IfMatch: true, Pin: true, Metadata: true, Modified: true,
		Part:   store.PartLimits{Min: max(1, d.o.PartSize), Max: maxPart, Count: maxParts},
		MaxKey: maxKey, MaxSize: maxSize, Sums: []string{"md5"}, Why: map[string]string{}}
}

// Close implements store.Driver. Connections belong to the client.
func (d *Driver) Close() error { d.closed.Store(true); return nil }

// Home implements store.Homer: the address does not name the account.
func (d *Driver) Home() string { return d.o.Account + " " + d.o.Endpoint }

// URI implements store.Locator.
func (d *Driver) URI(key string) string { return "azure://" + d.o.Container + "/" + key }

// String names the container; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return d.URI("") }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// Check implements store.Checker: one name is listed, which shows that the container is there and that the credential is
// taken.
func (d *Driver) Check(ctx context.Context) error {
	_, err := d.List(ctx, store.Query{Max: 1})
	return err
}
