// Package alipan keeps objects as files of Alipan (Aliyun Drive), by the API of its web pages or the open API, as the
// credential says.
//
// Files and folders have ids there; names are attributes, and a folder may hold one name several times. A key is a path:
// its folders are made when they are missing, their ids are remembered for writing, and every write is looked at by its
// path once it is done. An object that is replaced goes up as a second file of its name, which the service shows when it is
// complete, and then the older one goes to the recycle bin: there is no moment in which the key holds nothing, or half of
// something. Of several files of one name the newest is the object. Deleted objects lie in the recycle bin too.
//
// Parts go up one after another, to addresses that end; each is compared by its MD5 with what the storage says it has, and
// the whole by its SHA-1 with what the service says. What is read whole is compared with that SHA-1. One request gives
// 50 MiB at most, so that larger reads are made of several.
//
// Rapid uploads, which make a file out of one that the service has already, are not used: what they prove is a SHA-1, for
// which two different files can be made, and eight bytes.
//
// With a password, files are encrypted in the format of AliPCS-Py (package alipancrypt). The head of each is read before
// its size is told, since sizes are rounded, and a file that has none under the password is an error when it is read.
//
// Sources: see package alipanauth and the fake in internal/testbed/alipan.
package alipan

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/alipanauth"
	"github.com/dsrun/dsrun/engine/providers/internal/alipancrypt"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	maxKey       = 1024
	maxRange     = 50 << 20  // bytes that one request gets at most
	minPart      = 100 << 10 // bytes of all parts but the last
	maxPart      = 4 << 30   // the storage takes 5 GiB
	maxParts     = 10_000
	pageSize     = 200
	maxReplyText = 64 << 20 // bytes of a JSON reply that are read at most
	rootID       = "root"
)

// Options of `datastore "alipan"`.
type Options struct {
	Drive           string
	DriveID         string
	Root            string
	EncryptPassword secret.String
	EncryptType     string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	o.Root = "/"
	f.String(&o.Drive, "drive", "Drive of the account: its default one, the backup drive or the resource library; when absent, the default.").OneOf("default", "backup", "resource")
	f.String(&o.DriveID, "drive_id", "Id of the drive, instead of `drive`.").Eg(`"1234567"`)
	f.String(&o.Root, "root", "Folder of the drive that holds the objects.").Eg(`"/datasets"`).Default(`"/"`).
		Validate(func() error {
			if !strings.HasPrefix(o.Root, "/") || o.Root != "/" && checkKey(strings.Trim(o.Root, "/")) != nil {
				return fmt.Errorf("The root is an absolute path such as \"/datasets\".")
			}
			return nil
		})
	f.Secret(&o.EncryptPassword, "encrypt_password", "Password of files that are encrypted in the format of AliPCS-Py; 32 bytes at most. The format protects against no change and its keys are cheap to try: it is for sharing files with that program.").FromEnv("ALIPAN_ENCRYPT_PASSWORD").
		Validate(func() error {
			if len(o.EncryptPassword.Reveal()) > alipancrypt.MaxPassword {
				return fmt.Errorf("The password has more than %d bytes, with which AliPCS-Py could not read the files.", alipancrypt.MaxPassword)
			}
			return nil
		})
	f.String(&o.EncryptType, "encrypt_type", "How files that are written are encrypted; reading finds out. Without it a store with a password is not written to.").OneOf(alipancrypt.Names...).FromEnv("ALIPAN_ENCRYPT_TYPE")
	f.AtMostOneOf("drive", "drive_id")
}

// Provider returns the datastore kind "alipan".
func Provider() provider.Provider {
	p := provider.Store("alipan", "Files of a drive at Alipan (Aliyun Drive).", Open).With(alipanauth.Family)
	return provider.Addressed(p, addressing, (*Options).holds)
}

// Driver is an open folder of a drive. It implements store.Driver, DirOpener, Multiparter, Copier, Locator and Checker.
type Driver struct {
	o      Options
	root   string // without a slash at its end; "" for the drive's own
	caps   store.Caps
	http   *http.Client
	cred   alipanauth.Source
	clock  clock.Clock
	log    *slog.Logger
	walker *store.Walker
	crypt  *crypt // nil: nothing is encrypted
	closed atomic.Bool

	mu        sync.Mutex
	driveID   string
	user      string
	folders   map[string]string // ids, by path below root
	addresses map[string]address
}

// Open opens a folder. Nothing is asked of the service yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	cred, err := alipanauth.Of(env.Credential)
	if err != nil {
		return nil, err
	}
	d := &Driver{o: *o, cred: cred, clock: env.Clock, log: env.Log, root: strings.TrimRight(path.Clean("/"+o.Root), "/"), driveID: o.DriveID,
		folders: map[string]string{}, addresses: map[string]address{}}
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
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // addresses are signed
	d.http = &client
	if d.crypt, err = newCrypt(o, cred, env.Redactor); err != nil {
		return nil, err
	}
	d.walker = store.NewWalker(d, 1000)
	part := store.PartLimits{Min: minPart, Max: maxPart, Count: maxParts, Sequential: true}
	if d.crypt != nil {
		part.NeedSize, part.Align = true, 16
	}
	d.caps = store.Caps{Order: store.OrderByKey, Pin: true, MaxKey: maxKey, Part: part, Why: map[string]string{
		"IfAbsent": "the service looks for the name when an upload begins, and not when it ends",
		"IfMatch":  "the service has no conditional write",
		"Metadata": "the service keeps no content type or metadata of the user's",
		"Modified": "the service sets the time itself",
		"Sums":     "the service's SHA-1 is compared on writes and whole reads, and is none of the sums that stores are compared by",
	}}
	return d, nil
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps { return d.caps }

// Close implements store.Driver. Connections belong to the client.
func (d *Driver) Close() error { d.closed.Store(true); return nil }

// URI implements store.Locator: alipan:/// and the path in the drive.
func (d *Driver) URI(key string) string { return "alipan://" + d.root + "/" + key }

// String names the folder; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return d.URI("") }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// Check implements store.Checker: the root is looked at.
func (d *Driver) Check(ctx context.Context) error {
	x, err := d.lookup(ctx, "")
	switch {
	case d.Classify(err).Code == fault.NotFound:
		return nil // the first write makes it
	case err == nil && !x.folder():
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
