package s3

import (
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/dsrun/dsrun/engine" // WANT "imports run downward"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
	"github.com/dsrun/dsrun/engine/providers/memory" // WANT "of the same floor"
	"os"
)

func use() { _, _ = os.Create("x") } // WANT "os.Create"
