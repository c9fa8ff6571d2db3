// Package webhdfs keeps objects as files of a Hadoop cluster, by the REST API of HDFS.
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

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/hdfsauth"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	maxKey       = 1024
	maxName      = 255 // bytes of one name, the default of dfs.namenode.fs-limits.max-component-length
	hidden       = ".dsrun"
	maxReplyText = 64 << 20
	blockSize    = 128 << 20
)

// Options of `datastore "webhdfs"`.
type Options struct {
	Endpoint  string
	Root      string
	DataNodes []string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	o.Root = "/"
	f.String(&o.Endpoint, "endpoint", "URL of the name node's web server, or of a gateway such as HttpFS or Knox.").Required().Eg(`"https://namenode.example.com:9871"`).
		Validate(func() error { return checkEndpoint(o.Endpoint) })
	f.String(&o.Root, "root", "Folder of the cluster that holds the objects.").Eg(`"/data/raw"`).Default(`"/"`).
		Validate(func() error {
			if !strings.HasPrefix(o.Root, "/") || o.Root != "/" && checkKey(strings.Trim(o.Root, "/")) != nil {
				return fmt.Errorf("The root is an absolute path such as \"/data/raw\".")
			}
			return nil
		})
	f.Strings(&o.DataNodes, "data_nodes", "Hosts (\"host\" or \"host:port\", or \".domain\" for all in it) that redirects may lead to; when absent, the endpoint's own host and those of its domain.").Eg(`[".dn.example.com"]`)
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, " \t") {
		return fmt.Errorf("%q must be a URL such as \"https://namenode.example.com:9871\", without user, query or fragment.", "endpoint")
	}
	return nil
}

// Provider returns the datastore kind "webhdfs".
func Provider() provider.Provider {
	return provider.Store("webhdfs", "Files of a Hadoop cluster (HDFS), by its REST API.", Open).With(hdfsauth.Family)
}

// Driver is an open folder. It implements store.Driver, DirOpener, Locator and Checker.
type Driver struct {
	o      Options
	base   *url.URL
	root   string // without a slash at its end; "" for "/"
	caps   store.Caps
	http   *http.Client
	cred   credential.Source
	clock  clock.Clock
	log    *slog.Logger
	walker *store.Walker
	closed atomic.Bool
}

// Open opens a folder. Nothing is asked of the cluster yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	d := &Driver{o: *o, cred: env.Credential, clock: env.Clock, log: env.Log, root: strings.TrimRight(o.Root, "/")}
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
