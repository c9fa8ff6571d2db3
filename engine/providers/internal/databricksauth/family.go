package databricksauth

import (
	"fmt"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Family is the credential family.
const Family = "databricks"

// azureFamily is the family that the method "azure" takes its tokens from.
const azureFamily = "azure"

// Its methods.
const (
	methodDefault = "default"
	methodToken   = "token"
	methodM2M     = "oauth_m2m"
	methodAzure   = "azure"
	methodProfile = "profile"
)

// Options are the attributes of `credential "databricks"`.
type Options struct {
	Method       string
	Host         string
	Token        secret.String
	ClientID     string
	ClientSecret secret.String
	Credential   schema.Ref
	Profile      string
	ConfigFile   string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.Host, "host", "URL of the workspace that the credential is for and is sent to only; when absent, that of the block that uses it.").
		Eg(`"https://dbc-a1b2345c-d6e7.cloud.databricks.com"`).FromEnv("DATABRICKS_HOST").Validate(func() error { return CheckHost(o.Host) })
	f.Secret(&o.Token, "token", "Personal access token.").FromEnv("DATABRICKS_TOKEN")
	f.String(&o.ClientID, "client_id", "Application id of a service principal.").Eg(`"00000000-0000-0000-0000-000000000000"`).FromEnv("DATABRICKS_CLIENT_ID")
	f.Secret(&o.ClientSecret, "client_secret", "OAuth secret of the service principal.").FromEnv("DATABRICKS_CLIENT_SECRET")
	f.Ref(&o.Credential, "credential", "Credential of Azure that gets the tokens of Microsoft Entra.", "credential").Eg("credential.azure.main")
	f.String(&o.Profile, "profile", "Profile of the configuration file that `databricks configure` writes.").Eg(`"TEAM"`).FromEnv("DATABRICKS_CONFIG_PROFILE")
	f.Path(&o.ConfigFile, "config_file", "Configuration file; when absent, ~/.databrickscfg.").Eg(`"databricks.cfg"`).FromEnv("DATABRICKS_CONFIG_FILE")

	f.Method(&o.Method, methodDefault, "What the tools of Databricks find: environment, then the configuration file.").Allows("host").FromAmbient()
	f.Method(&o.Method, methodToken, "A personal access token.").Needs("token").Allows("host")
	f.Method(&o.Method, methodM2M, "A service principal of Databricks, by OAuth.").Needs("client_id", "client_secret").Allows("host")
	f.Method(&o.Method, methodAzure, "An identity of Microsoft Entra, for workspaces on Azure.").Needs("credential").Allows("host")
	f.Method(&o.Method, methodProfile, "A profile of the configuration file, whatever the environment says.").Needs("profile").Allows("config_file", "host")
}

// Provider returns the credential family "databricks".
func Provider() provider.Provider {
	return provider.Credential(Family, "Logs in to a Databricks workspace.", open)
}

// CheckHost checks an attribute that names a workspace.
func CheckHost(s string) error {
	if _, err := BaseURL(s); err != nil {
		return fmt.Errorf("The host must be the URL of a workspace, such as \"https://dbc-a1b2345c-d6e7.cloud.databricks.com\", without a path.")
	}
	return nil
}
