package engine

import (
	"github.com/aws/aws-sdk-go-v2/aws" // WANT "whose place is"
	"github.com/dsrun/dsrun/cmd/dsrun" // WANT "imports run downward"
	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"    // WANT "the caller hands providers in"
	"github.com/dsrun/dsrun/engine/providers/s3" // WANT "the caller hands providers in"
	"github.com/dsrun/dsrun/starlib"
	"github.com/hashicorp/hcl/v2"
	"go.starlark.net/starlark"
	"log" // WANT "log outside"
	"reflect"
)

func use(v reflect.Value) {
	_ = v.MethodByName("X") // WANT "reflection by method"
	_ = v.Type().Method(0)  // WANT "reflection by method"
}
