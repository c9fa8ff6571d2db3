package alipanauth

import (
	"fmt"
	"net/url"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Family is the credential family.
const Family = "alipan"

// Its methods.
const (
	methodDefault = "default"
	methodWeb     = "refresh_token"
	methodOpen    = "openapi"
)

// Options are the attributes of `credential "alipan"`.
type Options struct {
	Method       string
	RefreshToken secret.String
	ClientID     string
	ClientSecret secret.String
	Endpoint     string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.Secret(&o.RefreshToken, "refresh_token", "Refresh token to begin with; the service replaces it with each use, and its successors are kept in state_dir, so that one token belongs to one credential block on one machine.").FromEnv(envToken)
	f.String(&o.ClientID, "client_id", "Id of the program at the open platform.").Eg(`"0123456789abcdef0123456789abcdef"`)
	f.Secret(&o.ClientSecret, "client_secret", "Secret of the program at the open platform.")
	f.String(&o.Endpoint, "endpoint", "URL of the service; when absent, https://api.aliyundrive.com for the web API and https://openapi.alipan.com for the open API.").Eg(`"https://openapi.alipan.com"`).
		Validate(func() error { return CheckURL(o.Endpoint) })

	f.Method(&o.Method, methodDefault, "The environment: a refresh token of the web API, and the password and type of encryption (ALIPAN_ENCRYPT_PASSWORD, ALIPAN_ENCRYPT_TYPE) of stores that declare none.").Allows("endpoint").FromAmbient()
	f.Method(&o.Method, methodWeb, "The API that the service's web pages use, with a browser's refresh token; it is not documented by the service.").Needs("refresh_token").Allows("endpoint")
	f.Method(&o.Method, methodOpen, "The open API, for a program that is registered at the open platform.").Needs("client_id", "client_secret", "refresh_token").Allows("endpoint")
}

// Provider returns the credential family "alipan".
func Provider() provider.Provider {
	return provider.Credential(Family, "Logs in to Alipan (Aliyun Drive).", open)
}

// CheckURL checks an endpoint.
func CheckURL(s string) error {
	if s == "" {
		return nil
	}
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("The endpoint must be a URL such as \"https://openapi.alipan.com\", without user, path and query.")
	}
	return nil
}
