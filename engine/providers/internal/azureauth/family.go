package azureauth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Family is the name of the credential family.
const Family = "azure"

// The methods of the family.
const (
	methodDefault          = "default"
	methodAccountKey       = "account_key"
	methodConnectionString = "connection_string"
	methodSAS              = "sas"
	methodServicePrincipal = "service_principal"
	methodManagedIdentity  = "managed_identity"
	methodWorkloadIdentity = "workload_identity"
	methodCLI              = "cli"
	methodAccessKey        = "access_key"
	methodAnonymous        = "anonymous"
)

// Options are the attributes of `credential "azure"`.
type Options struct {
	Method           string
	Cloud            string
	AuthorityURL     string
	AccountKey       secret.String
	ConnectionString secret.String
	SASToken         secret.String
	TenantID         string
	ClientID         string
	ClientSecret     secret.String
	CertificateFile  string
	JSON             secret.String
	JSONFile         string
	TokenFile        string
	AccessKey        secret.String
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	o.Cloud = "public"
	f.String(&o.Cloud, "cloud", "Which of Azure's clouds the account is in.").OneOf("public", "china", "usgov").Default(`"public"`)
	f.String(&o.AuthorityURL, "authority_url", "URL of the service that issues tokens; when absent, that of the cloud.").Eg(`"https://login.microsoftonline.com"`).
		Validate(func() error { return checkURL("authority_url", o.AuthorityURL) })
	f.Secret(&o.AccountKey, "account_key", "Key of the storage account, as `az storage account keys list` prints it.").FromEnv("AZURE_ACCOUNT_ACCESS_KEY", "AZURE_STORAGE_KEY").
		Validate(func() error { return checkKey(o.AccountKey) })
	f.Secret(&o.ConnectionString, "connection_string", "Connection string of the storage account, with a key or a shared access signature.").FromEnv("AZURE_STORAGE_CONNECTION_STRING")
	f.Secret(&o.SASToken, "sas_token", "Shared access signature of an account, a container or a share, or of an Event Grid topic (`r=...&e=...&s=...`).").FromEnv("AZURE_STORAGE_SAS_TOKEN")
	f.String(&o.TenantID, "tenant_id", "Id or domain of the Entra tenant.").Eg(`"00000000-0000-0000-0000-000000000000"`).FromEnv("AZURE_TENANT_ID").
		Validate(func() error { return checkTenant(o.TenantID) })
	f.String(&o.ClientID, "client_id", "Application id of a service principal, or client id of a user-assigned managed identity.").Eg(`"11111111-1111-1111-1111-111111111111"`).FromEnv("AZURE_CLIENT_ID")
	f.Secret(&o.ClientSecret, "client_secret", "Secret of the service principal.").FromEnv("AZURE_CLIENT_SECRET")
	f.Path(&o.CertificateFile, "certificate_file", "PEM file with the certificate of the service principal and its private key.").Eg(`"dsrun.pem"`).FromEnv("AZURE_CLIENT_CERTIFICATE_PATH")
	f.Secret(&o.JSON, "json", "What `az ad sp create-for-rbac` prints: JSON with appId, displayName, password and tenant.")
	f.Path(&o.JSONFile, "json_file", "File with that JSON.").Eg(`"azure-credentials.json"`)
	f.Path(&o.TokenFile, "token_file", "File with the token of the identity provider, such as Kubernetes; it is read anew each time.").Eg(`"/var/run/secrets/azure/tokens/azure-identity-token"`).FromEnv("AZURE_FEDERATED_TOKEN_FILE")
	f.Secret(&o.AccessKey, "access_key", "Access key of an Event Grid topic.")

	f.Method(&o.Method, methodDefault, "What the environment holds: an account key, a service principal, a workload identity, a managed identity, the login of the command az.").Allows("cloud", "authority_url").FromAmbient()
	f.Method(&o.Method, methodAccountKey, "The key of a storage account.").Needs("account_key").Allows("cloud")
	f.Method(&o.Method, methodConnectionString, "The connection string of a storage account.").Needs("connection_string").Allows("cloud")
	f.Method(&o.Method, methodSAS, "A shared access signature.").Needs("sas_token").Allows("cloud")
	f.Method(&o.Method, methodServicePrincipal, "An application of Entra, with a secret or a certificate.").
		NeedsOneOf("client_secret", "certificate_file", "json", "json_file").Allows("tenant_id", "client_id", "cloud", "authority_url")
	f.Method(&o.Method, methodManagedIdentity, "The identity that Azure gave to the virtual machine.").Allows("client_id", "cloud")
	f.Method(&o.Method, methodWorkloadIdentity, "An application of Entra that trusts an identity provider such as Kubernetes.").Needs("tenant_id", "client_id", "token_file").Allows("cloud", "authority_url")
	f.Method(&o.Method, methodCLI, "The login of the command az.").Allows("tenant_id", "cloud")
	f.Method(&o.Method, methodAccessKey, "The access key of an Event Grid topic.").Needs("access_key").Allows("cloud")
	f.Method(&o.Method, methodAnonymous, "Requests without a credential, for what is public.").Allows("cloud")
}

// Provider returns the credential family "azure".
func Provider() provider.Provider {
	return provider.Credential(Family, "Logs in to Microsoft Azure.", open)
}

// open makes the source of a declared block, or of the family's default chain, whose options are empty.
func open(_ context.Context, env provider.Env, o *Options) (credential.Source, error) {
	w := newWorld(env, o)
	s := &source{cloud: w.cloud}
	one := func(name string, v secret.String) {
		s.Source = static(w.block(), map[string]secret.String{name: v}, env.Redactor)
	}
	switch o.Method {
	case methodAccountKey:
		one(FieldAccountKey, o.AccountKey)
	case methodAccessKey:
		one(FieldAccessKey, o.AccessKey)
	case methodAnonymous:
		s.Source, s.anonymous = credential.Static(w.block()+", unsigned requests", nil, nil), true
	case methodSAS:
		if sas, ok := parseTopicSAS(o.SASToken.Reveal()); ok {
			s.Source = topicSAS(w.block(), sas, env.Redactor)
			break
		}
		sas, err := ParseSAS(o.SASToken.Reveal())
		if err != nil {
			return nil, err
		}
		one(FieldSAS, secret.New(sas))
	case methodConnectionString:
		c, err := parseConnection(o.ConnectionString.Reveal())
		if err != nil {
			return nil, err
		}
		s.account, s.endpoints = c.account, c.endpoints
		s.Source = static(w.block(), c.fields(), env.Redactor)
	case methodServicePrincipal:
		p, err := principalOf(env, o)
		if err != nil {
			return nil, err
		}
		s.Source = w.cached(w.principal(w.block()+": application "+p.client, p))
	case methodManagedIdentity:
		s.Source = w.cached(w.managed(w.block()+": managed identity", o.ClientID, false))
	case methodWorkloadIdentity:
		s.Source = w.cached(w.principal(w.block()+": token of "+o.TokenFile, principal{tenant: o.TenantID, client: o.ClientID, tokenFile: o.TokenFile}))
	case methodCLI:
		s.Source = w.cached(w.cli(w.block()+": az", o.TenantID))
	default:
		w.ambient = true
		s.chain = func(account string) credential.Source { return w.cached(w.chain(account)) }
		s.Source = s.chain("")
	}
	return s, nil
}

// connection is a parsed connection string.
type connection struct {
	account, key, sas string
	endpoints         map[string]string
}

func (c connection) fields() map[string]secret.String {
	f := map[string]secret.String{}
	if c.account != "" {
		f[FieldAccount] = secret.New(c.account)
	}
	if c.key != "" {
		f[FieldAccountKey] = secret.New(c.key)
	} else {
		f[FieldSAS] = secret.New(c.sas)
	}
	return f
}

// developmentKey is the key of the account devstoreaccount1 of every emulator; it is public:
// https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key.
const developmentKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

// parseConnection reads "Name=value;..." of
// https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string.
func parseConnection(s string) (connection, error) {
	bad := func(what string) (connection, error) {
		return connection{}, fault.Hinted(fault.InvalidArgument, "Copy it as `az storage account show-connection-string` prints it.", "the connection string %s", what)
	}
	m := map[string]string{}
	for _, part := range strings.Split(strings.TrimSpace(s), ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, v, ok := strings.Cut(part, "=")
		if !ok {
			return bad("is not a list of NAME=value;")
		}
		m[strings.ToLower(strings.TrimSpace(name))] = v
	}
	if m["usedevelopmentstorage"] == "true" {
		const at = "http://127.0.0.1:10000/devstoreaccount1"
		return connection{account: "devstoreaccount1", key: developmentKey, endpoints: map[string]string{"blob": at}}, nil
	}
	c := connection{account: m["accountname"], key: m["accountkey"], endpoints: map[string]string{}}
	if sas := m["sharedaccesssignature"]; sas != "" {
		var err error
		if c.sas, err = ParseSAS(sas); err != nil {
			return connection{}, err
		}
	}
	switch {
	case c.key == "" && c.sas == "":
		return bad("has neither AccountKey nor SharedAccessSignature")
	case c.key != "" && c.account == "":
		return bad("has no AccountName")
	case c.key != "" && checkKey(secret.New(c.key)) != nil:
		return bad("has an AccountKey that is not base64")
	}
	scheme, suffix := m["defaultendpointsprotocol"], m["endpointsuffix"]
	if scheme == "" {
		scheme = "https"
	}
	for _, service := range []string{"blob", "dfs", "file"} {
		if e := m[service+"endpoint"]; e != "" {
			if err := checkURL(service+"endpoint", e); err != nil {
				return bad("has a wrong " + service + " endpoint")
			}
			c.endpoints[service] = e
		} else if c.account != "" && suffix != "" {
			c.endpoints[service] = scheme + "://" + c.account + "." + service + "." + suffix
		}
	}
	return c, nil
}

func checkKey(k secret.String) error {
	if b, err := base64.StdEncoding.DecodeString(k.Reveal()); err != nil || len(b) == 0 {
		return fmt.Errorf("The account key must be base64, as `az storage account keys list` prints it.")
	}
	return nil
}

func checkTenant(s string) error {
	if s == "" || strings.ContainsAny(s, "/?#% \t\\") {
		return fmt.Errorf("\"tenant_id\" is the id of a tenant or its domain, without a path.")
	}
	return nil
}

func checkURL(name, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q must be a URL such as \"https://service.example.com\", without user, query or fragment.", name)
	}
	return nil
}
