package databricksauth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// settings are what the environment and a profile say, by the names of the configuration file.
type settings map[string]string

// variables are the names of the environment for settings.
var variables = map[string]string{
	"host": "DATABRICKS_HOST", "token": "DATABRICKS_TOKEN", "client_id": "DATABRICKS_CLIENT_ID", "client_secret": "DATABRICKS_CLIENT_SECRET",
	"auth_type": "DATABRICKS_AUTH_TYPE", "azure_client_id": "ARM_CLIENT_ID", "azure_client_secret": "ARM_CLIENT_SECRET",
	"azure_tenant_id": "ARM_TENANT_ID", "azure_use_msi": "ARM_USE_MSI",
}

// way is one way to log in.
type way struct {
	name  string // as auth_type has it
	needs []string
	get   func(w *world, ctx context.Context, p settings, host string) (credential.Value, error)
}

// ways are in the order of Databricks's unified authentication.
var ways = []way{
	{"pat", []string{"token"}, func(w *world, _ context.Context, p settings, _ string) (credential.Value, error) {
		return value(p, p["token"]), nil
	}},
	{"oauth-m2m", []string{"client_id", "client_secret"}, (*world).m2mWay},
	{"azure-msi", []string{"azure_use_msi"}, (*world).machine},
	{"azure-client-secret", []string{"azure_client_id", "azure_client_secret", "azure_tenant_id"}, (*world).principal},
}

// others are ways that unified authentication has and that are not taken.
var others = map[string]bool{"databricks-cli": true, "external-browser": true, "azure-cli": true, "basic": true, "google-credentials": true, "google-id": true,
	"github-oidc": true, "env-oidc": true, "file-oidc": true, "metadata-service": true, "runtime": true, "azure-devops-oidc": true, "github-oidc-azure": true}

func value(p settings, token string) credential.Value {
	return credential.Value{Fields: map[string]secret.String{FieldToken: secret.New(token), FieldHost: secret.New(p["host"])}}
}

// choose returns the way that settings lead to, or nil.
func choose(p settings) (*way, error) {
	want := p["auth_type"]
	for i, x := range ways {
		if want != "" && want != x.name {
			continue
		}
		missing := ""
		for _, n := range x.needs {
			if v := p[n]; missing == "" && (v == "" || n == "azure_use_msi" && !truth(v)) {
				missing = n
			}
		}
		if missing == "" {
			return &ways[i], nil
		}
		if want != "" {
			return nil, fault.Hinted(fault.Unauthenticated, "Set it, or another auth_type.", "auth_type %q needs %s, which is not set", want, missing)
		}
	}
	if want != "" {
		what := "is not known"
		if others[want] {
			what = "is not supported: it needs a browser, another program or a platform's own token"
		}
		return nil, fault.Hinted(fault.Unauthenticated, "Use a token, a service principal (client_id and client_secret), or a credential of Azure.", "auth_type %q %s", want, what)
	}
	return nil, nil
}

func truth(s string) bool {
	return s == "1" || strings.EqualFold(s, "true") || strings.EqualFold(s, "t")
}

// ambient reads the environment and, where that does not say how to log in or names a profile, the configuration file.
func (w *world) ambient() (settings, error) {
	p := settings{}
	for name, v := range variables {
		p[name] = w.getenv(v)
	}
	for _, n := range []string{"token", "client_secret", "azure_client_secret"} {
		w.env.Redactor.Add(p[n])
	}
	profile := w.getenv("DATABRICKS_CONFIG_PROFILE")
	if x, err := choose(p); profile == "" && (err != nil || x != nil) {
		return p, err
	}
	file, err := w.profile(w.getenv("DATABRICKS_CONFIG_FILE"), profile, profile != "")
	if err != nil {
		return nil, err
	}
	if p["host"] != "" && file["host"] != "" && !sameHost(p["host"], file["host"]) {
		if profile == "" {
			return p, nil // the token of another workspace
		}
		return nil, fault.Hinted(fault.InvalidArgument, "Unset one of them.", "DATABRICKS_HOST and the profile %q name different workspaces", profile)
	}
	for n, v := range file {
		if p[n] == "" {
			p[n] = v
		}
	}
	return p, nil
}

// profile reads a profile of the configuration file. Without must, what is not there is empty.
func (w *world) profile(path, name string, must bool) (settings, error) {
	path = w.configFile(path)
	if name == "" {
		name = "DEFAULT"
	}
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return settings{}, nil
	}
	if err != nil {
		return nil, fault.Hinted(fault.Unauthenticated, "Make the file with `databricks configure`, or correct its path.", "%w", err)
	}
	p, found := parse(text, name)
	if !found && must {
		return nil, fault.Hinted(fault.Unauthenticated, "Name one of the profiles of that file.", "the file %s has no profile %q", path, name)
	}
	for _, n := range []string{"token", "client_secret", "azure_client_secret", "password"} {
		w.env.Redactor.Add(p[n])
	}
	return p, nil
}

// parse reads one section of an INI file, as Databricks's tools do: "name = value" lines, "#" and ";" comments.
func parse(text, section string) (p settings, found bool) {
	p = settings{}
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' && line[len(line)-1] == ']' {
			in = strings.TrimSpace(line[1:len(line)-1]) == section
			found = found || in
			continue
		}
		if k, v, ok := strings.Cut(line, "="); in && ok {
			p[strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
		}
	}
	return p, found
}

// unified logs in as settings say. They are read anew for each value.
type unified struct {
	w       *world
	step    string
	read    func() (settings, error)
	ambient bool
}

func (u *unified) Resolve(ctx context.Context, want credential.Want) (credential.Value, error) {
	p, err := u.read()
	if err != nil {
		return credential.Value{}, err
	}
	if h := u.w.o.Host; h != "" {
		if p["host"] != "" && !sameHost(p["host"], h) {
			return credential.Value{}, fault.Hinted(fault.InvalidArgument, "Correct `host`.", "the credential is declared for the workspace %s, what was found is for %s", h, p["host"])
		}
		p["host"] = h
	}
	x, err := choose(p)
	if err != nil {
		return credential.Value{}, err
	}
	if x == nil {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Set DATABRICKS_TOKEN or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, run `databricks configure`, or declare a `credential \"databricks\"`.",
			"no credential for Databricks found (asked: %s): %w", strings.Join(u.places(), ", "), credential.ErrAbsent)
	}
	host := p["host"]
	if host == "" {
		host = want.Audience
	}
	return x.get(u.w, ctx, p, host)
}

func (u *unified) places() []string {
	if !u.ambient {
		return []string{u.step}
	}
	return []string{"environment DATABRICKS_TOKEN", "environment DATABRICKS_CLIENT_ID", "environment ARM_USE_MSI", "environment ARM_CLIENT_ID",
		fmt.Sprintf("file %s", u.w.configFile(u.w.getenv("DATABRICKS_CONFIG_FILE")))}
}

// Explain implements credential.Source.
func (u *unified) Explain(context.Context) []credential.Step {
	var out []credential.Step
	p, err := u.read()
	var x *way
	if err == nil {
		x, err = choose(p)
	}
	used := u.places()[len(u.places())-1]
	if x != nil && u.ambient && u.w.getenv(variables[x.needs[0]]) != "" {
		used = "environment " + variables[x.needs[0]]
	}
	for _, place := range u.places() {
		s := credential.Step{Source: place, Used: x != nil && place == used}
		if s.Used {
			s.Detail = x.name
		}
		if err != nil && place == u.places()[len(u.places())-1] {
			s.Detail = err.Error()
		}
		out = append(out, s)
	}
	return out
}
