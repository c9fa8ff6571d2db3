// Package adlsgen2 keeps objects as files in a file system of Azure Data Lake Storage Gen2, a storage account with a
// hierarchical namespace.
//
// Requests go to the account's "dfs" service, over the block's own HTTP client; the SDK's client is not used, for the
// reasons given at package azureblob.
//
// A file that is created is visible at once, empty, and one that is written again loses what it had. So bytes go to a
// hidden file beside the target, which the service then renames in one step, under the target's condition. The hidden
// file lies in the same directory, so that the directory's default ACL applies to it, and with it to the object. What a
// killed process left is removed a week later by the next one that writes to the directory.
//
// Directories are no objects. They are made with the first object below them and removed with the last one.
package adlsgen2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	appendSize = 4 << 20   // bytes of one append, and of a body that are held at once twice
	maxAppend  = 100 << 20 // bytes of one append at most
	maxAppends = 50_000    // of one file, as of the blocks that it consists of
	maxPart    = 4 << 30
	maxParts   = 10_000
	maxSize    = maxAppend * (maxAppends - maxParts) // the last append of a part may be a small one
	maxPath    = 1024                                // characters of a path
	maxName    = 255                                 // characters of a segment
	maxKey     = maxPath - azurerest.TempLen         // bytes, so that the hidden file beside the object has room
	pageMax    = 5000
)

// Options of `datastore "adls_gen2"`.
type Options struct {
	Account           string
	Filesystem        string
	Endpoint          string
	PartSize          int64
	CreateIfNotExists bool
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Account, "account", "Name of the storage account, which must have a hierarchical namespace.").Required().Eg(`"examplelake"`).
		Validate(func() error { return azurerest.CheckAccount(o.Account) })
	f.String(&o.Filesystem, "filesystem", "Name of the file system, without a path; `prefix` names a part of it.").Required().Eg(`"raw"`).
		Validate(func() error {
			if o.Filesystem == "$web" || o.Filesystem == "$root" {
				return nil
			}
			return azurerest.CheckRoot("file system", o.Filesystem)
		})
	f.String(&o.Endpoint, "endpoint", "URL of the account's Data Lake service, when it is not that of the cloud.").Eg(`"https://examplelake.dfs.core.windows.net"`).
		Validate(func() error { return azurerest.CheckEndpoint("dfs", o.Endpoint) })
	f.Size(&o.PartSize, "part_size", "Least size of the parts of large objects, up to 4096 MiB; when absent, it is chosen.").Eg(`"64MiB"`).
		Validate(func() error {
			if o.PartSize < 0 || o.PartSize > maxPart {
				return fmt.Errorf("The part size must be at most \"4096MiB\".")
			}
			return nil
		})
	f.Bool(&o.CreateIfNotExists, "create_if_not_exists", "Make the file system before the first write when it does not exist.").Default("false")
}

// Provider returns the datastore kind "adls_gen2".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("adls_gen2", "Files in a file system of Azure Data Lake Storage Gen2.", Open).With(azureauth.Family), addressing, (*Options).holds)
}

// Driver is an open file system. It implements store.Driver, Multiparter, UploadLister, Locator and Checker.
type Driver struct {
	*azurerest.Client
	o     Options
	log   *slog.Logger
	flat  *store.Walker // of listings of all that is below a prefix
	level *store.Walker // of listings of one level

	mu    sync.Mutex
	made  bool            // the file system is known to exist, for create_if_not_exists
	swept map[string]bool // directories that were looked through for what others left
}

// codes are those of https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/path/create and its
// neighbours, beyond those of azureauth.
var codes = map[string]fault.Code{
	"FilesystemAlreadyExists": fault.AlreadyExists, "FilesystemBeingDeleted": fault.Unavailable, "DestinationPathIsBeingDeleted": fault.Unavailable,
	"SourcePathNotFound": fault.NotFound, "SourcePathIsBeingDeleted": fault.NotFound, "RenameDestinationParentPathNotFound": fault.Unavailable,
	// a file stands where the key has a directory, or the other way round
	"PathConflict": fault.InvalidArgument, "ResourceTypeMismatch": fault.InvalidArgument, "InvalidSourceOrDestinationResourceType": fault.InvalidArgument,
	"InvalidFlushPosition": fault.FailedPrecondition, "InvalidFlushOperation": fault.FailedPrecondition, "InvalidAppendOperation": fault.FailedPrecondition,
	"LeaseIdMissing": fault.FailedPrecondition, "LeaseAlreadyPresent": fault.FailedPrecondition, "DirectoryNotEmpty": fault.FailedPrecondition,
	"FilesystemNotFound": fault.NotFound,
}

// Open opens a file system. Nothing is asked of the service yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	const conflict = "A name is either a file or a directory: choose another key, or remove what is in the way."
	c, err := azurerest.New(env, azurerest.Config{Service: "dfs", Account: o.Account, Root: o.Filesystem, Endpoint: o.Endpoint, Role: "Storage Blob Data", Codes: codes,
		Hints: map[string]string{
			"FilesystemNotFound": fmt.Sprintf("Correct `filesystem`, make it with `az storage fs create --account-name %s --name %s`, or set create_if_not_exists.", o.Account, o.Filesystem),
			"PathConflict":       conflict, "ResourceTypeMismatch": conflict, "InvalidSourceOrDestinationResourceType": conflict,
			"InvalidFlushOperation": "The file was written through the Blob service, which the Data Lake service then does not write to.",
			"AccountRequiresHttps":  "The account takes https only: correct `endpoint`.",
			"LeaseIdMissing":        "Somebody holds a lease on the file: end it first.",
		}})
	if err != nil {
		return nil, err
	}
	d := &Driver{Client: c, o: *o, log: env.Log, swept: map[string]bool{}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.flat, d.level = store.NewWalker(flat{d}, pageMax), store.NewWalker(level{d}, pageMax)
	return d, nil
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps {
	return store.Caps{Order: store.OrderByKey, IfAbsent: true, IfMatch: true, Pin: true, Metadata: true, Modified: true,
		Part:   store.PartLimits{Min: max(1, d.o.PartSize), Max: maxPart, Count: maxParts, Sequential: true},
		MaxKey: maxKey, MaxSize: maxSize, Sums: []string{"md5"}, Why: map[string]string{}}
}

// Classify implements store.Driver.
func (d *Driver) Classify(err error) fault.Class { return d.Client.Classify(err) }

// Close implements store.Driver. Connections belong to the client.
func (d *Driver) Close() error { d.Client.Close(); return nil }

// String names the file system; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return d.URI("") }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// Check implements store.Checker: the file system is there and has directories, and the credential may list it.
func (d *Driver) Check(ctx context.Context) error {
	resp, err := d.Call(ctx, &azurerest.Request{Action: "Filesystem Get Properties", Method: "HEAD", Query: []string{"resource", "filesystem"}}, 200)
	if err == nil && resp.Header.Get("X-Ms-Namespace-Enabled") == "false" {
		return fault.Hinted(fault.FailedPrecondition, "Use datastore \"azure_blob\" for it.", "the storage account %q has no hierarchical namespace", d.o.Account)
	}
	if err != nil && azurerest.StatusOf(err) != 403 { // who may list need not be allowed to see properties
		return d.missing(err)
	}
	_, _, err = d.page(ctx, "", false, "", 1)
	return err
}

// missing lets pass that there is no file system where the first write makes it.
func (d *Driver) missing(err error) error {
	if d.o.CreateIfNotExists && (azurerest.Is(err, "FilesystemNotFound") || azurerest.Is(err, "404")) {
		return nil
	}
	return err
}

// ensure makes the file system where that is asked for.
func (d *Driver) ensure(ctx context.Context) error {
	d.mu.Lock()
	made := d.made
	d.mu.Unlock()
	if made || !d.o.CreateIfNotExists {
		return context.Cause(ctx)
	}
	_, err := d.Call(ctx, &azurerest.Request{Action: "Filesystem Create", Method: "PUT", Query: []string{"resource", "filesystem"}, Write: true}, 201)
	var own *fault.Error
	if code := d.Classify(err).Code; err != nil && (errors.As(err, &own) || code != fault.AlreadyExists && code != fault.PermissionDenied) { // the write itself will tell
		return err
	}
	d.mu.Lock()
	d.made = true
	d.mu.Unlock()
	return nil
}
