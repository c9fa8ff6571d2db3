package azureauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// principal is an application of Entra and what proves it: a secret, a certificate or the token of a file.
type principal struct {
	tenant, client  string
	secret          secret.String
	certificateFile string
	tokenFile       string
}

// principalOf reads what the block says of a service principal, and names what is missing.
func principalOf(env provider.Env, o *Options) (principal, error) {
	p := principal{tenant: o.TenantID, client: o.ClientID, secret: o.ClientSecret, certificateFile: o.CertificateFile}
	text, where := o.JSON.Reveal(), "json"
	if o.JSONFile != "" {
		b, err := readFile(o.JSONFile)
		if err != nil {
			return p, err
		}
		text, where = b, o.JSONFile
	}
	if text != "" {
		env.Redactor.Add(text)
		var x struct{ AppID, DisplayName, Password, Tenant string }
		if json.Unmarshal([]byte(text), &x) != nil { // the error could quote the text
			return p, fault.Hinted(fault.InvalidArgument, "Give what `az ad sp create-for-rbac` prints.", "%s is not JSON with appId, displayName, password and tenant as texts", where)
		}
		env.Redactor.Add(x.Password)
		var missing []string
		for _, f := range [][2]string{{"appId", x.AppID}, {"displayName", x.DisplayName}, {"password", x.Password}, {"tenant", x.Tenant}} {
			if f[1] == "" {
				missing = append(missing, f[0])
			}
		}
		if missing != nil {
			return p, fault.Hinted(fault.InvalidArgument, "Give what `az ad sp create-for-rbac` prints.", "%s lacks %s", where, strings.Join(missing, ", "))
		}
		if o.TenantID != "" && o.TenantID != x.Tenant || o.ClientID != "" && o.ClientID != x.AppID {
			return p, fault.New(fault.InvalidArgument, "tenant_id and client_id differ from the tenant and appId of %s: leave them out", where)
		}
		p.tenant, p.client, p.secret = x.Tenant, x.AppID, secret.New(x.Password)
	}
	var missing []string
	if p.tenant == "" {
		missing = append(missing, "tenant_id")
	}
	if p.client == "" {
		missing = append(missing, "client_id")
	}
	if missing != nil {
		return p, fault.New(fault.InvalidArgument, "the service principal lacks %s", strings.Join(missing, " and "))
	}
	if err := checkTenant(p.tenant); err != nil {
		return p, fault.New(fault.InvalidArgument, "the tenant %q is not the id or the domain of a tenant", p.tenant)
	}
	env.Redactor.AddString(p.secret)
	return p, nil
}

// principal returns the source of a service principal's tokens: the client credentials grant of
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
func (w *world) principal(name string, p principal) credential.Source {
	return credential.From(name, func(ctx context.Context, want credential.Want) (credential.Value, error) {
		if want.Audience == "" {
			return credential.Value{}, fault.New(fault.InvalidArgument, "a service principal gives tokens for an audience, and none was named")
		}
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {p.client}, "scope": {want.Audience}}
		address := strings.TrimSuffix(w.authority, "/") + "/" + url.PathEscape(p.tenant) + "/oauth2/v2.0/token"
		switch assertion := ""; {
		case p.certificateFile != "" || p.tokenFile != "":
			var err error
			if p.tokenFile != "" {
				if assertion, err = readFile(p.tokenFile); err == nil {
					assertion = strings.TrimSpace(assertion)
				}
			} else {
				assertion, err = w.assertion(p, address)
			}
			if err != nil {
				return credential.Value{}, err
			}
			if assertion == "" {
				return credential.Value{}, fault.New(fault.Unauthenticated, "%s is empty", p.tokenFile)
			}
			w.env.Redactor.Add(assertion)
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", assertion)
		default:
			form.Set("client_secret", p.secret.Reveal())
		}
		req, err := http.NewRequestWithContext(ctx, "POST", address, strings.NewReader(form.Encode()))
		if err != nil {
			return credential.Value{}, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		t, err := w.ask(w.http, req)
		if err != nil {
			return credential.Value{}, err
		}
		return bearer(t), nil
	})
}

type token struct {
	text    string
	expires time.Time
}

// number is a number that some of the services write as a text.
type number string

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error { *n = number(strings.Trim(string(b), `"`)); return nil }

// tokenReply is the reply of every service of tokens.
type tokenReply struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   number `json:"expires_in"`
	ExpiresOn   number `json:"expires_on"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// ask sends a request for a token and reads the reply. Redirects are not followed: the request holds a secret.
func (w *world) ask(client *http.Client, req *http.Request) (token, error) {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req.Header.Set("Accept", "application/json")
	resp, err := own.Do(req)
	if err != nil {
		return token{}, netError(req.Context(), req.URL.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return token{}, netError(req.Context(), req.URL.Host, err)
	}
	var r tokenReply
	parsed := json.Unmarshal(body, &r) == nil
	if resp.StatusCode != http.StatusOK || !parsed || r.Error != "" {
		return token{}, refused(resp, r, req.URL.Host)
	}
	w.env.Redactor.Add(r.AccessToken)
	now := w.clock.Now()
	t := token{text: r.AccessToken}
	if sec, err := strconv.ParseInt(string(r.ExpiresIn), 10, 32); err == nil && sec > 0 {
		t.expires = now.Add(time.Duration(sec) * time.Second)
	} else if at, err := strconv.ParseInt(string(r.ExpiresOn), 10, 64); err == nil {
		t.expires = time.Unix(at, 0)
	}
	if t.text == "" || !t.expires.After(now) || !strings.EqualFold(r.TokenType, "Bearer") {
		return token{}, fault.New(fault.Unavailable, "the reply of %s holds no bearer token that is valid", req.URL.Host)
	}
	return t, nil
}

// refused is the error of a reply without a token. What the service says of itself is kept; it repeats no secret, and
// the redactor knows those that were sent.
func refused(resp *http.Response, r tokenReply, host string) error {
	text := strings.TrimSpace(r.Description)
	text, _, _ = strings.Cut(text, "\n")
	text, _, _ = strings.Cut(text, " Trace ID:")
	if text == "" {
		text = http.StatusText(resp.StatusCode)
	}
	if r.Error != "" {
		text = r.Error + ": " + strings.TrimSuffix(strings.TrimSpace(text), ".")
	}
	e := fault.New(fault.Unauthenticated, "%s gave no token: %s (status %d)", host, text, resp.StatusCode)
	e.Class.RequestID = resp.Header.Get("X-Ms-Request-Id")
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		e.Class.Code = fault.ResourceExhausted
	case resp.StatusCode >= 500, resp.StatusCode < 400 && r.Error == "":
		e.Class.Code = fault.Unavailable
	}
	e.Class.RetryAfter = RetryAfter(resp.Header)
	for code, hint := range hints {
		if strings.Contains(text, code+":") {
			e.Class.Hint = hint
		}
	}
	return e
}

// hints for the codes of https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
var hints = map[string]string{
	"AADSTS7000215": "The client secret is wrong: give the secret's value, not its id.",
	"AADSTS7000222": "The client secret has expired: make a new one with `az ad app credential reset`.",
	"AADSTS700016":  "The application is not in this tenant: correct client_id or tenant_id; an application of another tenant has no access here.",
	"AADSTS90002":   "The tenant does not exist: correct tenant_id, or `cloud` when it is in another cloud.",
	"AADSTS700027":  "The certificate is not one of the application's: add it with `az ad app credential reset --cert`.",
	"AADSTS70021":   "No federated credential of the application matches the token's issuer, subject and audience.",
	"AADSTS700024":  "The token or the assertion is not valid now: check the clock of this machine.",
}

func netError(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the rest repeats the URL
	}
	var own *fault.Error
	if errors.As(err, &own) {
		return err
	}
	return &fault.Error{Class: NetClass(err), Err: fmt.Errorf("no token from %s: %w", host, err)}
}
