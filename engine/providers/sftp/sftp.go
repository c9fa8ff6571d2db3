// Package sftp keeps objects as plain files below one folder of a server that speaks SFTP, version 3, over SSH.
//
// A key is a path below the folder, with the few exceptions of package filekeys. The driver follows no link to a folder;
// a link to a file is followed where it stays within the folder. SFTP has no way to hold a folder open, so that a foreign
// program on the server that puts a link in the place of a folder while a call is under way is not noticed. Files are
// made with mode 0600 and folders with 0700, unless file_mode says otherwise; owners are not made from objects.
//
// A file is written under a hidden name, synced (fsync@openssh.com), checked by its size and renamed over the old one
// (posix-rename@openssh.com): whatever happens, the old or the new content is there. A folder cannot be synced over SFTP:
// after a power failure of the server it may still name the old file. Where the server lacks posix-rename, a file that
// exists is not replaced, and says so. What a killed process left (.dsrun-*.tmp) is not listed, and stays.
//
// The server's key is compared with known_hosts, always. Times are whole seconds, which is all that version 3 has.
package sftp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/filekeys"
	"github.com/dsrun/dsrun/engine/store"
)

// Options of `datastore "sftp"`.
type Options struct {
	Host     string
	Port     int64
	Root     string
	FileMode string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	o.Port, o.Root, o.FileMode = 22, "/", "0600"
	f.String(&o.Host, "host", "Name or address of the server, without user and port.").Required().Eg(`"sftp.example.com"`).
		Validate(func() error { return checkHost(o.Host) })
	f.Int(&o.Port, "port", "Port of the server.").Default("22").
		Validate(func() error {
			if o.Port < 1 || o.Port > 65535 {
				return fmt.Errorf("The port must be from 1 to 65535.")
			}
			return nil
		})
	f.String(&o.Root, "root", "Folder on the server that holds the objects, from the server's top. It must exist.").Default(`"/"`).
		Validate(func() error {
			if !strings.HasPrefix(o.Root, "/") || strings.ContainsRune(o.Root, 0) || path.Clean(o.Root) != strings.TrimSuffix(o.Root, "/") && o.Root != "/" {
				return fmt.Errorf("The root %q must be a path from the top of the server, such as \"/data\".", o.Root)
			}
			return nil
		})
	f.String(&o.FileMode, "file_mode", "Mode of the files that are written; folders get the same with the right to enter.").OneOf("0600", "0640", "0644").Default(`"0600"`)
}

func checkHost(host string) error {
	if host == "" || strings.ContainsAny(host, "@/ []?#%\t\n") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return fmt.Errorf("The host %q must be a name or an address alone; user, password and port have places of their own.", host)
	}
	return nil
}

// Provider returns the datastore kind "sftp".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("sftp", "Objects are the files below a folder of an SFTP server.", open).With(Family), addressing, (*Options).holds)
}

// Driver is an open folder of a server. It implements store.Driver, Locator, Checker and DirOpener.
type Driver struct {
	o      Options
	root   string // without a "/" at its end: "" for the top
	mode   uint32 // of files
	pool   *pool
	walker *store.Walker
	dirs   dirs
}

// times bound what may stand still. Tests make them short.
type times struct {
	connect, handshake time.Duration
	stall              time.Duration // without a byte from the server, answers to our own questions included
	data               time.Duration // without progress of bytes that are read or written
	idle               time.Duration // an unused connection is closed after it
}

var usual = times{10 * time.Second, 20 * time.Second, 30 * time.Second, 60 * time.Second, 60 * time.Second}

// open opens a store. Nothing is asked of the server yet.
func open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	return newDriver(env, o, usual)
}

func newDriver(env provider.Env, o *Options, t times) (*Driver, error) {
	if env.Credential == nil {
		return nil, fault.Hinted(fault.Unauthenticated, "Declare a credential \"sftp\".", "there is no credential for %s", o.Host)
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	mode, err := strconv.ParseUint(o.FileMode, 8, 32)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "file_mode %q is no mode", o.FileMode)
	}
	d := &Driver{o: *o, root: strings.TrimSuffix(o.Root, "/"), mode: uint32(mode)}
	d.pool = newPool(dialer{
		address: net.JoinHostPort(o.Host, strconv.FormatInt(o.Port, 10)), cred: env.Credential, log: log, times: t,
		dial: httpclient.Dialer(httpclient.Options{ConnectTimeout: t.connect}),
	})
	d.walker = store.NewWalker(d, 1000)
	return d, nil
}

// lacks says why SFTP cannot do what it cannot do.
var lacks = map[string]string{
	"IfMatch":  "SFTP has neither locks nor a rename that depends on the state of the target",
	"Pin":      "SFTP tells the time of a file in whole seconds and no number of its own, which proves too little",
	"Metadata": "a file holds its bytes and its time; content types follow from the names",
	"Part":     "a file is written in one go, with many requests under way at once",
	"Sums":     "SFTP has no checksums; the bytes are covered by SSH",
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps {
	return store.Caps{Order: store.OrderByKey, IfAbsent: true, Modified: true, Why: lacks}
}

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := refuseCond(c); err != nil {
		return store.Entry{}, err
	}
	name, err := filekeys.File(key)
	if err != nil {
		return store.Entry{}, err
	}
	return use(ctx, d.pool, func(c *conn) (store.Entry, error) {
		x, _, err := d.find(ctx, c, name)
		if err != nil {
			return store.Entry{}, err
		}
		return x.whole(key), nil
	})
}

func refuseCond(c store.Cond) error {
	if c.Version != "" {
		return fault.New(fault.InvalidArgument, "files have no versions")
	}
	if c.IfMatch != "" {
		return fault.New(fault.Unimplemented, "no condition on the ETag: %s", lacks["Pin"])
	}
	return nil
}

// Close implements store.Driver.
func (d *Driver) Close() error { return d.pool.close() }

// URI implements store.Locator. The user is the credential's and not part of it.
func (d *Driver) URI(key string) string {
	name, err := filekeys.File(key)
	if err != nil {
		name = key
	}
	host := d.o.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if d.o.Port != 22 {
		host += ":" + strconv.FormatInt(d.o.Port, 10)
	}
	return (&url.URL{Scheme: "sftp", Host: host, Path: d.root + "/" + name}).String()
}

// Check implements store.Checker.
func (d *Driver) Check(ctx context.Context) error {
	_, err := use(ctx, d.pool, func(c *conn) (string, error) {
		top, err := d.top(ctx, c)
		if err != nil {
			return "", err
		}
		_, err = readDir(ctx, c, top)
		return top, err
	})
	return err
}

var _ credential.Source = (*source)(nil)
