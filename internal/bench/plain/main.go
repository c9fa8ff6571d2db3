// Command plain runs a script with nothing but the interpreter: the floor that dsrun's script loop is compared with.
package main

import (
	"fmt"
	"os"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

func main() {
	o := &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true}
	globals, err := starlark.ExecFileOptions(o, &starlark.Thread{}, os.Args[1], nil, nil)
	if err == nil {
		if f := globals["main"]; f != nil {
			_, err = starlark.Call(&starlark.Thread{}, f, nil, nil)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
