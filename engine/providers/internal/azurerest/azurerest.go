// Package azurerest is what the datastores on Azure's storage services share besides the login: requests and their
// errors, bodies that are checked while they are read, user metadata, hidden names of files on their way, and directories
// read in key order.
package azurerest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
)

// Config says which service a client is for.
type Config struct {
	Service  string // "dfs" or "file"
	Account  string
	Root     string // the file system or share
	Endpoint string // "" means that of the credential, else of the cloud
	Role     string // what reading and writing needs, such as "Storage Blob Data"
	// Intent says that requests with a bearer token carry "x-ms-file-request-intent: backup", which the service then needs.
	Intent bool
	// Codes are codes of the service beyond those that azureauth knows, and Hints what helps against them.
	Codes map[string]fault.Code
	Hints map[string]string
}

// Client sends requests to one file system or share. It is safe for concurrent use.
type Client struct {
	Config
	Base     *url.URL // of the account
	Clock    clock.Clock
	Redactor *secret.Redactor

	http   *http.Client
	cred   credential.Source // nil: anonymous
	closed atomic.Bool
}

// New returns a client. Nothing is asked of the service yet.
func New(env provider.Env, c Config) (*Client, error) {
	x := &Client{Config: c, Clock: env.Clock, Redactor: env.Redactor}
	if x.Clock == nil {
		x.Clock = clock.Real
	}
	if x.Redactor == nil {
		x.Redactor = secret.NewRedactor()
	}
	at := c.Endpoint
	if env.Credential != nil {
		x.cred = azureauth.ForAccount(env.Credential, c.Account)
		if at == "" && azureauth.Account(env.Credential) == c.Account {
			at = azureauth.Endpoint(env.Credential, c.Service)
		}
		if azureauth.Anonymous(env.Credential) {
			x.cred = nil
		}
	}
	if at == "" {
		at = "https://" + c.Account + "." + c.Service + "." + azureauth.CloudOf(env.Credential).Suffix
	}
	var err error
	if x.Base, err = url.Parse(strings.TrimSuffix(at, "/")); err != nil {
		return nil, fault.New(fault.InvalidArgument, "the endpoint is not a URL")
	}
	if env.HTTP == nil {
		if env.HTTP, err = httpclient.New(httpclient.Options{Name: env.Name, Log: env.Log}); err != nil {
			return nil, err
		}
	}
	client := *env.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // requests are signed for one host
	x.http = &client
	return x, nil
}

// Close refuses requests from now on. Connections belong to the block's client.
func (c *Client) Close() { c.closed.Store(true) }

// Usable refuses what is asked after Close or once ctx has ended.
func (c *Client) Usable(ctx context.Context) error {
	if c.closed.Load() {
		return fault.New(fault.FailedPrecondition, "the store is closed")
	}
	return context.Cause(ctx)
}

// CheckAccount reports what is wrong with the name of a storage account.
func CheckAccount(s string) error {
	ok := len(s) >= 3 && len(s) <= 24
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
	}
	if !ok {
		return fmt.Errorf("The account %q must be 3 to 24 lower-case letters and digits.", s)
	}
	return nil
}

// CheckRoot reports what is wrong with the name of a file system or share; what says which it is.
func CheckRoot(what, s string) error {
	ok := len(s) >= 3 && len(s) <= 63 && !strings.Contains(s, "--") && !strings.HasPrefix(s, "-") && !strings.HasSuffix(s, "-")
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("The %s %q must be 3 to 63 lower-case letters, digits and single hyphens.", what, s)
	}
	return nil
}

// CheckEndpoint reports what is wrong with the attribute "endpoint" of a service.
func CheckEndpoint(service, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("\"endpoint\" must be a URL such as \"https://examplelake.%s.core.windows.net\", without user, query or fragment.", service)
	}
	return nil
}
