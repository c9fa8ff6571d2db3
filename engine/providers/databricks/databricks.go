// Package databricks keeps objects as files of a Databricks workspace: in a volume of Unity Catalog by the Files API 2.0,
// or below a folder of DBFS by the DBFS API 2.0. Requests are made here, over the block's own HTTP client.
//
// Volumes. A small file is one PUT; a large one goes up in parts to the cloud's storage, by URLs that the workspace signs:
// parts in any order on AWS and Azure, one resumable upload on Google Cloud. Those URLs get no token. Where they are not
// enabled, or storage cannot be reached from here, the file goes up in one PUT through the workspace. The API gives
// neither ETag nor checksum, and is known to report success for a file that it did not store: after each write the file
// is looked at and its length compared. Files cannot be written under the condition of a state, only when they are absent.
//
// DBFS. A file of up to 1 MiB is one request. A larger one is written under a name of its own in ".dsrun" of the root,
// block after block, compared by its length and moved to its place; the API cannot move over a file, so that an old one is
// moved aside first, and moved back when the second move fails. Between the two moves a reader finds no file. Reads are
// blocks of 1 MiB, and after every few of them the file's time and length are looked at, so that two files are not mixed.
//
// Folders are no objects. They are made with the first object below them and removed with the last one.
//
// Sources: the REST API reference of Databricks (Files, DBFS), and the uploads of its SDK for Python (mixins/files.py).
package databricks

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
	"github.com/dsrun/dsrun/engine/providers/internal/databricksauth"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	maxKey       = 1024
	maxName      = 255       // bytes of a name
	maxPut       = 5 << 30   // bytes of one PUT
	minPart      = 5 << 20   // bytes of every part but the last, as S3 has it
	maxPart      = 4 << 30   // as the SDK has it
	maxParts     = 10_000    // as S3 has it
	maxSize      = 5 << 40   // of an object of S3 and of Google Cloud
	chunkAlign   = 256 << 10 // chunks of a resumable upload are multiples of it
	maxReplyText = 64 << 20  // bytes of a JSON reply that are read at most
)

// Options of `datastore "databricks"`.
type Options struct {
	Host     string
	Path     string
	PartSize int64
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Host, "host", "URL of the workspace; when absent, that of the credential.").Eg(`"https://dbc-a1b2345c-d6e7.cloud.databricks.com"`).
		Validate(func() error { return databricksauth.CheckHost(o.Host) })
	f.String(&o.Path, "path", "Folder that holds the objects: a volume of Unity Catalog or a folder in one, \"/Volumes/catalog/schema/volume\"; or a folder of DBFS, \"dbfs:/data\".").Required().Eg(`"/Volumes/main/default/raw"`).
		Validate(func() error { return checkPath(o.Path) })
	f.Size(&o.PartSize, "part_size", "Least size of the parts of large files in volumes, from 5 MiB to 4096 MiB; when absent, it is chosen.").Eg(`"64MiB"`).
		Validate(func() error {
			if o.PartSize != 0 && (o.PartSize < minPart || o.PartSize > maxPart) {
				return fmt.Errorf("The part size must be from \"5MiB\" to \"4096MiB\".")
			}
			return nil
		})
}

// Provider returns the datastore kind "databricks".
func Provider() provider.Provider {
	p := provider.Store("databricks", "Files of a Databricks workspace, in volumes of Unity Catalog or in DBFS.", Open).With(databricksauth.Family)
	return provider.Addressed(p, addressing, (*Options).holds)
}

// client is what both kinds of files need of the workspace.
type client struct {
	base   *url.URL
	lost   error  // why there is no base
	root   string // without "dbfs:" and without a slash at its end; "" for the top of DBFS
	http   *http.Client
	cred   credential.Source
	clock  clock.Clock
	log    *slog.Logger
	closed atomic.Bool

	source     sync.Once
	sourceName string // where the credential comes from, for messages

	mu   sync.Mutex
	made map[string]bool // folders that are known to exist
}

// Open opens a folder. Nothing is asked of the workspace yet.
func Open(ctx context.Context, env provider.Env, o *Options) (store.Driver, error) {
	if env.Credential == nil {
		return nil, fault.Hinted(fault.Unauthenticated, "Declare a `credential \"databricks\"`, or run `databricks configure`.", "there is no credential for the workspace")
	}
	c := &client{cred: env.Credential, clock: env.Clock, log: env.Log, made: map[string]bool{}}
	if c.clock == nil {
		c.clock = clock.Real
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if env.HTTP == nil {
		h, err := httpclient.New(httpclient.Options{Name: env.Name, Log: env.Log})
		if err != nil {
			return nil, err
		}
		env.HTTP = h
	}
	h := *env.HTTP
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // it would carry the token elsewhere
	c.http = &h
	host := o.Host
	if host == "" {
		host = databricksauth.Host(ctx, env.Credential)
	}
	if host == "" { // said by the first call: what is opened need not be used
		c.base, c.lost = &url.URL{}, fault.Hinted(fault.InvalidArgument, "Set `host` of the datastore or of its credential, or DATABRICKS_HOST.", "the workspace is not known")
	} else {
		base, err := databricksauth.BaseURL(host)
		if err != nil {
			return nil, err
		}
		c.base = base
	}
	root, volume := splitPath(o.Path)
	c.root = root
	if !volume {
		c.log.Warn("DBFS is deprecated by Databricks, and new accounts do not have it: move to a volume of Unity Catalog", "path", o.Path)
		return newDBFS(c), nil
	}
	return newDriver(c, o), nil
}

// Close implements store.Driver. Connections belong to the HTTP client.
func (c *client) Close() error { c.closed.Store(true); return nil }

// URI implements store.Locator, in the form of Databricks's own tools.
func (c *client) URI(key string) string { return "dbfs:" + c.root + "/" + key }

// Home implements store.Homer: the form of the URI does not name the workspace.
func (c *client) Home() string { return c.base.Host }

// String names the folder; it keeps %v of a driver free of everything else.
func (c *client) String() string { return c.URI("") }

// GoString implements fmt.GoStringer.
func (c *client) GoString() string { return c.String() }

// usable is the first step of each call.
func (c *client) usable(ctx context.Context) error {
	if c.closed.Load() {
		return fault.New(fault.FailedPrecondition, "the store is closed")
	}
	if c.lost != nil {
		return c.lost
	}
	return context.Cause(ctx)
}

// path is the path of a key in the workspace.
func (c *client) path(key string) string { return c.root + "/" + key }

// parent is the folder of a path.
func parent(path string) string { return path[:strings.LastIndexByte(path, '/')] }

func (c *client) knows(dir string) bool { c.mu.Lock(); defer c.mu.Unlock(); return c.made[dir] }

func (c *client) remember(dir string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.made) >= 10_000 {
		clear(c.made)
	}
	c.made[dir] = true
}

// forget unlearns a folder and all below it.
func (c *client) forget(dir string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for d := range c.made {
		if d == dir || strings.HasPrefix(d, dir+"/") {
			delete(c.made, d)
		}
	}
}
