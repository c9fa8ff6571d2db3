package gcpauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/secret"
)

const (
	adcName = "GOOGLE_APPLICATION_CREDENTIALS"
	adcHint = "Set GCS_KEY and GCS_SECRET to an HMAC key (Cloud Storage only), or set up application default credentials with `gcloud auth application-default login` " +
		"(https://cloud.google.com/docs/authentication/application-default-credentials), or declare a credential block; for what is public, one with `method = \"anonymous\"`."
)

// defaults is the method "default": a chain whose failure names what can be set.
type defaults struct{ credential.Source }

// chain asks in the order of Google's own libraries, after the HMAC key of the environment.
func (w *world) chain() credential.Source {
	adc := credential.From("environment "+adcName, func(ctx context.Context, want credential.Want) (credential.Value, error) {
		path := w.getenv(adcName)
		if path == "" {
			return credential.Value{}, absent(adcName)
		}
		return w.fromFile(ctx, path, true, want)
	})
	file := w.gcloudFile()
	gcloud := credential.From("file "+file, func(ctx context.Context, want credential.Want) (credential.Value, error) {
		if file == "" {
			return credential.Value{}, absent("gcloud's folder of settings")
		}
		return w.fromFile(ctx, file, false, want)
	})
	return defaults{credential.Chain(credential.From("environment GCS_KEY and GCS_SECRET", w.hmac), adc, gcloud, credential.From("metadata server", w.metadata))}
}

// Resolve implements credential.Source.
func (d defaults) Resolve(ctx context.Context, w credential.Want) (credential.Value, error) {
	v, err := d.Source.Resolve(ctx, w)
	if errors.Is(err, credential.ErrAbsent) {
		return v, fault.Hinted(fault.Unauthenticated, adcHint, "%w", bare(err))
	}
	return v, err
}

// bare is an error without the class that its text begins with.
func bare(err error) error {
	var own *fault.Error
	if errors.As(err, &own) && own.Err != nil {
		return own.Err
	}
	return err
}

// hmac is the HMAC key of the environment. It is no token, so services other than Cloud Storage go on to the next place.
func (w *world) hmac(_ context.Context, want credential.Want) (credential.Value, error) {
	id, sec := w.getenv("GCS_KEY"), w.getenv("GCS_SECRET")
	switch {
	case id == "" && sec == "":
		return credential.Value{}, absent("GCS_KEY and GCS_SECRET")
	case id == "" || sec == "":
		w.log.Warn("only one of GCS_KEY and GCS_SECRET is set: it is not used")
		return credential.Value{}, absent("one of GCS_KEY and GCS_SECRET")
	case want.Audience != "" && want.Audience != ScopeStorage:
		return credential.Value{}, absent("a token (GCS_KEY is for Cloud Storage only)")
	}
	return credential.Value{Fields: hmacFields(id, secret.New(sec))}, nil
}

// gcloudFile is where `gcloud auth application-default login` writes.
func (w *world) gcloudFile() string {
	const name = "application_default_credentials.json"
	if dir := w.getenv("CLOUDSDK_CONFIG"); dir != "" {
		return filepath.Join(dir, name)
	}
	if runtime.GOOS == "windows" {
		if dir := w.getenv("APPDATA"); dir != "" {
			return filepath.Join(dir, "gcloud", name)
		}
		return ""
	}
	if home := w.getenv("HOME"); home != "" {
		return filepath.Join(home, ".config", "gcloud", name)
	}
	return ""
}

// fromFile logs in with a credentials file, which is read anew each time. One that must be there is not passed over.
func (w *world) fromFile(ctx context.Context, path string, must bool, want credential.Want) (credential.Value, error) {
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return credential.Value{}, absent(path)
	}
	if err != nil {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, adcHint, "%w", err)
	}
	w.learn(text)
	var m struct {
		Type         string `json:"type"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		RefreshToken string `json:"refresh_token"`
		TokenURI     string `json:"token_uri"`
	}
	if json.Unmarshal([]byte(text), &m) != nil {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, adcHint, "%s: invalid credentials format: not a JSON object", path)
	}
	switch m.Type {
	case "service_account":
		k, err := w.parseKey(path, text)
		if err != nil {
			return credential.Value{}, err
		}
		return w.keyToken(ctx, k, want)
	case "authorized_user":
		if m.TokenURI == "" {
			m.TokenURI = "https://oauth2.googleapis.com/token"
		}
		if m.ClientID == "" || m.ClientSecret == "" || m.RefreshToken == "" || !tokenURL(m.TokenURI) {
			return credential.Value{}, fault.Hinted(fault.Unauthenticated, adcHint, "%s: invalid credentials format: client_id, client_secret or refresh_token is missing", path)
		}
		w.learn(m.ClientSecret)
		w.learn(m.RefreshToken)
		return w.exchange(ctx, "log in with "+path, m.TokenURI, url.Values{"grant_type": {"refresh_token"}, "client_id": {m.ClientID},
			"client_secret": {m.ClientSecret}, "refresh_token": {m.RefreshToken}})
	}
	return credential.Value{}, fault.Hinted(fault.Unimplemented, "Use a file of the type service_account or authorized_user, or declare a credential with the method impersonate.",
		"%s: credentials of the type %q are not supported", path, m.Type)
}

// metadata is the service account of the machine (Compute Engine, GKE, Cloud Run).
func (w *world) metadata(ctx context.Context, want credential.Want) (credential.Value, error) {
	body, err := w.askMetadata(ctx, "token?scopes="+url.QueryEscape(scope(want)))
	if err != nil {
		return credential.Value{}, err
	}
	return w.bearer("metadata server", body)
}

// askMetadata asks the metadata server about the machine's service account. That nothing answers means that there is
// none. Its client may reach the metadata address and gives up soon.
func (w *world) askMetadata(ctx context.Context, what string) ([]byte, error) {
	const address = "169.254.169.254"
	if strings.EqualFold(w.getenv("NO_GCE_CHECK"), "true") {
		return nil, absent("metadata server (NO_GCE_CHECK)")
	}
	host := w.getenv("GCE_METADATA_HOST")
	if host == "" {
		host = address
	}
	client := mustClient(httpclient.Options{Name: w.env.Name, StrictRedirects: true, ConnectTimeout: time.Second, StallTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second,
		AllowAddrs: []netip.Prefix{netip.MustParsePrefix(address + "/32")}})
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/computeMetadata/v1/instance/service-accounts/default/"+what, nil)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "GCE_METADATA_HOST is not the name of a host")
	}
	req.Header.Set("Metadata-Flavor", "Google")
	head, body, err := w.send(client, "metadata server", req)
	var dial *net.OpError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &dial) && dial.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		return nil, absent("metadata server")
	case fault.Is(err, fault.NotFound):
		return nil, absent("the machine's service account")
	default:
		return nil, err
	}
	if head.Get("Metadata-Flavor") != "Google" { // another cloud's, or a proxy
		return nil, absent("metadata server of Google")
	}
	return body, nil
}

func absent(what string) error { return fmt.Errorf("%s: %w", what, credential.ErrAbsent) }
