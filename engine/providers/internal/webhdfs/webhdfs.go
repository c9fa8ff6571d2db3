// Package webhdfs speaks the REST API of HDFS, for the kinds of datastores that keep objects as files behind it.
//
// The name node answers what concerns names, and sends the bytes of files to data nodes by a redirect. Redirects are
// followed here, not by the HTTP client, and only to data nodes that were named, that have the name node's own host name
// or stand in its domain: the redirect carries the user or a delegation token in its query.
//
// A file is written under a name of its own below ".dsrun" in the root, checked by its length and HDFS's own checksum,
// and then renamed to its place. The rename is one step of the name node: with OVERWRITE it replaces what stands there,
// without it fails where something does. So a reader sees the old or the new file, and only one of two writers makes a new
// one. A file is read by the number of its inode, so that a file that was replaced cannot be taken for the one that was
// looked at.
//
// The sources are "WebHDFS REST API" of the Hadoop documentation (3.4) and, for the checksum, MD5MD5CRC32FileChecksum.
package webhdfs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	maxKey       = 1024
	maxName      = 255 // bytes of one name, the default of dfs.namenode.fs-limits.max-component-length
	hidden       = ".dsrun"
	maxReplyText = 64 << 20
	blockSize    = 128 << 20
)

// Config says where the folder is and who asks.
type Config struct {
	Endpoint  string                  // URL of the name node's web server or of a gateway: see IsEndpoint
	Root      string                  // folder that holds the objects: see CheckRoot
	DataNodes []string                // hosts that redirects may lead to; none means the endpoint's own and those of its domain
	SameHost  bool                    // redirects lead to the endpoint's own host and port only
	Login     Login                   // nil asks as nobody
	URI       func(key string) string // of an object; nil means Hadoop's form, webhdfs://HOST/PATH
	Codes     map[string]fault.Code   // of exceptions, beyond those of HDFS
	Hints     map[string]string       // by exception, in place of those of HDFS
}

// Login gives who asks. refresh says that what it gave before was refused.
type Login func(ctx context.Context, refresh bool) (Who, error)

// Who is how a request says who asks.
type Who struct {
	Query  []string // parameters of the query, names and values in turn
	Bearer string   // a token for the header Authorization, sent over TLS or within this machine only; "" for none
}

// IsEndpoint reports whether s can be Config.Endpoint.
func IsEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(s, " \t")
}

// CheckRoot checks what is to be Config.Root, for the person who wrote it.
func CheckRoot(s string) error {
	if !strings.HasPrefix(s, "/") || s != "/" && checkKey(strings.Trim(s, "/")) != nil {
		return fmt.Errorf("The root is an absolute path such as \"/data/raw\".")
	}
	return nil
}

// Driver is an open folder. It implements store.Driver, DirOpener, Locator and Checker.
type Driver struct {
	o      Config
	base   *url.URL
	root   string // without a slash at its end; "" for "/"
	caps   store.Caps
	http   *http.Client
	clock  clock.Clock
	log    *slog.Logger
	walker *store.Walker
	closed atomic.Bool
}

// Open opens a folder. Nothing is asked of the cluster yet.
func Open(env provider.Env, o Config) (store.Driver, error) {
	d := &Driver{o: o, clock: env.Clock, log: env.Log, root: strings.TrimRight(o.Root, "/")}
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
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // see request.go
	d.http = &client
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "the endpoint is not a URL")
	}
	d.base = u
	d.walker = store.NewWalker(d, 1000)
	d.caps = store.Caps{Order: store.OrderByKey, IfAbsent: true, Pin: true, Modified: true, MaxKey: maxKey, Why: map[string]string{
		"IfMatch":  "the name node renames under the condition that nothing is there, and under no other",
		"Metadata": "HDFS keeps no content type; its extended attributes cannot be written in one step with the file",
		"Part":     "a file is written from its start to its end by one writer; a single write has no limit of size",
		"Sums":     "the checksum of HDFS depends on the sizes of blocks; it is compared on writes and reads, and is none of the usual ones",
	}}
	return d, nil
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps { return d.caps }

// Close implements store.Driver. Connections belong to the client.
func (d *Driver) Close() error { d.closed.Store(true); return nil }

// URI implements store.Locator, in the form of Hadoop's own tools.
func (d *Driver) URI(key string) string {
	if d.o.URI != nil {
		return d.o.URI(key)
	}
	scheme := "webhdfs"
	if d.base.Scheme == "https" {
		scheme = "swebhdfs"
	}
	return scheme + "://" + d.base.Host + d.root + "/" + key
}

// String names the folder; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return d.URI("") }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// Check implements store.Checker: the root is looked at.
func (d *Driver) Check(ctx context.Context) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	s, err := d.status(ctx, d.root+"/")
	switch {
	case d.Classify(err).Code == fault.NotFound:
		return nil // the first write makes it
	case err == nil && s.Type != "DIRECTORY":
		return fault.New(fault.InvalidArgument, "the root is a file")
	}
	return err
}

// usable is the first step of each call.
func (d *Driver) usable(ctx context.Context) error {
	if d.closed.Load() {
		return fault.New(fault.FailedPrecondition, "the store is closed")
	}
	return context.Cause(ctx)
}
