// Package huggingface reads the repositories of the Hugging Face hub: data sets, models and spaces. It cannot write.
//
// A repository is git's, so an open store stands at one commit: the first call looks at what the revision names, and
// every listing and every read then asks for that commit, whatever is pushed meanwhile. The ETag of an object is what the
// hub calls its content by: the SHA-256 of a large file, git's id of the blob of a small one. Either is a checksum, so
// that what is read as a whole is compared with it.
//
// The hub answers with small files itself and with redirects to other hosts for large ones. Redirects are followed here,
// not by the HTTP client: the token goes to the hub only. Its Xet protocol, by which the hub's client gets deduplicated
// pieces, is not spoken; the hub gives the same files over plain HTTP.
//
// Sources: https://huggingface.co/docs/hub/api and huggingface_hub, the hub's own client.
package huggingface

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/hfauth"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	hub      = "https://huggingface.co"
	maxKey   = 4096     // bytes of a path; git knows no limit, file systems do
	maxReply = 32 << 20 // bytes of a JSON reply that are read at most
)

// Options of `datastore "huggingface"`.
type Options struct {
	Repo     string
	Type     string
	Revision string
	Endpoint string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	o.Type, o.Revision = "dataset", "main"
	f.String(&o.Repo, "repo", "Name of the repository with its owner, \"org/name\".").Required().Eg(`"HuggingFaceFW/fineweb"`).
		Validate(func() error { return checkRepo(o.Repo) })
	f.String(&o.Type, "type", "What the repository holds.").OneOf("dataset", "model", "space").Default(`"dataset"`)
	f.String(&o.Revision, "revision", "Branch, tag, pull request (\"refs/pr/1\") or commit. What a branch holds when the store is first used is what is read all along.").
		Eg(`"refs/convert/parquet"`).Default(`"main"`).Validate(func() error { return checkRevision(o.Revision) })
	f.String(&o.Endpoint, "endpoint", "URL of a hub other than huggingface.co; when absent, the default credential takes it from HF_ENDPOINT.").Eg(`"https://huggingface.co"`).
		Validate(func() error { return checkEndpoint(o.Endpoint) })
}

// Provider returns the datastore kind "huggingface".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("huggingface", "Files of a repository of the Hugging Face hub, to be read.", Open).With(hfauth.Family), addressing, (*Options).holds)
}

// checkRepo checks a name by the hub's rules: https://huggingface.co/docs/huggingface_hub/package_reference/utilities.
func checkRepo(s string) error {
	org, name, ok := strings.Cut(s, "/")
	for _, part := range []string{org, name} {
		ok = ok && part != "" && len(part) <= 96 && !strings.Contains(part, "--") && !strings.Contains(part, "..") && !strings.ContainsAny(part[:1]+part[len(part)-1:], "-.")
		for _, c := range part {
			ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c))
		}
	}
	if !ok {
		return fmt.Errorf("The repository %q must have the form \"org/name\", of letters, digits, \"-\", \"_\" and \".\".", s)
	}
	return nil
}

// checkRevision refuses what git refuses as the name of a reference, in short.
func checkRevision(s string) error {
	if s == "" || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") || strings.Contains(s, "//") || strings.Contains(s, "..") || strings.ContainsAny(s, " ~^:?*[\\") ||
		strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("The revision %q is not the name of a branch, a tag or a commit.", s)
	}
	return nil
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, " \t\r\n") {
		return fmt.Errorf("\"endpoint\" must be a URL such as \"https://huggingface.co\", without user, query or fragment.")
	}
	return nil
}

// Driver is an open repository at a commit. It implements store.Driver, DirOpener, Locator, Homer and Checker.
type Driver struct {
	o      Options
	base   *url.URL
	http   *http.Client
	cred   credential.Source
	log    *slog.Logger
	flat   *store.Walker // of listings of all that is below a prefix
	level  *store.Walker // of listings of one level
	closed atomic.Bool

	mu     sync.Mutex
	pinned *pin
}

// Open opens a repository. Nothing is asked of the hub yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	d := &Driver{o: *o, cred: env.Credential, log: env.Log}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	at := o.Endpoint
	if at == "" && env.Credential != nil {
		if at = hfauth.Endpoint(env.Credential); at != "" && checkEndpoint(at) != nil {
			return nil, fault.New(fault.InvalidArgument, "HF_ENDPOINT must be a URL such as %q", hub)
		}
	}
	if at == "" {
		at = hub
	}
	var err error
	if d.base, err = url.Parse(strings.TrimRight(at, "/")); err != nil {
		return nil, fault.New(fault.InvalidArgument, "the endpoint is not a URL")
	}
	if env.HTTP == nil {
		if env.HTTP, err = httpclient.New(httpclient.Options{Name: env.Name, Log: env.Log}); err != nil {
			return nil, err
		}
	}
	client := *env.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // see request.go
	d.http = &client
	d.flat, d.level = store.NewWalker(flat{d}, pageMax), store.NewWalker(level{d}, pageMax)
	return d, nil
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps {
	const never = "the hub takes changes as commits only, which this kind does not make"
	return store.Caps{Order: store.OrderByKey, Pin: true, ReadOnly: true, MaxKey: maxKey, Sums: []string{"sha256"}, Why: map[string]string{
		"ReadOnly": never, "IfAbsent": never, "IfMatch": never, "Part": never, "Modified": never,
		"Metadata": "git keeps neither content types nor metadata",
	}}
}

// Put implements store.Driver: it is refused.
func (d *Driver) Put(context.Context, string, store.Body, store.PutOptions) (store.Entry, error) {
	return store.Entry{}, refused()
}

// Delete implements store.Driver: it is refused.
func (d *Driver) Delete(context.Context, string, store.Cond) error { return refused() }

func refused() error {
	return fault.Hinted(fault.PermissionDenied, "Push with `hf upload` or git.", "repositories of the hub are only read")
}

// Close implements store.Driver. Connections belong to the client.
func (d *Driver) Close() error { d.closed.Store(true); return nil }

// Home implements store.Homer: other hubs have repositories of the same names.
func (d *Driver) Home() string {
	if d.base.String() == hub {
		return ""
	}
	return strings.ToLower(d.base.Host) + d.base.Path
}

// String names the repository; it keeps %v of a driver free of everything else.
func (d *Driver) String() string { return d.URI("") }

// GoString implements fmt.GoStringer.
func (d *Driver) GoString() string { return d.String() }

// Check implements store.Checker: the revision is there, and the credential may read files, which it may not in every
// repository whose names it may see.
func (d *Driver) Check(ctx context.Context) error {
	if _, err := d.pin(ctx); err != nil {
		return err
	}
	resp, err := d.call(ctx, "GET", d.api("auth-check", ""), nil)
	if err == nil {
		drain(resp)
	}
	return err
}

// tokenGoes reports whether a token may be sent to a URL: over TLS, or within this machine.
func tokenGoes(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
