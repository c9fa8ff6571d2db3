package config

import (
	"fmt"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/secret"
)

// fakes are the schemas that the tests use: credentials with every method that a real family has, and a few stores.
type fakes struct{ bodies []schema.Body }

func (f fakes) Lookup(kind, label string) (schema.Body, bool) {
	for _, b := range f.bodies {
		if b.Block == kind && b.Label == label {
			return b, true
		}
	}
	return schema.Body{}, false
}

func (f fakes) Labels(kind string) []string {
	var out []string
	for _, b := range f.bodies {
		if b.Block == kind {
			out = append(out, b.Label)
		}
	}
	return out
}

func fake[O any, P interface {
	*O
	schema.Fielder
}](kind, label string, families ...string) schema.Body {
	return schema.Body{Block: kind, Label: label, Summary: fmt.Sprintf("The %s %s.", kind, label), Families: families,
		New: func() schema.Fielder { return P(new(O)) }}
}

func testSchemas() fakes {
	old := fake[azureStore]("datastore", "adls_gen1", "azure")
	old.Warning = "Retired by Microsoft on 2024-02-29"
	return fakes{[]schema.Body{
		fake[awsCred]("credential", "aws"), fake[awsKeys]("credential", "aws_compatible"), fake[gcpCred]("credential", "gcp"),
		fake[azureCred]("credential", "azure"), fake[ociCred]("credential", "oci"), fake[databricksCred]("credential", "databricks"),
		fake[hdfsCred]("credential", "hdfs"), fake[alipanCred]("credential", "alipan"), fake[sftpCred]("credential", "sftp"),
		fake[tokenCred]("credential", "huggingface"), fake[sqlCred]("credential", "sql"),
		fake[localStore]("datastore", "local"), fake[memoryStore]("datastore", "memory"),
		fake[s3Store]("datastore", "s3", "aws", "aws_compatible"), fake[gcsStore]("datastore", "gcs", "gcp"),
		fake[azureStore]("datastore", "azure_blob", "azure"), old,
		fake[fileTopic]("topic", "file"), fake[busTopic]("topic", "eventbridge", "aws"), fake[hookTopic]("topic", "webhook"),
	}}
}

type awsCred struct {
	Method, AccessKey, Profile, RoleARN, SessionName, TokenFile string
	SecretKey, SessionToken, ExternalID                         secret.String
	Duration                                                    time.Duration
	Source                                                      schema.Ref
}

func (o *awsCred) Fields(f *schema.Fields) {
	f.String(&o.AccessKey, "access_key_id", "Id of the access key.")
	f.Secret(&o.SecretKey, "secret_access_key", "Secret of the access key.")
	f.Secret(&o.SessionToken, "session_token", "Token of a temporary key.")
	f.String(&o.Profile, "profile", "Profile of the shared files.")
	f.String(&o.RoleARN, "role_arn", "Role to assume.")
	f.Secret(&o.ExternalID, "external_id", "External id that the role asks for.")
	f.String(&o.SessionName, "session_name", "Name of the session.")
	f.Duration(&o.Duration, "duration", "How long the session lasts.")
	f.Path(&o.TokenFile, "token_file", "File of the web identity token.")
	f.Ref(&o.Source, "source", "Credential that assumes the role.", "credential")
	f.Method(&o.Method, "default", "Environment, shared files, SSO, container, instance.").FromAmbient()
	f.Method(&o.Method, "static", "An access key.").Needs("access_key_id", "secret_access_key").Allows("session_token")
	f.Method(&o.Method, "profile", "A profile.").Needs("profile")
	f.Method(&o.Method, "assume_role", "A role.").Needs("role_arn").Allows("external_id", "session_name", "duration", "source")
	f.Method(&o.Method, "web_identity", "A token.").Needs("role_arn", "token_file")
	f.Method(&o.Method, "anonymous", "No credential.")
}

type awsKeys struct {
	AccessKey, Endpoint string
	SecretKey           secret.String
}

func (o *awsKeys) Fields(f *schema.Fields) {
	f.String(&o.AccessKey, "access_key_id", "Id of the access key.").Required()
	f.Secret(&o.SecretKey, "secret_access_key", "Secret of the access key.").Required()
	f.String(&o.Endpoint, "endpoint_url", "Address of the service.").Eg(`"https://s3.example.com"`)
}

type gcpCred struct {
	Method, KeyFile, AccessID, Target string
	JSON, Secret, Token               secret.String
	Source                            schema.Ref
}

func (o *gcpCred) Fields(f *schema.Fields) {
	f.Secret(&o.JSON, "json", "Key of a service account.")
	f.Path(&o.KeyFile, "key_file", "File of the key.")
	f.String(&o.AccessID, "access_id", "Id of the HMAC key.")
	f.Secret(&o.Secret, "secret", "Secret of the HMAC key.")
	f.String(&o.Target, "target", "Service account to act as.")
	f.Ref(&o.Source, "source", "Credential that acts.", "credential")
	f.Secret(&o.Token, "access_token", "A token.")
	f.Method(&o.Method, "default", "Application default credentials.").FromAmbient()
	f.Method(&o.Method, "service_account", "A key.").NeedsOneOf("json", "key_file")
	f.Method(&o.Method, "hmac", "An HMAC key.").Needs("access_id", "secret")
	f.Method(&o.Method, "impersonate", "Another account.").Needs("target").Allows("source")
	f.Method(&o.Method, "access_token", "A token.").Needs("access_token")
	f.Method(&o.Method, "anonymous", "None.")
}

type azureCred struct {
	Method, TenantID, ClientID, CertFile, JSONFile, Cloud                string
	AccountKey, ConnString, SAS, ClientSecret, JSON, AccessKey, CertPass secret.String
}

func (o *azureCred) Fields(f *schema.Fields) {
	o.Cloud = "public"
	f.Secret(&o.AccountKey, "account_key", "Key of the account.")
	f.Secret(&o.ConnString, "connection_string", "Connection string.")
	f.Secret(&o.SAS, "sas_token", "Shared access signature.")
	f.String(&o.TenantID, "tenant_id", "Tenant.")
	f.String(&o.ClientID, "client_id", "Application.")
	f.Secret(&o.ClientSecret, "client_secret", "Its secret.")
	f.Path(&o.CertFile, "certificate_file", "Its certificate.")
	f.Secret(&o.JSON, "json", "What az ad sp prints.")
	f.Path(&o.JSONFile, "json_file", "File of it.")
	f.Secret(&o.AccessKey, "access_key", "Key of an Event Grid topic.")
	f.String(&o.Cloud, "cloud", "Cloud.").Default(`"public"`).OneOf("public", "china", "usgov")
	f.Method(&o.Method, "default", "Environment.").FromAmbient()
	f.Method(&o.Method, "account_key", "Key.").Needs("account_key")
	f.Method(&o.Method, "connection_string", "String.").Needs("connection_string")
	f.Method(&o.Method, "sas", "Signature.").Needs("sas_token")
	f.Method(&o.Method, "service_principal", "Application.").Needs("tenant_id", "client_id").NeedsOneOf("client_secret", "certificate_file")
	f.Method(&o.Method, "service_principal_json", "Application.").NeedsOneOf("json", "json_file")
	f.Method(&o.Method, "managed_identity", "Identity.").Allows("client_id")
	f.Method(&o.Method, "workload_identity", "Identity.").Allows("client_id", "tenant_id")
	f.Method(&o.Method, "cli", "Command line.")
	f.Method(&o.Method, "access_key", "Key.").Needs("access_key")
	f.Method(&o.Method, "anonymous", "None.")
}

type ociCred struct {
	Method, ConfigFile, Profile, Tenancy, User, Fingerprint, KeyFile string
	Key, Passphrase                                                  secret.String
}

func (o *ociCred) Fields(f *schema.Fields) {
	f.Path(&o.ConfigFile, "config_file", "File.")
	f.String(&o.Profile, "profile", "Profile.")
	f.String(&o.Tenancy, "tenancy", "Tenancy.")
	f.String(&o.User, "user", "User.")
	f.String(&o.Fingerprint, "fingerprint", "Fingerprint.")
	f.Secret(&o.Key, "private_key", "Key.")
	f.Path(&o.KeyFile, "private_key_file", "File of the key.")
	f.Secret(&o.Passphrase, "passphrase", "Passphrase.")
	f.Method(&o.Method, "default", "File.").FromAmbient().Allows("config_file", "profile")
	f.Method(&o.Method, "api_key", "Key.").Needs("tenancy", "user", "fingerprint").NeedsOneOf("private_key", "private_key_file").Allows("passphrase")
	f.Method(&o.Method, "security_token", "Token.").Allows("config_file", "profile")
	f.Method(&o.Method, "instance_principal", "Instance.")
	f.Method(&o.Method, "resource_principal", "Resource.")
	f.Method(&o.Method, "workload_identity", "Workload.")
}

type databricksCred struct {
	Method, ClientID, Profile string
	Token, ClientSecret       secret.String
	Credential                schema.Ref
}

func (o *databricksCred) Fields(f *schema.Fields) {
	f.Secret(&o.Token, "token", "Token.")
	f.String(&o.ClientID, "client_id", "Client.")
	f.Secret(&o.ClientSecret, "client_secret", "Its secret.")
	f.Ref(&o.Credential, "credential", "Credential of Azure.", "credential")
	f.String(&o.Profile, "profile", "Profile.")
	f.Method(&o.Method, "default", "Unified.").FromAmbient()
	f.Method(&o.Method, "token", "Token.").Needs("token")
	f.Method(&o.Method, "oauth_m2m", "Client.").Needs("client_id", "client_secret")
	f.Method(&o.Method, "azure", "Azure.").Needs("credential")
	f.Method(&o.Method, "profile", "Profile.").Needs("profile")
}

type hdfsCred struct {
	Method, User string
	Token        secret.String
}

func (o *hdfsCred) Fields(f *schema.Fields) {
	f.String(&o.User, "user", "User.")
	f.Secret(&o.Token, "delegation_token", "Token.")
	f.Method(&o.Method, "simple", "User.").Needs("user")
	f.Method(&o.Method, "delegation_token", "Token.").Needs("delegation_token")
}

type alipanCred struct {
	Method, ClientID      string
	Refresh, ClientSecret secret.String
}

func (o *alipanCred) Fields(f *schema.Fields) {
	f.Secret(&o.Refresh, "refresh_token", "Token.")
	f.String(&o.ClientID, "client_id", "Client.")
	f.Secret(&o.ClientSecret, "client_secret", "Its secret.")
	f.Method(&o.Method, "refresh_token", "Token.").Needs("refresh_token")
	f.Method(&o.Method, "openapi", "Client.").Needs("client_id", "client_secret", "refresh_token")
}

type sftpCred struct {
	Method, Username, KeyFile, KnownHosts string
	Password, Passphrase                  secret.String
}

func (o *sftpCred) Fields(f *schema.Fields) {
	f.String(&o.Username, "username", "User.").Required()
	f.Secret(&o.Password, "password", "Password.")
	f.Path(&o.KeyFile, "key_file", "Key.")
	f.Secret(&o.Passphrase, "passphrase", "Passphrase.")
	f.Path(&o.KnownHosts, "known_hosts_file", "Hosts.")
	f.Method(&o.Method, "password", "Password.").Needs("password")
	f.Method(&o.Method, "key", "Key.").Needs("key_file").Allows("passphrase")
}

type tokenCred struct{ Token secret.String }

func (o *tokenCred) Fields(f *schema.Fields) { f.Secret(&o.Token, "token", "Token.") }

type sqlCred struct {
	Username string
	Password secret.String
}

func (o *sqlCred) Fields(f *schema.Fields) {
	f.String(&o.Username, "username", "User.").Required()
	f.Secret(&o.Password, "password", "Password.").Required()
}

type localStore struct {
	Path   string
	Create bool
}

func (o *localStore) Fields(f *schema.Fields) {
	f.Path(&o.Path, "path", "Folder that holds the objects.").Required().Eg(`"data"`)
	f.Bool(&o.Create, "create", "Make the folder when it is missing.").Default("false")
}

type memoryStore struct{ Fixtures map[string]string }

func (o *memoryStore) Fields(f *schema.Fields) {
	f.Map(&o.Fixtures, "fixtures", "Objects that are there from the start.").Eg(`{ "a.txt" = "hello" }`)
}

type s3Store struct {
	Bucket, Region, Endpoint, SSE, KMSKey, Old string
	PartSize, Retain                           int64
	PathStyle                                  bool
	Buckets                                    []string
}

func (o *s3Store) Fields(f *schema.Fields) {
	o.PartSize = 8 << 20
	f.String(&o.Bucket, "bucket", "Name of the bucket.").Required().Eg(`"lake"`).Validate(func() error {
		if len(o.Bucket) < 3 {
			return fmt.Errorf("The name %q is too short: a bucket's has 3 to 63 characters.", o.Bucket)
		}
		return nil
	})
	f.String(&o.Region, "region", "Region.")
	f.String(&o.Endpoint, "endpoint", "Address.")
	f.Bool(&o.PathStyle, "path_style", "Bucket in the path.").Default("false")
	f.Size(&o.PartSize, "part_size", "Size of a part.").Default(`"8MiB"`)
	f.Int(&o.Retain, "retain_days", "Days.")
	f.String(&o.SSE, "sse", "Encryption.").OneOf("aes256", "kms")
	f.String(&o.KMSKey, "kms_key_id", "Key.")
	f.Strings(&o.Buckets, "mirrors", "Other buckets.")
	f.String(&o.Old, "bucket_region", "Region.").Instead(`"region"`)
	f.AllOrNone("sse", "kms_key_id")
}

type gcsStore struct{ Bucket, Project, ProjectID string }

func (o *gcsStore) Fields(f *schema.Fields) {
	f.String(&o.Bucket, "bucket", "Name of the bucket.").Required()
	f.String(&o.Project, "project", "Project.")
	f.String(&o.ProjectID, "project_id", "Project.")
	f.AtMostOneOf("project", "project_id")
}

type azureStore struct{ Account, Container, Filesystem string }

func (o *azureStore) Fields(f *schema.Fields) {
	f.String(&o.Account, "account", "Account.").Required()
	f.String(&o.Container, "container", "Container.")
	f.String(&o.Filesystem, "filesystem", "File system.")
	f.ExactlyOneOf("container", "filesystem")
}

type fileTopic struct{ Path string }

func (o *fileTopic) Fields(f *schema.Fields) { f.Path(&o.Path, "path", "File.").Required() }

type busTopic struct{ Bus, Region string }

func (o *busTopic) Fields(f *schema.Fields) {
	f.String(&o.Bus, "bus", "Bus.").Required()
	f.String(&o.Region, "region", "Region.")
}

type hookTopic struct {
	URL, A, B string
	Key       secret.String
}

func (o *hookTopic) Fields(f *schema.Fields) {
	f.String(&o.URL, "url", "Address.").Required()
	f.Secret(&o.Key, "signing_key", "Key.")
	f.String(&o.A, "header_a", "A.")
	f.String(&o.B, "header_b", "B.")
	f.AtLeastOneOf("signing_key", "header_a", "header_b")
}
