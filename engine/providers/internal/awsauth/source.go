package awsauth

import (
	"context"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

func open(ctx context.Context, env provider.Env, o *Options) (credential.Source, error) {
	return nil, fault.New(fault.Unimplemented, "method %q is not there yet", o.Method)
}
