// Package hdfsauth holds the credential family "hdfs": how a client of WebHDFS says who it is. A cluster without
// Kerberos believes the name that it is told; one with Kerberos takes a delegation token that somebody got beforehand.
package hdfsauth

import (
	"context"
	"fmt"
	"strings"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Family is the credential family.
const Family = "hdfs"

// The fields of a credential.Value of the family "hdfs": one of them is there.
const (
	FieldUser  = "user"
	FieldToken = "delegation_token"
)

const (
	methodSimple = "simple"
	methodToken  = "delegation_token"
)

// Options are the attributes of `credential "hdfs"`.
type Options struct {
	Method          string
	User            string
	DelegationToken secret.String
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.User, "user", "Name of the user, which the cluster believes.").Eg(`"hdfs"`).
		Validate(func() error {
			if strings.ContainsAny(o.User, "/ \t\n\x00") {
				return fmt.Errorf("The user's name has neither spaces nor slashes.")
			}
			return nil
		})
	f.Secret(&o.DelegationToken, "delegation_token", "Delegation token of a cluster with Kerberos, as `hdfs fetchdt --print` or GETDELEGATIONTOKEN give it.")
	f.Method(&o.Method, methodSimple, "A name that is not proven, for clusters without Kerberos.").Needs("user")
	f.Method(&o.Method, methodToken, "A token that was got with Kerberos elsewhere.").Needs("delegation_token")
}

// Provider returns the credential family "hdfs".
func Provider() provider.Provider {
	return provider.Credential(Family, "Says to a Hadoop cluster who is asking.", open)
}

// open makes the source of a declared block. Without one there is nothing: the cluster's own idea of a stranger counts.
func open(_ context.Context, env provider.Env, o *Options) (credential.Source, error) {
	name := fmt.Sprintf("credential %q %q", Family, env.Name)
	switch o.Method {
	case methodSimple:
		return credential.Static(name, map[string]secret.String{FieldUser: secret.New(o.User)}, env.Redactor), nil
	case methodToken:
		return credential.Static(name, map[string]secret.String{FieldToken: o.DelegationToken}, env.Redactor), nil
	}
	return credential.From("no user", func(context.Context, credential.Want) (credential.Value, error) {
		return credential.Value{}, fmt.Errorf("no user: %w", credential.ErrAbsent)
	}), nil
}
