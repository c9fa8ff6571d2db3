// Package webhdfs keeps objects as files of a Hadoop cluster, by the REST API of HDFS: see internal/webhdfs, which speaks
// it. Here is what a cluster of one's own needs: the address of its name node, the hosts of its data nodes, and a user's
// name or a delegation token.
package webhdfs

import (
	"context"
	"errors"
	"fmt"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/hdfsauth"
	"github.com/dsrun/dsrun/engine/providers/internal/webhdfs"
	"github.com/dsrun/dsrun/engine/store"
)

// Options of `datastore "webhdfs"`.
type Options struct {
	Endpoint  string
	Root      string
	DataNodes []string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	o.Root = "/"
	f.String(&o.Endpoint, "endpoint", "URL of the name node's web server, or of a gateway such as HttpFS or Knox.").Required().Eg(`"https://namenode.example.com:9871"`).
		Validate(func() error {
			if !webhdfs.IsEndpoint(o.Endpoint) {
				return fmt.Errorf("%q must be a URL such as \"https://namenode.example.com:9871\", without user, query or fragment.", "endpoint")
			}
			return nil
		})
	f.String(&o.Root, "root", "Folder of the cluster that holds the objects.").Eg(`"/data/raw"`).Default(`"/"`).
		Validate(func() error { return webhdfs.CheckRoot(o.Root) })
	f.Strings(&o.DataNodes, "data_nodes", "Hosts (\"host\" or \"host:port\", or \".domain\" for all in it) that redirects may lead to; when absent, the endpoint's own host and those of its domain.").Eg(`[".dn.example.com"]`)
}

// Provider returns the datastore kind "webhdfs".
func Provider() provider.Provider {
	return provider.Addressed(provider.Store("webhdfs", "Files of a Hadoop cluster (HDFS), by its REST API.", Open).With(hdfsauth.Family), addressing, (*Options).holds)
}

// Open opens a folder. Nothing is asked of the cluster yet.
func Open(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
	return webhdfs.Open(env, webhdfs.Config{Endpoint: o.Endpoint, Root: o.Root, DataNodes: o.DataNodes, Login: login(env.Credential)})
}

// login is who asks, as parameters of a query: a name that the cluster believes, or a token.
func login(src credential.Source) webhdfs.Login {
	if src == nil {
		return nil
	}
	return func(ctx context.Context, _ bool) (who webhdfs.Who, err error) {
		v, err := src.Resolve(ctx, credential.Want{})
		switch {
		case errors.Is(err, credential.ErrAbsent):
			return who, nil
		case err != nil:
			return who, err
		}
		if t := v.Fields[hdfsauth.FieldToken].Reveal(); t != "" {
			who.Query = []string{"delegation", t}
		} else {
			who.Query = []string{"user.name", v.Fields[hdfsauth.FieldUser].Reveal()}
		}
		return who, nil
	}
}
