// Package azurefiles keeps objects as files in a share of Azure Files, over REST.
//
// Requests are made here, over the block's own HTTP client; the SDK's client is not used, for the reasons given at package
// azureblob.
//
// A file gets its size first and its bytes after, in place. So they go to a hidden file beside the target, which the
// service then renames in one step; without the leave to replace, a rename is also how a key is written only when it is
// absent. What a killed process left is removed a week later by the next one that writes to the directory.
//
// The service takes names that differ in case for one. Keys are exact: a name that exists in another spelling is absent to
// a reader and refused to a writer. Where a name was not seen in a listing or made here, that costs a listing of the names
// that begin with it.
//
// Directories are no objects. They are made with the first object below them and removed with the last one.
package azurefiles

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

// The limits of https://learn.microsoft.com/azure/storage/files/storage-files-scale-targets and of the page on names.
const (
	rangeSize = 4 << 20 // bytes of one Put Range
	maxPart   = 4 << 30
	maxParts  = 10_000
	maxSize   = 4 << 40
	maxName   = 255 // characters
	maxDepth  = 250
	maxKey    = 1024 // bytes; the service takes 2048 characters
	pageMax   = 5000
)

// Options of `datastore "azure_files"`.
type Options struct {
	Account           string
	Share             string
	Endpoint          string
	PartSize          int64
	CreateIfNotExists bool
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Account, "account", "Name of the storage account.").Required().Eg(`"examplelake"`).
		Validate(func() error { return azurerest.CheckAccount(o.Account) })
	f.String(&o.Share, "share", "Name of the share, without a path; `prefix` names a part of it.").Required().Eg(`"raw"`).
		Validate(func() error { return azurerest.CheckRoot("share", o.Share) })
	f.String(&o.Endpoint, "endpoint", "URL of the account's File service, when it is not that of the cloud.").Eg(`"https://examplelake.file.core.windows.net"`).
		Validate(func() error { return azurerest.CheckEndpoint("file", o.Endpoint) })
	f.Size(&o.PartSize, "part_size", "Least size of the parts of large objects, up to 4096 MiB; when absent, it is chosen.").Eg(`"64MiB"`).
		Validate(func() error {
			if o.PartSize < 0 || o.PartSize > maxPart {
				return fmt.Errorf("The part size must be at most \"4096MiB\".")
			}
			return nil
		})
	f.Bool(&o.CreateIfNotExists, "create_if_not_exists", "Make the share before the first write when it does not exist.").Default("false")
}

// Provider returns the datastore kind "azure_files".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("azure_files", "Files in a share of Azure Files.", Open).With(azureauth.Family), addressing, (*Options).holds)
}

// Driver is an open share. It implements store.Driver, Multiparter, UploadLister, Locator and Checker.
type Driver struct {
	*azurerest.Client
	o      Options
	log    *slog.Logger
	walker *store.Walker // of objects
	states *store.Walker // of the state files of uploads

	mu    sync.Mutex
	made  bool            // the share is known to exist, for create_if_not_exists
	swept map[string]bool // directories that were looked through for what others left
	exact map[string]bool // paths that are known to exist in this spelling; directories end with "/"
}

// codes are those of https://learn.microsoft.com/rest/api/storageservices/file-service-error-codes beyond those of
// azureauth.
var codes = map[string]fault.Code{
	"ResourceTypeMismatch": fault.InvalidArgument, "InvalidFileOrDirectoryPathName": fault.InvalidArgument, "FileOrDirectoryPathTooLong": fault.InvalidArgument,
	"ShareBeingDeleted": fault.Unavailable, "DeletePending": fault.Unavailable, "FileLockConflict": fault.FailedPrecondition, "SharingViolation": fault.FailedPrecondition,
	"ReadOnlyAttribute": fault.PermissionDenied, "DirectoryNotEmpty": fault.FailedPrecondition, "LeaseIdMissing": fault.FailedPrecondition,
	"CannotDeleteFileOrDirectory": fault.FailedPrecondition, "ClientCacheFlushDelay": fault.Unavailable, "ShareSizeLimitReached": fault.ResourceExhausted,
}

// Open opens a share. Nothing is asked of the service yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	c, err := azurerest.New(env, azurerest.Config{Service: "file", Account: o.Account, Root: o.Share, Endpoint: o.Endpoint, Role: "Storage File Data Privileged", Intent: true, Codes: codes,
		Hints: map[string]string{
			"ShareNotFound":         fmt.Sprintf("Correct `share`, make it with `az storage share-rm create --storage-account %s --name %s`, or set create_if_not_exists.", o.Account, o.Share),
			"ResourceTypeMismatch":  "A name is either a file or a directory: choose another key, or remove what is in the way.",
			"FileLockConflict":      "A program on a mounted share holds the file: close it there, or list its handles with `az storage share list-handle`.",
			"SharingViolation":      "A program on a mounted share holds the file: close it there, or list its handles with `az storage share list-handle`.",
			"ReadOnlyAttribute":     "The file has the attribute read-only: take it away first.",
			"ShareSizeLimitReached": "The share is full: raise its quota.",
			"LeaseIdMissing":        "Somebody holds a lease on the file: end it first.",
		}})
	if err != nil {
		return nil, err
	}
	d := &Driver{Client: c, o: *o, log: env.Log, swept: map[string]bool{}, exact: map[string]bool{}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.walker, d.states = store.NewWalker(lister{d, false}, pageMax), store.NewWalker(lister{d, true}, pageMax)
	return d, nil
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps {
	return store.Caps{Order: store.OrderByKey, IfAbsent: true, Pin: true, Metadata: true, Modified: true,
		Part:   store.PartLimits{Min: max(1, d.o.PartSize), Max: maxPart, Count: maxParts, NeedSize: true},
		MaxKey: maxKey, MaxSize: maxSize, Sums: []string{"md5"},
		Why: map[string]string{"IfMatch": "Azure Files has no conditional requests; only a rename can refuse to replace a file"}}
}

// Classify implements store.Driver.
func (d *Driver) Classify(err error) fault.Class { return d.Client.Classify(err) }

// Close implements store.Driver. Connections belong to the client.
func (d *Driver) Close() error { d.Client.Close(); return nil }

// URI implements store.Locator: the address of the file, which other programs take.
func (d *Driver) URI(key string) string { return d.Base.Scheme + "://" + d.Base.Host + d.Path(key) }

// String names the share; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return d.URI("") }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// Check implements store.Checker: one name is listed, which shows that the share is there and that the credential is taken.
func (d *Driver) Check(ctx context.Context) error {
	_, _, err := d.page(ctx, "", "", "", 1)
	return err
}

// missing lets pass that there is no share where the first write makes it.
func (d *Driver) missing(err error) error {
	if d.o.CreateIfNotExists && azurerest.Is(err, "ShareNotFound") {
		return nil
	}
	return err
}

// ensure makes the share where that is asked for.
func (d *Driver) ensure(ctx context.Context) error {
	d.mu.Lock()
	made := d.made
	d.mu.Unlock()
	if made || !d.o.CreateIfNotExists {
		return context.Cause(ctx)
	}
	_, err := d.Call(ctx, &azurerest.Request{Action: "Create Share", Method: "PUT", Query: []string{"restype", "share"}, Write: true}, 201)
	var own *fault.Error
	if code := d.Classify(err).Code; err != nil && (errors.As(err, &own) || code != fault.AlreadyExists && code != fault.PermissionDenied) { // the write itself will tell
		return err
	}
	d.mu.Lock()
	d.made = true
	d.mu.Unlock()
	return nil
}
