package store

import (
	"C"              // WANT "cgo"
	_ "encoding/gob" // WANT "blank import"
	"html/template"  // WANT "linker"
	"os"
	"os/exec"   // WANT "os/exec outside"
	"plugin"    // WANT "plugin"
	. "strings" // WANT "dot import"
	"syscall"
	txt "text/template" // WANT "linker"

	"github.com/aws/aws-sdk-go-v2/aws" // WANT "whose place is"
	"github.com/dsrun/dsrun/config"    // WANT "imports run downward"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/internal/testbed" // WANT "for tests and tools"
	"github.com/hashicorp/hcl/v2/hclsyntax"   // WANT "whose place is"
	"github.com/zclconf/go-cty/cty"           // WANT "whose place is"
	"go.starlark.net/starlark"                // WANT "whose place is"
	"go.uber.org/goleak"                      // WANT "whose place is"
	"golang.org/x/sync/errgroup"
)

func init() {} // WANT "init function"

type T struct{}

func (T) init() {}

func use(o struct{ Args, Open int }) {
	_ = os.Args                           // WANT "os.Args"
	_ = os.Getenv("X")                    // WANT "os.Getenv"
	_ = os.Environ()                      // WANT "os.Environ"
	os.Exit(1)                            // WANT "os.Exit"
	_ = os.Stdout                         // WANT "os.Stdout"
	_, _ = os.ReadFile("x")               // WANT "os.ReadFile"
	f := os.OpenFile                      // WANT "os.OpenFile"
	_, _ = os.OpenRoot("x")               // WANT "os.OpenRoot"
	_, _ = os.StartProcess("x", nil, nil) // WANT "os.StartProcess"
	_ = syscall.ForkExec                  // WANT "syscall.ForkExec"
	println("x")                          // WANT "println"
	_ = os.ErrNotExist
	_ = os.O_RDONLY
	var r *os.Root
	_, _ = r.Open("x")
	os := o
	_ = os.Args
	_ = os.Open
	print := func(string) {}
	print("x")
}
