package ociauth

import (
	"fmt"
	"regexp"
	"sync"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Family is the credential family.
const Family = "oci"

// Its methods.
const (
	methodDefault  = "default"
	methodAPIKey   = "api_key"
	methodToken    = "security_token"
	methodInstance = "instance_principal"
	methodResource = "resource_principal"
	methodWorkload = "workload_identity"
)

// Options are the attributes of `credential "oci"`.
type Options struct {
	Method         string
	ConfigFile     string
	Profile        string
	Tenancy        string
	User           string
	Fingerprint    string
	PrivateKey     secret.String
	PrivateKeyFile string
	Passphrase     secret.String
	TokenFile      string
	Region         string
	AuthEndpoint   string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.Path(&o.ConfigFile, "config_file", "Configuration file that `oci setup config` writes; when absent, ~/.oci/config.").Eg(`"/etc/dsrun/oci.conf"`).FromEnv("OCI_CONFIG_FILE", "OCI_CLI_CONFIG_FILE")
	f.String(&o.Profile, "profile", "Profile of the configuration file; when absent, DEFAULT.").Eg(`"TEAM"`).FromEnv("OCI_CONFIG_PROFILE", "OCI_CLI_PROFILE")
	f.String(&o.Tenancy, "tenancy", "OCID of the tenancy.").Eg(`"ocid1.tenancy.oc1..exampleuniqueid"`).FromEnv("OCI_CLI_TENANCY").
		Validate(func() error { return checkOCID("tenancy", o.Tenancy) })
	f.String(&o.User, "user", "OCID of the user whose API key it is.").Eg(`"ocid1.user.oc1..exampleuniqueid"`).FromEnv("OCI_CLI_USER").
		Validate(func() error { return checkOCID("user", o.User) })
	f.String(&o.Fingerprint, "fingerprint", "Fingerprint of the API key, as the console shows it.").Eg(`"20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"`).FromEnv("OCI_CLI_FINGERPRINT").
		Validate(func() error { return checkFingerprint(o.Fingerprint) })
	f.Secret(&o.PrivateKey, "private_key", "The RSA key in PEM form.").FromEnv("OCI_CLI_KEY_CONTENT")
	f.Path(&o.PrivateKeyFile, "private_key_file", "File with the RSA key in PEM form.").Eg(`"oci_api_key.pem"`).FromEnv("OCI_CLI_KEY_FILE")
	f.Secret(&o.Passphrase, "passphrase", "Passphrase of the key, if it is encrypted.").FromEnv("OCI_CLI_PASSPHRASE")
	f.Path(&o.TokenFile, "token_file", "File with a session's token, as `oci session authenticate` writes it; it is read anew for each use.").Eg(`"token"`).FromEnv("OCI_CLI_SECURITY_TOKEN_FILE")
	f.String(&o.Region, "region", "Region of the blocks that use the credential and name none.").Eg(`"eu-frankfurt-1"`).FromEnv("OCI_CLI_REGION", "OCI_REGION").
		Validate(func() error { return CheckRegion(o.Region) })
	f.String(&o.AuthEndpoint, "auth_endpoint", "URL of the service that gives tokens to instances; when absent, that of the instance's region.").Eg(`"https://auth.eu-frankfurt-1.oraclecloud.com"`).
		Validate(func() error { return CheckURL("auth_endpoint", o.AuthEndpoint) })

	f.Method(&o.Method, methodDefault, "What the tools of Oracle find: environment, then the configuration file with its API key or session.").Allows("config_file", "profile", "region").FromAmbient()
	f.Method(&o.Method, methodAPIKey, "An API key of a user.").Needs("tenancy", "user", "fingerprint").NeedsOneOf("private_key", "private_key_file").Allows("passphrase", "region")
	f.Method(&o.Method, methodToken, "A session with a token and its key.").Needs("token_file").NeedsOneOf("private_key", "private_key_file").Allows("passphrase", "region")
	f.Method(&o.Method, methodInstance, "The identity of the compute instance that dsrun runs on.").Allows("region", "auth_endpoint")
	f.Method(&o.Method, methodResource, "The identity that Oracle's services (Functions, Data Science, ...) give to what runs in them.").Allows("region")
	f.Method(&o.Method, methodWorkload, "The identity of a pod in Oracle's Kubernetes (OKE).").Allows("region")
}

// Provider returns the credential family "oci".
func Provider() provider.Provider {
	return provider.Credential(Family, "Logs in to Oracle Cloud Infrastructure.", open)
}

// Patterns are compiled when first used, not at each start of the program.
var (
	ocid        = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^ocid1\.[a-z]+\.[\w-]*\.[\w-]*\.[\w.-]+$`) })
	fingerprint = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9a-f]{2}:){15}[0-9a-f]{2}$`) })
	region      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z]{3}$|^[a-z]+(-[a-z]+)+-[0-9]+$`) })
)

func checkOCID(name, s string) error {
	if !ocid().MatchString(s) {
		return fmt.Errorf("%q must be an OCID: it has the form \"ocid1.%s.oc1..UNIQUE_ID\".", name, name)
	}
	return nil
}

func checkFingerprint(s string) error {
	if !fingerprint().MatchString(s) {
		return fmt.Errorf("The fingerprint must be sixteen pairs of hexadecimal digits in lower case with colons between.")
	}
	return nil
}

// CheckRegion checks the name of a region.
func CheckRegion(s string) error {
	if !region().MatchString(s) {
		return fmt.Errorf("The region must have the form \"eu-frankfurt-1\" or be a code such as \"fra\".")
	}
	return nil
}
