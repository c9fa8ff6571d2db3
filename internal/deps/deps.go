//go:build tools

package deps

import (
	_ "cloud.google.com/go/pubsub/v2"
	_ "cloud.google.com/go/pubsub/v2/pstest"
	_ "cloud.google.com/go/storage"
	_ "github.com/Azure/azure-sdk-for-go/sdk/azcore"
	_ "github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	_ "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	_ "github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/service"
	_ "github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/service"
	_ "github.com/oracle/oci-go-sdk/v65/common/auth"
	_ "github.com/oracle/oci-go-sdk/v65/objectstorage"
	_ "github.com/pkg/sftp"
	_ "golang.org/x/crypto/ssh"
	_ "golang.org/x/crypto/chacha20"
	_ "golang.org/x/crypto/ssh/knownhosts"
	_ "go.etcd.io/bbolt"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "golang.org/x/oauth2/google"
	_ "google.golang.org/api/option"
	_ "google.golang.org/grpc"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/decred/dcrd/dcrec/secp256k1/v4"
	_ "golang.org/x/net/http2"
)
