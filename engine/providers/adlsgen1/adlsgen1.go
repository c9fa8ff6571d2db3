// Package adlsgen1 keeps objects as files of Azure Data Lake Storage Gen1, which spoke the REST API of HDFS with the
// tokens of Microsoft Entra.
//
// Microsoft ended the service on 2024-02-29, and no account of it can be reached any more. The kind is there so that
// configurations that name it are understood, and for gateways that stand in for an account. So it is the driver of
// internal/webhdfs as it is, with a bearer token, and it needs all of HDFS's operations, of which Gen1 itself did not
// have every one (LISTSTATUS_BATCH, GETFILECHECKSUM, inodes).
//
// Source: "Service-to-service authentication with Azure Data Lake Storage Gen1 using REST API" of Microsoft's
// documentation.
package adlsgen1

import (
	"context"
	"fmt"
	"strings"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/providers/internal/webhdfs"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	suffix = "azuredatalakestore.net"
	scope  = "https://datalake.azure.net/.default"
)

// Options of `datastore "adls_gen1"`.
type Options struct {
	Account  string
	Root     string
	Endpoint string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	o.Root = "/"
	f.String(&o.Account, "account", "Name of the Data Lake Storage Gen1 account.").Required().Eg(`"examplelake"`).
		Validate(func() error { return checkAccount(o.Account) })
	f.String(&o.Root, "root", "Folder of the account that holds the objects.").Eg(`"/data/raw"`).Default(`"/"`).
		Validate(func() error { return webhdfs.CheckRoot(o.Root) })
	f.String(&o.Endpoint, "endpoint", "URL of what answers in place of the account.").Eg(`"https://gateway.example.com"`).
		Validate(func() error {
			if !webhdfs.IsEndpoint(o.Endpoint) {
				return fmt.Errorf("%q must be a URL such as \"https://gateway.example.com\", without user, query or fragment.", "endpoint")
			}
			return nil
		})
}

func checkAccount(s string) error {
	ok := len(s) >= 3 && len(s) <= 24
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
	}
	if !ok {
		return fmt.Errorf("The account %q must be 3 to 24 lower-case letters and digits.", s)
	}
	return nil
}

// Provider returns the datastore kind "adls_gen1".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("adls_gen1", "Files of Azure Data Lake Storage Gen1, which Microsoft retired.", Open).With(azureauth.Family).
		Warn("Microsoft retired Azure Data Lake Storage Gen1 on 2024-02-29; use adls_gen2 or azure_blob."), addressing, (*Options).holds)
}

// Open opens a folder. Nothing is asked of the service yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	at := o.Endpoint
	if at == "" {
		at = "https://" + o.Account + "." + suffix
	}
	root := strings.TrimRight(o.Root, "/")
	return webhdfs.Open(env, webhdfs.Config{
		Endpoint: at, Root: o.Root, SameHost: true, Login: login(env.Credential),
		// The form of Hadoop's own driver; it names the account whatever answers for it.
		URI: func(key string) string { return "adl://" + o.Account + "." + suffix + root + "/" + key },
		Codes: map[string]fault.Code{
			"BadOffsetException": fault.Unavailable, "ThrottledException": fault.ResourceExhausted, "AdlsThrottledException": fault.ResourceExhausted,
		},
		Hints: map[string]string{
			"SecurityException":       "The token is refused: check the identity of the `credential \"azure\"`.",
			"AuthenticationException": "The token is refused: check the identity of the `credential \"azure\"`.",
			"AccessControlException":  "Give the identity of the `credential \"azure\"` access to the folder.",
		},
	})
}

// login gives bearer tokens. Keys and shared access signatures are none of the service's ways.
func login(src credential.Source) webhdfs.Login {
	return func(ctx context.Context, refresh bool) (who webhdfs.Who, err error) {
		const hint = "Declare a `credential \"azure\"` with a service principal or another identity of Microsoft Entra."
		if src == nil || azureauth.Anonymous(src) {
			return who, fault.Hinted(fault.Unauthenticated, hint, "Data Lake Storage Gen1 takes no requests without an identity")
		}
		v, err := src.Resolve(ctx, credential.Want{Audience: scope, Refresh: refresh})
		if err != nil {
			return who, err
		}
		if who.Bearer = v.Fields[azureauth.FieldToken].Reveal(); who.Bearer == "" {
			return who, fault.Hinted(fault.InvalidArgument, hint, "Data Lake Storage Gen1 takes tokens only, no keys and no shared access signatures")
		}
		return who, nil
	}
}
