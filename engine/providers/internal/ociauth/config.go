package ociauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// chain is what the method "default" asks: the environment of Oracle's command line, then its configuration file.
func (w *world) chain() credential.Source {
	if w.o.ConfigFile != "" || w.o.Profile != "" { // somebody named the file: nothing else is meant
		return w.fileSource()
	}
	env := credential.From("environment OCI_CLI_USER", func(ctx context.Context, _ credential.Want) (credential.Value, error) {
		switch w.getenv("OCI_CLI_AUTH") {
		case methodInstance:
			return w.instance(ctx)
		case methodResource:
			return w.resource(ctx)
		case "oke_workload_identity":
			return w.workload(ctx)
		}
		p := profile{tenancy: w.getenv("OCI_CLI_TENANCY"), user: w.getenv("OCI_CLI_USER"), fingerprint: w.getenv("OCI_CLI_FINGERPRINT"), key: secret.New(w.learn(w.getenv("OCI_CLI_KEY_CONTENT"))),
			keyFile: w.getenv("OCI_CLI_KEY_FILE"), passphrase: secret.New(w.learn(w.getenv("OCI_CLI_PASSPHRASE"))), tokenFile: w.getenv("OCI_CLI_SECURITY_TOKEN_FILE")}
		switch {
		case p.key.IsZero() && p.keyFile == "":
			return credential.Value{}, absent("OCI_CLI_KEY_FILE and OCI_CLI_KEY_CONTENT")
		case p.tokenFile != "":
			return w.session(p)
		case p.tenancy == "" || p.user == "" || p.fingerprint == "":
			return credential.Value{}, absent("one of OCI_CLI_TENANCY, OCI_CLI_USER and OCI_CLI_FINGERPRINT")
		}
		return w.apiKey(p)
	})
	return credential.Chain(env, w.fileSource())
}

func absent(what string) error { return fmt.Errorf("%s: %w", what, credential.ErrAbsent) }

// configFile is the file and the profile, and whether somebody named them.
func (w *world) configFile() (path, name string, must bool) {
	path, name = w.o.ConfigFile, w.o.Profile
	if path == "" {
		path = firstOf(w.getenv("OCI_CONFIG_FILE"), w.getenv("OCI_CLI_CONFIG_FILE"))
	}
	if name == "" {
		name = firstOf(w.getenv("OCI_CONFIG_PROFILE"), w.getenv("OCI_CLI_PROFILE"))
	}
	must = path != "" || name != ""
	if path == "" {
		path = filepath.Join(w.home(), ".oci", "config")
	}
	return w.expand(path), firstOf(name, "DEFAULT"), must
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// fileSource is a profile of the configuration file, which is read anew for each value.
func (w *world) fileSource() credential.Source {
	path, name, _ := w.configFile()
	return credential.From(fmt.Sprintf("file %s [%s]", w.short(path), name), func(context.Context, credential.Want) (credential.Value, error) {
		p, err := w.profile()
		if err != nil {
			return credential.Value{}, err
		}
		if p.tokenFile != "" {
			return w.session(p)
		}
		for _, x := range [][2]string{{"tenancy", p.tenancy}, {"user", p.user}, {"fingerprint", p.fingerprint}, {"key_file", firstOf(p.keyFile, p.key.Reveal())}} {
			if x[1] == "" {
				return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Write it with `oci setup config`, or log in with `oci session authenticate`.", "the profile %q in %s has no %s", name, w.short(path), x[0])
			}
		}
		return w.apiKey(p)
	})
}

// profile reads the profile. Where nobody named a file or profile, a missing one is none.
func (w *world) profile() (profile, error) {
	path, name, must := w.configFile()
	text, err := readFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && !must {
			return profile{}, absent("file " + w.short(path))
		}
		return profile{}, err
	}
	all := sections(text)
	if all[name] == nil {
		if !must {
			return profile{}, absent("profile " + name)
		}
		return profile{}, fault.Hinted(fault.Unauthenticated, "Make it with `oci setup config`, or name another.", "there is no profile %q in %s", name, w.short(path))
	}
	get := func(key string) string { return firstOf(all[name][key], all["DEFAULT"][key]) } // as Python's configparser, which the format is
	p := profile{tenancy: get("tenancy"), user: get("user"), fingerprint: get("fingerprint"), region: get("region"), keyFile: get("key_file"),
		tokenFile: get("security_token_file"), passphrase: secret.New(w.learn(get("pass_phrase"))), key: secret.New(w.learn(get("key_content")))}
	if name != "DEFAULT" && all[name]["security_token_file"] == "" && all[name]["user"] != "" {
		p.tokenFile = "" // the session of another profile is not this user's
	}
	return p, nil
}

// sections reads an INI file: sections in brackets, "name = value" lines, comments from "#" or ";".
func sections(text string) map[string]map[string]string {
	all := map[string]map[string]string{}
	var cur map[string]string
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && line[len(line)-1] == ']':
			name := strings.TrimSpace(line[1 : len(line)-1])
			if cur = all[name]; cur == nil {
				cur = map[string]string{}
				all[name] = cur
			}
		case cur != nil:
			if k, v, ok := strings.Cut(line, "="); ok {
				cur[strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
			}
		}
	}
	return all
}

// ambientRegion is the region of the environment or of the profile.
func (w *world) ambientRegion(context.Context) string {
	if w.o.ConfigFile == "" && w.o.Profile == "" {
		if r := firstOf(w.getenv("OCI_CLI_REGION"), w.getenv("OCI_REGION")); r != "" {
			return r
		}
	}
	p, _ := w.profile()
	return p.region
}

// session is the value of a session's token and key.
func (w *world) session(p profile) (credential.Value, error) {
	text, err := readFile(w.expand(p.tokenFile))
	if err != nil {
		return credential.Value{}, err
	}
	token := w.learn(strings.TrimSpace(text))
	key, err := w.keyText(p)
	if err != nil {
		return credential.Value{}, err
	}
	return w.tokenValue(token, key, p.region)
}

// tokenValue is the value of a token (a JWT) and the key that it is bound to. It ends when the token does.
func (w *world) tokenValue(token string, key secret.String, region string) (credential.Value, error) {
	claims, err := claimsOf(token)
	if err != nil {
		return credential.Value{}, err
	}
	v := credential.Value{Expires: time.Unix(claims.Exp, 0), Fields: map[string]secret.String{FieldSecurityToken: secret.New(token), FieldPrivateKey: key,
		FieldTenancy: secret.New(firstOf(claims.Tenant, claims.ResTenant)), FieldRegion: secret.New(region)}}
	if !w.clock.Now().Before(v.Expires) {
		return v, fault.Hinted(fault.Unauthenticated, "Log in again with `oci session authenticate`, or renew with `oci session refresh`.", "the session ended at %s", v.Expires.UTC().Format(time.RFC3339))
	}
	return v, nil
}

type claims struct {
	Exp       int64  `json:"exp"`
	Tenant    string `json:"tenant"`
	ResTenant string `json:"res_tenant"`
}

// claimsOf reads the claims of a JWT, which the service signed for itself: they are not verified here.
func claimsOf(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		var b []byte
		if b, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "=")); err == nil {
			err = json.Unmarshal(b, &c)
		}
	}
	if len(parts) != 3 || err != nil || c.Exp == 0 {
		return c, fault.Hinted(fault.Unauthenticated, "Log in again with `oci session authenticate`.", "the token is not one of Oracle's: it says no end")
	}
	return c, nil
}
