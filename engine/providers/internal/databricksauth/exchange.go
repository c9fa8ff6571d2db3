package databricksauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/secret"
)

func (w *world) m2mWay(ctx context.Context, p settings, host string) (credential.Value, error) {
	return w.m2m(ctx, p, host)
}

// m2m asks the workspace for the token of a service principal (RFC 6749, section 4.4).
func (w *world) m2m(ctx context.Context, p settings, audience string) (credential.Value, error) {
	host := p["host"]
	if host == "" {
		host = audience
	}
	base, err := BaseURL(host)
	if err != nil {
		return credential.Value{}, fault.Hinted(fault.InvalidArgument, "Set `host`.", "the workspace that gives tokens to the service principal is not known")
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"all-apis"}}
	req, err := post(ctx, base.String()+"/oidc/v1/token", form)
	if err != nil {
		return credential.Value{}, err
	}
	req.SetBasicAuth(url.QueryEscape(p["client_id"]), url.QueryEscape(p["client_secret"]))
	v, err := w.exchange(w.http, req, "the workspace "+base.Host, "Correct client_id and client_secret, and add the service principal to the workspace.")
	if err == nil {
		v.Fields[FieldHost] = secret.New(host)
	}
	return v, err
}

// principal asks Microsoft Entra for the token of a service principal.
func (w *world) principal(ctx context.Context, p settings, _ string) (credential.Value, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {p["azure_client_id"]}, "client_secret": {p["azure_client_secret"]}, "scope": {AzureResource + "/.default"}}
	req, err := post(ctx, w.entra+"/"+url.PathEscape(p["azure_tenant_id"])+"/oauth2/v2.0/token", form)
	if err != nil {
		return credential.Value{}, err
	}
	v, err := w.exchange(w.http, req, "Microsoft Entra", "Correct ARM_TENANT_ID, ARM_CLIENT_ID and ARM_CLIENT_SECRET.")
	if err == nil {
		v.Fields[FieldHost] = secret.New(p["host"])
	}
	return v, err
}

// machine asks the metadata service of a machine of Azure. A client of its own may reach that address.
func (w *world) machine(ctx context.Context, p settings, _ string) (credential.Value, error) {
	c, err := metadataClient(w)
	if err != nil {
		return credential.Value{}, err
	}
	defer c.CloseIdleConnections()
	q := url.Values{"api-version": {"2018-02-01"}, "resource": {AzureResource}}
	if id := p["azure_client_id"]; id != "" {
		q.Set("client_id", id)
	}
	req, err := http.NewRequestWithContext(ctx, "GET", w.metadata+"/metadata/identity/oauth2/token?"+q.Encode(), nil)
	if err != nil {
		return credential.Value{}, err
	}
	req.Header.Set("Metadata", "true")
	v, err := w.exchange(c, req, "the metadata service of the machine", "Give the machine a managed identity, or unset ARM_USE_MSI.")
	if err == nil {
		v.Fields[FieldHost] = secret.New(p["host"])
	}
	return v, err
}

func post(ctx context.Context, address string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", address, strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
	}
	return req, err
}

// exchange sends a request for a token. A redirect is not followed: it would carry the secret elsewhere.
func (w *world) exchange(c *http.Client, req *http.Request, who, hint string) (credential.Value, error) {
	client := *c
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		if cause := context.Cause(req.Context()); cause != nil {
			return credential.Value{}, cause
		}
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		code := fault.ClassOf(err).Code
		if code == fault.Internal {
			code = fault.Unavailable
		}
		return credential.Value{}, fault.New(code, "%s gave no token: %w", who, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return credential.Value{}, fault.New(fault.Unavailable, "%s gave no token: %w", who, err)
	}
	var x struct {
		AccessToken string      `json:"access_token"`
		TokenType   string      `json:"token_type"`
		ExpiresIn   json.Number `json:"expires_in"`
		Error       string      `json:"error"`
	}
	bad := json.Unmarshal(b, &x)
	w.env.Redactor.Add(x.AccessToken)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return credential.Value{}, fault.New(fault.Unavailable, "%s gave no token: status %d", who, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, hint, "%s refused to give a token: %s", who, reason(x.Error, resp.StatusCode))
	case bad != nil || x.AccessToken == "" || x.TokenType != "" && !strings.EqualFold(x.TokenType, "Bearer"):
		return credential.Value{}, fault.New(fault.Unavailable, "%s answered with something that is no token", who)
	}
	v := credential.Value{Fields: map[string]secret.String{FieldToken: secret.New(x.AccessToken)}}
	if n, err := x.ExpiresIn.Int64(); err == nil && n > 0 {
		v.Expires = w.clock.Now().Add(time.Duration(min(n, 1<<31)) * time.Second)
	}
	return v, nil
}

// reason is an error code of OAuth; what else is said may quote what was sent.
func reason(code string, status int) string {
	for _, c := range code {
		if !(c >= 'a' && c <= 'z' || c == '_') {
			code = ""
			break
		}
	}
	if code == "" || len(code) > 40 {
		return fmt.Sprintf("status %d", status)
	}
	return fmt.Sprintf("%s (status %d)", code, status)
}

// metadataClient may reach the metadata address, which the clients of blocks refuse.
func metadataClient(w *world) (*http.Client, error) {
	return httpclient.New(httpclient.Options{Name: w.env.Name, StrictRedirects: true, ConnectTimeout: 2 * time.Second, StallTimeout: 10 * time.Second,
		AllowAddrs: []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}})
}
