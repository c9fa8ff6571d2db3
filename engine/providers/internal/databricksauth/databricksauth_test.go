package databricksauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
	fake "github.com/dsrun/dsrun/internal/testbed/databricks"
)

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

const app, appSecret = "11111111-1111-1111-1111-111111111111", "dose/right+secret"

// workspace is the fake with the service principal app and the personal token "dapi-right"; it records the headers that
// requests for data had, and how often a token was asked for.
type workspace struct {
	*fake.Server
	URL string

	mu    sync.Mutex
	seen  []string
	asked int
}

func newWorkspace(t testing.TB) *workspace {
	w := &workspace{Server: fake.New()}
	w.Allow("dapi-right")
	w.Principal(app, appSecret)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		if r.URL.Path == "/oidc/v1/token" {
			w.asked++
		} else {
			w.seen = append(w.seen, r.Header.Get("Authorization"))
		}
		w.mu.Unlock()
		w.ServeHTTP(rw, r)
	}))
	t.Cleanup(s.Close)
	w.URL = s.URL
	return w
}

func (w *workspace) count() int { w.mu.Lock(); defer w.mu.Unlock(); return w.asked }

// take empties and returns the recorded headers.
func (w *workspace) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.seen
	w.seen = nil
	return s
}

// accepted sends a request with the credential's token, as a driver would.
func accepted(ctx context.Context, src credential.Source, host string, refresh bool) error {
	token, err := Token(ctx, src, host, refresh)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "GET", host+"/api/2.0/fs/directories/Volumes/main/default/vol", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return fmt.Errorf("the workspace answers %s", resp.Status)
	}
	return nil
}

// entra is Microsoft Entra and the metadata service of a machine of Azure. Their tokens are for one workspace.
func entra(t testing.TB, ws *workspace) (url string, count func() int) {
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		r.ParseForm()
		f := r.PostForm
		n++
		give := func(kind string) {
			token := fmt.Sprintf("eyJ-%s-%d", kind, n)
			ws.Allow(token)
			fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":"3600","access_token":%q}`, token) // the metadata service gives texts
		}
		switch {
		case r.Method == "POST" && r.URL.Path == "/tenant-1/oauth2/v2.0/token" && f.Get("grant_type") == "client_credentials" && f.Get("client_id") == "app-1" &&
			f.Get("client_secret") == "entra/+secret" && f.Get("scope") == "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default":
			give("entra")
		case r.Method == "GET" && r.URL.Path == "/metadata/identity/oauth2/token" && r.Header.Get("Metadata") == "true" && f.Get("grant_type") == "" &&
			r.URL.Query().Get("resource") == "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d" && r.URL.Query().Get("api-version") != "" && (r.URL.Query().Get("client_id") == "" || r.URL.Query().Get("client_id") == "app-2"):
			give("machine" + r.URL.Query().Get("client_id"))
		default:
			w.WriteHeader(401)
			io.WriteString(w, `{"error":"invalid_client","error_description":"AADSTS7000215: `+f.Get("client_secret")+`"}`)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// testEnv has the given environment, a home folder of its own and a clock that stands.
type testEnv struct {
	provider.Env
	clock *clock.Fake
	home  string
	entra string
}

func newEnv(t testing.TB, vars map[string]string) *testEnv {
	t.Helper()
	c, err := httpclient.New(httpclient.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	e := &testEnv{clock: clock.NewFake(begin), home: t.TempDir(), entra: "http://127.0.0.1:1"}
	e.Env = provider.Env{Name: "main", HTTP: c, Clock: e.clock, Redactor: secret.NewRedactor(), Log: slog.New(slog.DiscardHandler),
		Getenv: func(n string) string {
			if v, ok := vars[n]; ok || n != "HOME" {
				return v
			}
			return e.home
		},
		CredentialOf: func(schema.Ref) (credential.Source, error) { return nil, errors.New("no other block") }}
	return e
}

func (e *testEnv) file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(e.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens a block whose world has the addresses of the test.
func (e *testEnv) open(t testing.TB, o Options) credential.Source {
	t.Helper()
	w := &world{env: e.Env, o: o, clock: e.clock, http: e.HTTP, entra: e.entra, metadata: e.entra}
	s, err := w.open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDeclarations(t *testing.T) { providertest.Check(t, Provider()) }

// TestCanary opens every method with marked secrets, and logs in at a service that repeats what it was told.
func TestCanary(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, pass, _ := r.BasicAuth()
		said, _ := json.Marshal(string(b) + r.Header.Get("Authorization") + pass)
		w.WriteHeader(401)
		fmt.Fprintf(w, `{"error":%s,"error_description":%s}`, said, said)
	}))
	t.Cleanup(echo.Close)
	e := newEnv(t, nil)
	e.CredentialOf = func(schema.Ref) (credential.Source, error) {
		return credential.Static("azure", map[string]secret.String{FieldToken: secret.New(providertest.CanaryText)}, nil), nil
	}
	file := e.file(t, "cfg", fmt.Sprintf("[TEAM]\nhost = %s\nclient_id = x\nclient_secret = %s\n", echo.URL, providertest.CanaryText))
	e.file(t, ".databrickscfg", fmt.Sprintf("[DEFAULT]\nclient_id = x\nclient_secret = %s\n", providertest.CanaryText))
	values := map[string]string{"host": fmt.Sprintf("%q", echo.URL), "config_file": fmt.Sprintf("%q", file), "credential": "null"}
	providertest.Canary(t, Provider(), e.Env, values, func(ctx context.Context, opened any) error {
		s := opened.(credential.Source)
		_, err := Token(ctx, s, echo.URL, false)
		return errors.Join(err, fmt.Errorf("%+v", s.Explain(ctx)), fmt.Errorf("%s", Host(ctx, s)))
	})
}

// Each way to log in sends the header that the workspace wants.
func TestMethods(t *testing.T) {
	ws := newWorkspace(t)
	url, _ := entra(t, ws)
	cfg := strings.NewReplacer("HOST", ws.URL).Replace("\ufeff# made by hand\n; and edited\n[DEFAULT]\nhost = HOST\ntoken = dapi-right\n\n[ M2M ]\nhost=HOST/?o=123\nclient_id = " + app + "\nClient_Secret = " + appSecret +
		"\n[ENTRA]\nhost = HOST\nazure_client_id = app-1\nazure_client_secret = entra/+secret\nazure_tenant_id = tenant-1\n[MACHINE]\nhost = HOST\nazure_use_msi = true\nazure_client_id = app-2\n")
	azure := func(o azureauth.Options) func(t *testing.T, e *testEnv) {
		return func(t *testing.T, e *testEnv) {
			e.CredentialOf = func(r schema.Ref) (credential.Source, error) {
				if r.Name != "entra" {
					return nil, fmt.Errorf("no %v", r)
				}
				return azureauth.Provider().OpenCredential(t.Context(), e.Env, &o)
			}
		}
	}
	for name, x := range map[string]struct {
		o      Options
		vars   map[string]string
		before func(t *testing.T, e *testEnv)
		header string
		host   string // that goes with the credential
	}{
		"token":                       {o: Options{Method: methodToken, Token: secret.New("dapi-right")}, header: "Bearer dapi-right"},
		"token for a host":            {o: Options{Method: methodToken, Token: secret.New("dapi-right"), Host: ws.URL}, header: "Bearer dapi-right", host: ws.URL},
		"oauth_m2m":                   {o: Options{Method: methodM2M, ClientID: app, ClientSecret: secret.New(appSecret), Host: ws.URL}, header: "Bearer oidc-", host: ws.URL},
		"oauth_m2m, store's host":     {o: Options{Method: methodM2M, ClientID: app, ClientSecret: secret.New(appSecret)}, header: "Bearer oidc-"},
		"azure":                       {o: Options{Method: methodAzure, Credential: schema.Ref{Kind: "credential", Type: "azure", Name: "entra"}}, header: "Bearer eyJ-entra-", before: azure(azureauth.Options{Method: "service_principal", TenantID: "tenant-1", ClientID: "app-1", ClientSecret: secret.New("entra/+secret"), AuthorityURL: url})},
		"profile":                     {o: Options{Method: methodProfile, Profile: "DEFAULT"}, header: "Bearer dapi-right", host: ws.URL},
		"profile of m2m":              {o: Options{Method: methodProfile, Profile: "M2M"}, header: "Bearer oidc-", host: ws.URL + "/?o=123"},
		"profile of entra":            {o: Options{Method: methodProfile, Profile: "ENTRA"}, header: "Bearer eyJ-entra-", host: ws.URL},
		"profile of a machine":        {o: Options{Method: methodProfile, Profile: "MACHINE"}, header: "Bearer eyJ-machineapp-2-", host: ws.URL},
		"default, DATABRICKS_TOKEN":   {vars: map[string]string{"DATABRICKS_HOST": ws.URL, "DATABRICKS_TOKEN": "dapi-right"}, header: "Bearer dapi-right", host: ws.URL},
		"default, token alone":        {vars: map[string]string{"DATABRICKS_TOKEN": "dapi-right"}, header: "Bearer dapi-right"},
		"default, DATABRICKS_CLIENT":  {vars: map[string]string{"DATABRICKS_HOST": ws.URL, "DATABRICKS_CLIENT_ID": app, "DATABRICKS_CLIENT_SECRET": appSecret}, header: "Bearer oidc-", host: ws.URL},
		"default, ARM_CLIENT":         {vars: map[string]string{"DATABRICKS_HOST": ws.URL, "ARM_CLIENT_ID": "app-1", "ARM_CLIENT_SECRET": "entra/+secret", "ARM_TENANT_ID": "tenant-1"}, header: "Bearer eyJ-entra-", host: ws.URL},
		"default, ARM_USE_MSI":        {vars: map[string]string{"ARM_USE_MSI": "true"}, header: "Bearer eyJ-machine-"},
		"default, file":               {header: "Bearer dapi-right", host: ws.URL},
		"default, file of that host":  {vars: map[string]string{"DATABRICKS_HOST": ws.URL}, header: "Bearer dapi-right", host: ws.URL},
		"default, CONFIG_PROFILE":     {vars: map[string]string{"DATABRICKS_CONFIG_PROFILE": "ENTRA"}, header: "Bearer eyJ-entra-", host: ws.URL},
		"default, AUTH_TYPE":          {vars: map[string]string{"DATABRICKS_HOST": ws.URL, "DATABRICKS_TOKEN": "dapi-other", "DATABRICKS_CLIENT_ID": app, "DATABRICKS_CLIENT_SECRET": appSecret, "DATABRICKS_AUTH_TYPE": "oauth-m2m"}, header: "Bearer oidc-", host: ws.URL},
		"default, the token is first": {vars: map[string]string{"DATABRICKS_TOKEN": "dapi-right", "DATABRICKS_CLIENT_ID": app, "DATABRICKS_CLIENT_SECRET": "wrong", "ARM_USE_MSI": "true"}, header: "Bearer dapi-right"},
		"default, then OAuth":         {vars: map[string]string{"DATABRICKS_HOST": ws.URL, "DATABRICKS_CLIENT_ID": app, "DATABRICKS_CLIENT_SECRET": appSecret, "ARM_USE_MSI": "true"}, header: "Bearer oidc-", host: ws.URL},
		"default, then the machine":   {vars: map[string]string{"ARM_USE_MSI": "1", "ARM_CLIENT_ID": "app-2", "ARM_CLIENT_SECRET": "x", "ARM_TENANT_ID": "x"}, header: "Bearer eyJ-machineapp-2-"},
	} {
		e := newEnv(t, x.vars)
		e.entra = url
		e.file(t, ".databrickscfg", cfg)
		if x.before != nil {
			x.before(t, e)
		}
		src := e.open(t, x.o)
		ws.take()
		if err := accepted(t.Context(), src, ws.URL, false); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := ws.take(); len(got) != 1 || !strings.HasPrefix(got[0], x.header) {
			t.Errorf("%s: sent %q, want %s", name, got, x.header)
		}
		if got := Host(t.Context(), src); got != x.host {
			t.Errorf("%s: the host is %q, want %q", name, got, x.host)
		}
		used := 0
		for _, step := range src.Explain(t.Context()) {
			if step.Used {
				used++
			}
		}
		if steps := fmt.Sprint(src.Explain(t.Context())); used == 0 || strings.Contains(steps, appSecret) || strings.Contains(steps, "+secret") || strings.Contains(steps, "dapi") {
			t.Errorf("%s: explained as %s", name, steps)
		}
	}
	e := newEnv(t, map[string]string{"DATABRICKS_CONFIG_FILE": "", "DATABRICKS_HOST": ""})
	e.file(t, ".databrickscfg", "[DEFAULT]\nhost = https://other.example\ntoken = dapi-other\n")
	other := e.file(t, "other", cfg)
	if err := accepted(t.Context(), e.open(t, Options{Method: methodProfile, Profile: "DEFAULT", ConfigFile: other}), ws.URL, false); err != nil {
		t.Errorf("config_file: %v", err)
	}
	e.Getenv = func(n string) string {
		return map[string]string{"DATABRICKS_CONFIG_FILE": "~/other", "HOME": e.home}[n]
	}
	if err := accepted(t.Context(), e.open(t, Options{}), ws.URL, false); err != nil {
		t.Errorf("DATABRICKS_CONFIG_FILE: %v", err)
	}
}

// Tokens are kept for four fifths of their life, and got anew when they were refused before.
func TestRefresh(t *testing.T) {
	ws := newWorkspace(t)
	url, entras := entra(t, ws)
	for name, x := range map[string]struct {
		o     Options
		count func() int
	}{
		"oauth_m2m": {Options{Method: methodM2M, ClientID: app, ClientSecret: secret.New(appSecret), Host: ws.URL}, ws.count},
		"azure":     {Options{Method: methodAzure, Credential: schema.Ref{Kind: "credential", Type: "azure", Name: "x"}}, entras},
		"profile":   {Options{Method: methodProfile, Profile: "P"}, entras},
		"default":   {Options{}, ws.count},
	} {
		e := newEnv(t, map[string]string{"DATABRICKS_HOST": ws.URL, "DATABRICKS_CLIENT_ID": app, "DATABRICKS_CLIENT_SECRET": appSecret})
		e.entra = url
		e.file(t, ".databrickscfg", "[P]\nazure_client_id = app-1\nazure_client_secret = entra/+secret\nazure_tenant_id = tenant-1\n")
		base, err := azureauth.Provider().OpenCredential(t.Context(), e.Env, &azureauth.Options{Method: "service_principal", TenantID: "tenant-1", ClientID: "app-1", ClientSecret: secret.New("entra/+secret"), AuthorityURL: url})
		if err != nil {
			t.Fatal(err)
		}
		e.CredentialOf = func(schema.Ref) (credential.Source, error) { return base, nil }
		src := e.open(t, x.o)
		begun := x.count()
		want := func(asked int, when string) {
			t.Helper()
			if err := accepted(t.Context(), src, ws.URL, false); err != nil || x.count()-begun != asked {
				t.Errorf("%s, %s: %d tokens were asked for, want %d (%v)", name, when, x.count()-begun, asked, err)
			}
		}
		want(1, "at first")
		want(1, "again")
		e.clock.Advance(47*time.Minute + 59*time.Second)
		want(1, "before 80 % of an hour")
		e.clock.Advance(time.Second)
		want(2, "at 80 % of an hour")
		headers := ws.take()
		ws.Revoke(strings.TrimPrefix(headers[len(headers)-1], "Bearer "))
		if err := accepted(t.Context(), src, ws.URL, false); err == nil {
			t.Errorf("%s: a token that is revoked is accepted", name)
		}
		if err := accepted(t.Context(), src, ws.URL, true); err != nil || x.count()-begun != 3 {
			t.Errorf("%s: after the refusal: %d tokens, %v", name, x.count()-begun, err)
		}
		want(3, "after the refusal")
	}
}

// What is declared and wrong is an error; nothing ambient stands in for it.
func TestNoFallBack(t *testing.T) {
	ws := newWorkspace(t)
	url, _ := entra(t, ws)
	vars := map[string]string{"DATABRICKS_HOST": ws.URL, "DATABRICKS_TOKEN": "dapi-right", "DATABRICKS_CLIENT_ID": app, "DATABRICKS_CLIENT_SECRET": appSecret,
		"ARM_CLIENT_ID": "app-1", "ARM_CLIENT_SECRET": "entra/+secret", "ARM_TENANT_ID": "tenant-1", "ARM_USE_MSI": "true"}
	azure := schema.Ref{Kind: "credential", Type: "azure", Name: "x"}
	for name, x := range map[string]struct {
		o    Options
		code fault.Code
		says string
	}{
		"a wrong token":        {Options{Method: methodToken, Token: secret.New("dapi-wrong")}, "", "401"},
		"another host's token": {Options{Method: methodToken, Token: secret.New("dapi-right"), Host: "https://other.example"}, fault.InvalidArgument, "other.example"},
		"no token":             {Options{Method: methodToken, Token: secret.New("a\r\nb")}, fault.Unauthenticated, "no token"},
		"a wrong secret":       {Options{Method: methodM2M, ClientID: app, ClientSecret: secret.New("wrong"), Host: ws.URL}, fault.Unauthenticated, "invalid_client"},
		"a wrong application":  {Options{Method: methodM2M, ClientID: "nobody", ClientSecret: secret.New(appSecret)}, fault.Unauthenticated, "invalid_client"},
		"another profile":      {Options{Method: methodProfile, Profile: "NONE"}, fault.Unauthenticated, "NONE"},
		"half a profile":       {Options{Method: methodProfile, Profile: "HALF"}, fault.Unauthenticated, "HALF"},
		"a profile's login":    {Options{Method: methodProfile, Profile: "CLI"}, fault.Unauthenticated, "databricks-cli"},
		"a profile's mistake":  {Options{Method: methodProfile, Profile: "ODD"}, fault.Unauthenticated, "not known"},
		"a profile's type":     {Options{Method: methodProfile, Profile: "TYPE"}, fault.Unauthenticated, "client_id"},
		"another workspace's":  {Options{Method: methodProfile, Profile: "OTHER"}, fault.InvalidArgument, "other.example"},
		"a profile for a host": {Options{Method: methodProfile, Profile: "OTHER", Host: ws.URL}, fault.InvalidArgument, "other.example"},
		"no file":              {Options{Method: methodProfile, Profile: "DEFAULT", ConfigFile: "/none"}, fault.Unauthenticated, "/none"},
		"no token of Azure":    {Options{Method: methodAzure, Credential: azure}, fault.Unauthenticated, "no token"},
		"default, other host":  {Options{Method: methodDefault, Host: "https://other.example"}, fault.InvalidArgument, "other.example"},
	} {
		e := newEnv(t, vars)
		e.entra = url
		e.file(t, ".databrickscfg", "[DEFAULT]\nhost = "+ws.URL+"\ntoken = dapi-right\n[HALF]\nhost = "+ws.URL+"\nclient_id = "+app+"\n[CLI]\nauth_type = databricks-cli\n[ODD]\nauth_type = pta\ntoken=x\n[TYPE]\nauth_type = oauth-m2m\ntoken = dapi-right\n[OTHER]\nhost = https://other.example\ntoken = dapi-right\n")
		e.CredentialOf = func(schema.Ref) (credential.Source, error) {
			return credential.Static("azure", map[string]secret.String{"account_key": secret.New("a2V5")}, nil), nil
		}
		ws.take()
		err := accepted(t.Context(), e.open(t, x.o), ws.URL, false)
		if err == nil || x.code != "" && !fault.Is(err, x.code) || !strings.Contains(fmt.Sprint(err), x.says) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if x.code != "" && fault.ClassOf(err).Hint == "" && name != "no token" {
			t.Errorf("%s: no hint with %v", name, err)
		}
		for _, h := range ws.take() {
			if h == "Bearer dapi-right" {
				t.Errorf("%s: the ambient token was sent", name)
			}
		}
	}
	e := newEnv(t, vars)
	if _, err := open(t.Context(), e.Env, &Options{Method: methodAzure, Credential: schema.Ref{Kind: "credential", Type: "aws", Name: "x"}}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a credential of another cloud: %v", err)
	}
}

// What the method default finds wrong ends the search; where it finds nothing, it says where it looked.
func TestAmbient(t *testing.T) {
	ws := newWorkspace(t)
	for name, x := range map[string]struct {
		vars map[string]string
		cfg  string
		says []string
		none bool
	}{
		"nothing":             {says: []string{"DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "ARM_CLIENT_ID", ".databrickscfg"}, none: true},
		"another workspace's": {vars: map[string]string{"DATABRICKS_HOST": ws.URL}, cfg: "[DEFAULT]\nhost = https://other.example\ntoken = dapi-other\n", says: []string{"DATABRICKS_TOKEN"}, none: true},
		"two workspaces":      {vars: map[string]string{"DATABRICKS_HOST": ws.URL, "DATABRICKS_CONFIG_PROFILE": "P"}, cfg: "[P]\nhost = https://other.example\ntoken = dapi-other\n", says: []string{"different workspaces", `"P"`}},
		"no such profile":     {vars: map[string]string{"DATABRICKS_CONFIG_PROFILE": "P"}, cfg: "[Q]\n", says: []string{`no profile "P"`}},
		"a browser's login":   {cfg: "[DEFAULT]\nhost = " + ws.URL + "\nauth_type = databricks-cli\n", says: []string{"databricks-cli", "not supported"}},
		"a type without it":   {vars: map[string]string{"DATABRICKS_AUTH_TYPE": "pat"}, says: []string{"token", "not set"}},
		"no machine":          {vars: map[string]string{"ARM_USE_MSI": "true"}, says: []string{"metadata service"}},
		"no workspace known":  {vars: map[string]string{"DATABRICKS_CLIENT_ID": app, "DATABRICKS_CLIENT_SECRET": "s", "DATABRICKS_HOST": "https://a b"}, says: []string{"not known"}},
	} {
		e := newEnv(t, x.vars)
		if x.cfg != "" {
			e.file(t, ".databrickscfg", x.cfg)
		}
		src := e.open(t, Options{})
		_, err := src.Resolve(t.Context(), credential.Want{Audience: ws.URL})
		if err == nil || errors.Is(err, credential.ErrAbsent) != x.none {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range x.says {
			if !strings.Contains(fmt.Sprint(err), s) {
				t.Errorf("%s: no %q in %v", name, s, err)
			}
		}
		for _, step := range src.Explain(t.Context()) {
			if x.none && step.Used {
				t.Errorf("%s: %v is used", name, step)
			}
		}
	}
}

// A service that gives no token is told apart from one that refuses to.
func TestRefusals(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed with %v", r.Header)
	}))
	defer stranger.Close()
	e := newEnv(t, nil)
	for name, x := range map[string]struct {
		status int
		body   string
		code   fault.Code
	}{
		"refused":       {401, `{"error":"invalid_client","error_description":"dose/right+secret"}`, fault.Unauthenticated},
		"odd":           {400, `{"error":"dose/right+secret"}`, fault.Unauthenticated},
		"a redirect":    {307, "", fault.Unauthenticated},
		"busy":          {503, "", fault.Unavailable},
		"throttled":     {429, "", fault.Unavailable},
		"a web page":    {200, "<html>", fault.Unavailable},
		"nothing":       {200, "", fault.Unavailable},
		"no token":      {200, `{"expires_in":3600,"token_type":"Bearer"}`, fault.Unavailable},
		"another token": {200, `{"access_token":"x","expires_in":3600,"token_type":"mac"}`, fault.Unavailable},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", stranger.URL+r.URL.Path)
			w.WriteHeader(x.status)
			io.WriteString(w, x.body)
		}))
		_, err := Token(t.Context(), e.open(t, Options{Method: methodM2M, ClientID: app, ClientSecret: secret.New(appSecret), Host: s.URL}), s.URL, false)
		s.Close()
		if !fault.Is(err, x.code) || strings.Contains(err.Error(), "dose") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		cancel(errors.New("enough"))
		<-r.Context().Done()
	}))
	defer hang.Close()
	if _, err := Token(ctx, e.open(t, Options{Method: methodM2M, ClientID: app, ClientSecret: secret.New(appSecret)}), hang.URL, false); fmt.Sprint(err) != "enough" {
		t.Errorf("cancelled: %v", err)
	}
}

func TestHosts(t *testing.T) {
	for in, want := range map[string]string{
		"dbc-1.cloud.databricks.com": "https://dbc-1.cloud.databricks.com", "https://adb-1.2.azuredatabricks.net/": "https://adb-1.2.azuredatabricks.net", " https://x.gcp.databricks.com/?o=12 ": "https://x.gcp.databricks.com",
		"http://127.0.0.1:80": "http://127.0.0.1:80", "": "", "https://": "", "https://u:p@x": "", "https://x/path": "", "ftp://x": "", "https://x#y": "", "a b": "", "https://x\n": "https://x",
	} {
		u, err := BaseURL(in)
		if want == "" && err == nil || want != "" && (err != nil || u.String() != want) {
			t.Errorf("%q: %v, %v", in, u, err)
		}
		if (CheckHost(in) == nil) != (want != "") {
			t.Errorf("CheckHost of %q: %v", in, CheckHost(in))
		}
	}
	if !sameHost("X.example", "https://x.example/") || sameHost("http://x", "https://x") || sameHost("", "") {
		t.Error("hosts are compared wrongly")
	}
}
