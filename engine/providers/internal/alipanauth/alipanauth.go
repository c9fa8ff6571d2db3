// Package alipanauth logs in to Alipan (Aliyun Drive). It holds the credential family "alipan".
//
// There are two APIs. The web API is what the service's own pages use: a refresh token of a browser, access tokens, and a
// session of the device, which signs with a key of its own. The open API is for registered programs: OAuth with a client's
// id and secret. In both the service replaces the refresh token whenever it is used, so that the one in the configuration
// is only the first. Its successors are kept in the state folder, and never in the configuration:
//
//   - nothing is asked of the service before the state folder has proven to take a write;
//   - what comes back is written and synced before anyone gets the new access token;
//   - an exchange that was begun is finished and kept, although its caller has gone;
//   - processes that share a state folder exchange one after another, and use what another has got.
//
// What is left is a reply that never arrives: the service may then have replaced the token. The old one is tried again.
//
// A declared credential is used as declared. Only the method "default" asks the environment.
//
// Sources: AliPCS-Py 0.8.1 for the web API, OpenDAL's service aliyun_drive and the pages of the open platform for the other.
package alipanauth

import (
	"context"
	"net/http"
	"net/url"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// The fields of a credential.Value of the family "alipan".
const (
	FieldToken     = "token"     // access token
	FieldDevice    = "device_id" // web API
	FieldSignature = "signature" // of the device's session; with AudienceDevice only
	FieldUser      = "user"
)

// AudienceDevice asks for the session of the device, which some calls of the web API want besides a token.
const AudienceDevice = "device"

// API says which of the service's APIs a credential is for.
type API int

// The APIs.
const (
	Web API = iota
	Open
)

// Source is what a store of the kind "alipan" needs of its credential.
type Source interface {
	credential.Source
	// API is the one that the credential is for.
	API() API
	// Base is the URL of the service.
	Base() *url.URL
	// Encryption is what the environment says about the password and type of encryption, for a credential that is ambient.
	Encryption() (password secret.String, algo string)
}

// Of returns the credential as a Source. One of another family logs in nowhere, which is said when it is used.
func Of(src credential.Source) (Source, error) {
	if s, ok := src.(Source); ok {
		return s, nil
	}
	if src == nil {
		return nil, fault.Hinted(fault.Unauthenticated, "Declare a `credential \"alipan\"`, or set "+envToken+".", "there is no credential to log in with")
	}
	return stranger{src}, nil
}

// stranger is a credential of another family.
type stranger struct{ credential.Source }

func (stranger) API() API                            { return Web }
func (stranger) Base() *url.URL                      { return &url.URL{Scheme: "https", Host: "api.aliyundrive.com"} }
func (stranger) Encryption() (secret.String, string) { return secret.String{}, "" }

// Login sets the headers of a request that say who asks. signed adds the session of the device, for those calls of the web
// API that want it.
func Login(ctx context.Context, s Source, h http.Header, signed bool) error {
	v, err := s.Resolve(ctx, credential.Want{})
	if err != nil {
		return err
	}
	token := v.Fields[FieldToken].Reveal()
	if token == "" {
		return fault.Hinted(fault.Unauthenticated, "Let the datastore name a `credential \"alipan\"`.", "the credential gives no access token")
	}
	Plain(s.API(), h)
	h.Set("Authorization", "Bearer "+token)
	if s.API() == Open {
		return nil
	}
	h.Set("X-Device-Id", v.Fields[FieldDevice].Reveal())
	if !signed {
		return nil
	}
	v, err = s.Resolve(ctx, credential.Want{Audience: AudienceDevice})
	if err != nil {
		return err
	}
	h.Set("X-Signature", v.Fields[FieldSignature].Reveal())
	return nil
}

// page is where the web API expects to be called from.
const page = "https://www.aliyundrive.com"

// Referer is the referring page that addresses of the web API's storage expect.
const Referer = page + "/"

// Plain sets the headers of every request, which say nothing of who asks. The web API wants those of its pages.
func Plain(a API, h http.Header) {
	h.Set("User-Agent", "dsrun")
	if a == Web {
		h.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/123.0.0.0 Safari/537.36")
		h.Set("Origin", page)
		h.Set("Referer", Referer)
		h.Set("X-Canary", "client=web,app=adrive,version=v4.1.0")
	}
}
