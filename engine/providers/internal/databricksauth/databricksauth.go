// Package databricksauth logs in to Databricks workspaces. It holds the credential family "databricks".
//
// The exchanges are few and plain, and are made here over the block's own HTTP client: a personal access token is sent as
// it is; a service principal of Databricks asks the workspace's own OIDC endpoint; one of Microsoft Entra asks Entra for a
// token whose audience is the Databricks resource. A declared credential is used as declared. Only the method "default"
// asks the environment and the configuration file, in the order of Databricks's unified authentication; `profile` reads
// that file because it is named after it. Logins that need a browser or another program (`databricks auth login`,
// `az login`) are not taken over: their tokens lie in stores of those programs.
//
// Sources: "Databricks client unified authentication" and "Authorize unattended access to Databricks resources with a
// service principal using OAuth" of Databricks's documentation; the id of the resource is that of Databricks's SDKs.
package databricksauth

import (
	"context"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
)

// The fields of a credential.Value of the family "databricks".
const (
	FieldToken = "token"
	FieldHost  = "host" // the workspace that the token is for, if the credential says so
)

// AzureResource is the id of the application "AzureDatabricks" in Microsoft Entra, which tokens are asked for.
const AzureResource = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"

// Token returns the bearer token for a workspace. refresh gets a new one, because the last was refused. A credential
// that is bound to another workspace is not sent to this one.
func Token(ctx context.Context, src credential.Source, host string, refresh bool) (string, error) {
	v, err := src.Resolve(ctx, credential.Want{Audience: host, Refresh: refresh})
	if err != nil {
		return "", err
	}
	if own := v.Fields[FieldHost].Reveal(); own != "" && !sameHost(own, host) {
		return "", fault.Hinted(fault.InvalidArgument, "Correct `host`, or declare the credential of that workspace.", "the credential is for the workspace %s, not for %s", own, host)
	}
	t := v.Fields[FieldToken].Reveal()
	if t == "" || strings.ContainsAny(t, "\r\n\x00 ") {
		return "", fault.New(fault.Unauthenticated, "the credential holds no token that could be sent")
	}
	return t, nil
}

// Host returns the workspace that goes with a source, or "".
func Host(ctx context.Context, src credential.Source) string {
	if h, ok := src.(interface{ Host(context.Context) string }); ok {
		return h.Host(ctx)
	}
	return ""
}

// BaseURL makes the base URL of a workspace from what people write: a URL or a bare host name.
func BaseURL(host string) (*url.URL, error) {
	s := strings.TrimSpace(host)
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(s, " \t\r\n") {
		return nil, fault.New(fault.InvalidArgument, "the host of a workspace is a URL such as \"https://dbc-a1b2345c-d6e7.cloud.databricks.com\", without a path")
	}
	u.Path, u.RawQuery, u.ForceQuery = "", "", false // "/?o=ID" as it is copied from a browser
	return u, nil
}

func sameHost(a, b string) bool {
	x, err1 := BaseURL(a)
	y, err2 := BaseURL(b)
	return err1 == nil && err2 == nil && strings.EqualFold(x.Host, y.Host) && x.Scheme == y.Scheme
}
