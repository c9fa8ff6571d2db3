// Package providers lists every kind of datastore, topic and credential that the dsrun binary knows.
package providers

import (
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/adlsgen2"
	"github.com/dsrun/dsrun/engine/providers/azureblob"
	"github.com/dsrun/dsrun/engine/providers/azurefiles"
	"github.com/dsrun/dsrun/engine/providers/eventbridge"
	"github.com/dsrun/dsrun/engine/providers/eventgrid"
	"github.com/dsrun/dsrun/engine/providers/file"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
	"github.com/dsrun/dsrun/engine/providers/internal/hdfsauth"
	"github.com/dsrun/dsrun/engine/providers/internal/ociauth"
	"github.com/dsrun/dsrun/engine/providers/local"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/providers/oci"
	"github.com/dsrun/dsrun/engine/providers/pubsub"
	"github.com/dsrun/dsrun/engine/providers/s3"
	"github.com/dsrun/dsrun/engine/providers/sftp"
	"github.com/dsrun/dsrun/engine/providers/sns"
	"github.com/dsrun/dsrun/engine/providers/sqs"
	"github.com/dsrun/dsrun/engine/providers/webhdfs"
	"github.com/dsrun/dsrun/engine/providers/webhook"
)

// All returns the registry of every provider, in the order of the reference.
func All() *provider.Registry {
	return provider.NewRegistry(
		local.Provider(),
		memory.Provider(),
		s3.Provider(),
		azureblob.Provider(),
		sftp.Provider(),
		oci.Provider(),
		webhdfs.Provider(),
		adlsgen2.Provider(),
		azurefiles.Provider(),
		file.Provider(),
		memory.TopicProvider(),
		eventbridge.Provider(),
		eventgrid.Provider(),
		pubsub.Provider(),
		sns.Provider(),
		sqs.Provider(),
		webhook.Provider(),
		awsauth.Provider(),
		awsauth.CompatibleProvider(),
		azureauth.Provider(),
		gcpauth.Provider(),
		sftp.CredentialProvider(),
		ociauth.Provider(),
		hdfsauth.Provider(),
	)
}
