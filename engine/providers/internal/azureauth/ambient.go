package azureauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// world is what logging in may use.
type world struct {
	env       provider.Env
	clock     clock.Clock
	log       *slog.Logger
	http      *http.Client
	cloud     Cloud
	authority string
	ambient   bool // the environment may be asked
	imds      string
	metadata  func() (*http.Client, error)
}

func newWorld(env provider.Env, o *Options) *world {
	w := &world{env: env, clock: env.Clock, log: env.Log, http: env.HTTP, cloud: CloudNamed(o.Cloud), imds: imdsURL, metadata: metadataClient(env)}
	w.authority = w.cloud.Authority
	if o.AuthorityURL != "" {
		w.authority = o.AuthorityURL
	}
	if w.clock == nil {
		w.clock = clock.Real
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.http == nil {
		w.http, _ = httpclient.New(httpclient.Options{Name: env.Name}) // options that cannot be wrong
	}
	return w
}

func (w *world) block() string { return fmt.Sprintf("credential %q %q", Family, w.env.Name) }

func (w *world) cached(s credential.Source) credential.Source {
	return credential.Cached(s, w.clock, w.env.Redactor)
}

func (w *world) getenv(name string) string {
	if !w.ambient || w.env.Getenv == nil {
		return ""
	}
	return w.env.Getenv(name)
}

func absent(what string) error { return fmt.Errorf("%s: %w", what, credential.ErrAbsent) }

// keyNames are the names of the environment that hold an account and its key, in the order in which they are asked.
var keyNames = [][2]string{
	{"AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_ACCESS_KEY"},
	{"AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"},
	{"BLOB_ACCOUNTNAME", "BLOB_ACCOUNT_KEY"},
	{"FILE_SHARE_ACCOUNTNAME", "FILE_SHARE_ACCOUNT_KEY"},
}

// principalNames are those that hold a service principal.
var principalNames = [][3]string{
	{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"},
	{"ADLSGEN2_TENANT", "ADLSGEN2_CLIENTID", "ADLSGEN2_CLIENT_SECRET"},
}

// chain is what the method "default" asks, in order.
func (w *world) chain(account string) credential.Source {
	if w.getenv("AZURE_AUTHORITY_HOST") != "" && w.authority == w.cloud.Authority {
		host := w.getenv("AZURE_AUTHORITY_HOST")
		if !strings.Contains(host, "://") {
			host = "https://" + host
		}
		w.authority = host
	}
	var list []credential.Source
	for _, n := range keyNames {
		list = append(list, w.keyFrom(n[0], n[1], account))
	}
	list = append(list, w.connectionFrom("AZURE_STORAGE_CONNECTION_STRING", account), w.sasFrom("AZURE_STORAGE_SAS_TOKEN", account))
	for _, n := range principalNames {
		list = append(list, w.principalFrom(n))
	}
	list = append(list, w.workloadFrom(), w.managed("managed identity", w.getenv("AZURE_CLIENT_ID"), true), w.cli("the command az", ""))
	return credential.Chain(list...)
}

// forStorage says whether a key of a storage account can serve what is wanted.
func forStorage(want credential.Want) bool {
	return want.Audience == "" || want.Audience == StorageScope
}

func (w *world) keyFrom(accountName, keyName, account string) credential.Source {
	return credential.From("environment "+keyName, func(_ context.Context, want credential.Want) (credential.Value, error) {
		key, named := w.getenv(keyName), w.getenv(accountName)
		if key == "" || !forStorage(want) || named != "" && account != "" && named != account {
			return credential.Value{}, absent(keyName)
		}
		w.env.Redactor.Add(key)
		f := map[string]secret.String{FieldAccountKey: secret.New(key)}
		if named != "" {
			f[FieldAccount] = secret.New(named)
		}
		return credential.Value{Fields: f}, nil
	})
}

func (w *world) connectionFrom(name, account string) credential.Source {
	return credential.From("environment "+name, func(_ context.Context, want credential.Want) (credential.Value, error) {
		text := w.getenv(name)
		if text == "" || !forStorage(want) {
			return credential.Value{}, absent(name)
		}
		w.env.Redactor.Add(text)
		c, err := parseConnection(text)
		if err != nil {
			return credential.Value{}, err
		}
		if c.account != "" && account != "" && c.account != account {
			return credential.Value{}, absent(name + " of another account")
		}
		if c.sas != "" {
			learnSAS(c.sas, w.env.Redactor)
		}
		return credential.Value{Fields: c.fields()}, nil
	})
}

func (w *world) sasFrom(name, account string) credential.Source {
	return credential.From("environment "+name, func(_ context.Context, want credential.Want) (credential.Value, error) {
		text, named := w.getenv(name), w.getenv("AZURE_STORAGE_ACCOUNT")
		if text == "" || !forStorage(want) || named != "" && account != "" && named != account {
			return credential.Value{}, absent(name)
		}
		w.env.Redactor.Add(text)
		sas, err := ParseSAS(text)
		if err != nil {
			return credential.Value{}, err
		}
		learnSAS(sas, w.env.Redactor)
		return credential.Value{Fields: map[string]secret.String{FieldSAS: secret.New(sas)}}, nil
	})
}

func (w *world) principalFrom(n [3]string) credential.Source {
	return credential.From("environment "+n[2], func(ctx context.Context, want credential.Want) (credential.Value, error) {
		p := principal{tenant: w.getenv(n[0]), client: w.getenv(n[1]), secret: secret.New(w.getenv(n[2]))}
		if n[0] == "AZURE_TENANT_ID" && p.secret.IsZero() {
			p.certificateFile = w.getenv("AZURE_CLIENT_CERTIFICATE_PATH")
		}
		if p.secret.IsZero() && p.certificateFile == "" {
			return credential.Value{}, absent(n[2])
		}
		w.env.Redactor.AddString(p.secret)
		for i, v := range []string{p.tenant, p.client} {
			if v == "" {
				return credential.Value{}, fault.New(fault.Unauthenticated, "the environment holds %s and no %s", n[2], n[i])
			}
		}
		return w.principal("", p).Resolve(ctx, want)
	})
}

func (w *world) workloadFrom() credential.Source {
	const name = "AZURE_FEDERATED_TOKEN_FILE"
	return credential.From("environment "+name, func(ctx context.Context, want credential.Want) (credential.Value, error) {
		p := principal{tenant: w.getenv("AZURE_TENANT_ID"), client: w.getenv("AZURE_CLIENT_ID"), tokenFile: w.getenv(name)}
		if p.tokenFile == "" || p.tenant == "" || p.client == "" {
			return credential.Value{}, absent(name)
		}
		return w.principal("", p).Resolve(ctx, want)
	})
}

const imdsURL = "http://169.254.169.254/metadata/identity/oauth2/token"

// metadataClient returns a client that may reach the address of a virtual machine's metadata and gives up soon: what runs
// elsewhere must not wait for it.
func metadataClient(env provider.Env) func() (*http.Client, error) {
	return func() (*http.Client, error) {
		a := netip.MustParseAddr("169.254.169.254")
		return httpclient.New(httpclient.Options{Name: env.Name, StrictRedirects: true, ConnectTimeout: time.Second, StallTimeout: 10 * time.Second,
			IdleTimeout: 10 * time.Second, AllowAddrs: []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}})
	}
}

// managed returns the source of a managed identity's tokens: of the virtual machine's metadata service, or of App
// Service's, whose address the environment holds. Azure says how:
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token.
func (w *world) managed(name, client string, chained bool) credential.Source {
	return credential.From(name, func(ctx context.Context, want credential.Want) (credential.Value, error) {
		if want.Audience == "" {
			return credential.Value{}, absent("an audience")
		}
		q := url.Values{"resource": {strings.TrimSuffix(want.Audience, "/.default")}, "api-version": {"2018-02-01"}}
		if client != "" {
			q.Set("client_id", client)
		}
		address, header, value := w.imds, "Metadata", "true"
		if at := w.getenv("IDENTITY_ENDPOINT"); at != "" && w.getenv("IDENTITY_HEADER") != "" {
			address, header, value = at, "X-Identity-Header", w.getenv("IDENTITY_HEADER")
			w.env.Redactor.Add(value)
			q.Set("api-version", "2019-08-01")
		}
		client, err := w.metadata()
		if err != nil {
			return credential.Value{}, err
		}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, "GET", address+"?"+q.Encode(), nil)
		if err != nil {
			return credential.Value{}, err
		}
		req.Header.Set(header, value)
		t, err := w.ask(client, req)
		var refusal *fault.Error
		if err != nil && chained && header == "Metadata" && ctx.Err() == nil && errors.As(err, &refusal) {
			return credential.Value{}, absent(fmt.Sprintf("managed identity (%v)", refusal.Err)) // no Azure machine, or none with an identity
		}
		if err != nil {
			return credential.Value{}, err
		}
		return bearer(t), nil
	})
}

// cli returns the source of tokens of the command az. The command gets the environment's PATH and HOME, as it keeps its
// login below HOME.
func (w *world) cli(name, tenant string) credential.Source {
	return credential.From(name, func(ctx context.Context, want credential.Want) (credential.Value, error) {
		if want.Audience == "" {
			return credential.Value{}, absent("an audience")
		}
		var environ []string
		for _, n := range []string{"PATH", "HOME", "AZURE_CONFIG_DIR", "LANG", "USERPROFILE", "SYSTEMROOT", "HTTPS_PROXY", "NO_PROXY"} {
			if w.env.Getenv == nil {
				break
			}
			if v := w.env.Getenv(n); v != "" {
				environ = append(environ, n+"="+v)
			}
		}
		args := []string{"az", "account", "get-access-token", "--output", "json", "--scope", want.Audience}
		if tenant != "" {
			args = append(args, "--tenant", tenant)
		}
		out, err := secret.Exec(ctx, args, secret.ExecOptions{Env: environ, Timeout: time.Minute, Redactor: w.env.Redactor})
		if err != nil {
			if ctx.Err() != nil {
				return credential.Value{}, context.Cause(ctx)
			}
			if w.ambient {
				return credential.Value{}, absent(fmt.Sprintf("the login of az (%v)", err))
			}
			return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Log in with `az login`.", "the command az gave no token: %w", err)
		}
		var x struct {
			AccessToken string `json:"accessToken"`
			ExpiresOn   int64  `json:"expires_on"`
			ExpiresText string `json:"expiresOn"`
		}
		if json.Unmarshal([]byte(out.Reveal()), &x) != nil || x.AccessToken == "" {
			return credential.Value{}, fault.New(fault.Unauthenticated, "the command az printed no token")
		}
		t := token{text: x.AccessToken, expires: time.Unix(x.ExpiresOn, 0)}
		if x.ExpiresOn == 0 { // before version 2.54 only the local time
			if t.expires, err = time.ParseInLocation("2006-01-02 15:04:05.999999", x.ExpiresText, time.Local); err != nil {
				return credential.Value{}, fault.New(fault.Unauthenticated, "the command az does not say how long its token is valid")
			}
		}
		return bearer(t), nil
	})
}

// readFile reads a small file that the configuration or the environment names. Links are followed: mounted secrets are.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var b []byte
		if b, err = io.ReadAll(io.LimitReader(f, 256<<10)); err == nil {
			return string(b), nil
		}
	}
	return "", fault.Hinted(fault.Unauthenticated, "Check the path and that the user that dsrun runs as can read the file.", "%w", err)
}
