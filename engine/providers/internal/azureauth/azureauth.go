// Package azureauth logs in to Azure. It holds the credential family "azure", what signs requests to Azure's storage
// services and to Event Grid (Shared Key, SAS, bearer tokens), and the classification of what they answer.
//
// Tokens are asked for here, over the block's own HTTP client, in the plain forms of OAuth 2.0: azidentity reads the
// environment of the process, brings a cache and retries of its own, and is ten times the size.
//
// A declared credential is used as declared: nothing of the environment or of the machine's identity stands in for it or
// completes it. Only the method "default" asks those places.
package azureauth

import (
	"context"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/secret"
)

// The fields of a credential.Value of the family "azure". Exactly one of account_key, sas_token, token, access_key and
// topic_sas is there; a value without any is anonymous.
const (
	FieldAccount    = "account"     // of the account key or connection string, where it is known
	FieldAccountKey = "account_key" // base64, of a storage account
	FieldSAS        = "sas_token"   // a shared access signature, without "?"
	FieldToken      = "token"       // a bearer token for Want.Audience
	FieldAccessKey  = "access_key"  // of an Event Grid topic
	FieldTopicSAS   = "topic_sas"   // a shared access signature of an Event Grid topic
)

// The audiences that tokens are for, in every cloud: the scope of a token request.
const (
	StorageScope   = "https://storage.azure.com/.default"
	EventGridScope = "https://eventgrid.azure.net/.default"
)

// Cloud is one of Azure's clouds.
type Cloud struct {
	Name          string
	Authority     string   // where tokens come from
	Suffix        string   // of the host names of storage: ACCOUNT.blob.SUFFIX
	EventGrid     []string // suffixes of the host names of Event Grid
	EventGridAuth string   // scope of tokens for Event Grid
}

// clouds as https://learn.microsoft.com/azure/storage/common/storage-account-overview and the pages of each cloud list
// them.
var clouds = []Cloud{
	{"public", "https://login.microsoftonline.com", "core.windows.net", []string{"eventgrid.azure.net"}, EventGridScope},
	{"china", "https://login.partner.microsoftonline.cn", "core.chinacloudapi.cn", []string{"eventgrid.azure.cn"}, "https://eventgrid.azure.cn/.default"},
	{"usgov", "https://login.microsoftonline.us", "core.usgovcloudapi.net", []string{"eventgrid.azure.us"}, "https://eventgrid.azure.us/.default"},
}

// Clouds returns all clouds, the public one first.
func Clouds() []Cloud { return append([]Cloud(nil), clouds...) }

// CloudNamed returns a cloud by its name; "" is the public one.
func CloudNamed(name string) Cloud {
	for _, c := range clouds {
		if c.Name == name {
			return c
		}
	}
	return clouds[0]
}

// CloudOf returns the cloud of a source of this family, else the public one.
func CloudOf(src credential.Source) Cloud {
	if s, ok := src.(*source); ok {
		return s.cloud
	}
	return clouds[0]
}

// Anonymous reports whether a source was declared to send requests without a credential.
func Anonymous(src credential.Source) bool {
	s, ok := src.(*source)
	return ok && s.anonymous
}

// Endpoint returns the address that a connection string gives for a service ("blob", "dfs", "file"), or "".
func Endpoint(src credential.Source, service string) string {
	s, ok := src.(*source)
	if !ok {
		return ""
	}
	return s.endpoints[service]
}

// Account returns the storage account that a source names, or "".
func Account(src credential.Source) string {
	s, ok := src.(*source)
	if !ok {
		return ""
	}
	return s.account
}

// ForAccount returns the source that serves a storage account. An ambient source passes over keys and signatures of
// other accounts, whose use could only be refused.
func ForAccount(src credential.Source, account string) credential.Source {
	s, ok := src.(*source)
	if !ok || s.chain == nil {
		return src
	}
	own := *s
	own.Source = s.chain(account)
	return &own
}

// source is a credential.Source that knows what goes with it.
type source struct {
	credential.Source
	cloud     Cloud
	account   string
	endpoints map[string]string
	anonymous bool
	chain     func(account string) credential.Source // of an ambient source
}

// String keeps %v free of everything else.
func (s *source) String() string { return "credential of the family azure" }

// GoString implements fmt.GoStringer.
func (s *source) GoString() string { return s.String() }

// bearer returns the value of a token.
func bearer(t token) credential.Value {
	return credential.Value{Fields: map[string]secret.String{FieldToken: secret.New(t.text)}, Expires: t.expires}
}

var _ credential.Source = (*source)(nil)

// static returns a source that gives the same fields whatever is wanted.
func static(name string, fields map[string]secret.String, r *secret.Redactor) credential.Source {
	if sas := fields[FieldSAS]; !sas.IsZero() {
		learnSAS(sas.Reveal(), r)
	}
	return credential.Static(name, fields, r)
}

// resolve is what Authorize asks: a nil source is anonymous.
func resolve(ctx context.Context, src credential.Source, w credential.Want) (credential.Value, error) {
	if src == nil {
		return credential.Value{}, nil
	}
	return src.Resolve(ctx, w)
}
