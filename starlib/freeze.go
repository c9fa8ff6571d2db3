package starlib

import (
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxFreezeDepth bounds the nesting of values that are frozen: starlark-go descends into them on the Go stack, whose
// overflow ends the process.
const maxFreezeDepth = 100_000

// freeze makes values immutable, so that other threads can read them.
func freeze(r *Run, vs ...starlark.Value) error {
	if err := checkNesting(maxFreezeDepth, vs...); err != nil {
		return err
	}
	for _, v := range vs {
		v.Freeze()
	}
	return nil
}

// holder is a value of the host, always a pointer, that holds values of scripts: a stream, a row.
type holder interface{ held() []starlark.Value }

// checkNesting walks the containers below vs without recursion and returns an error where they nest too deeply.
func checkNesting(limit int, vs ...starlark.Value) error {
	type item struct {
		v     starlark.Value
		depth int
	}
	var stack []item
	seen := map[any]int{} // the depth at which a container was last looked into
	push := func(v starlark.Value, depth int) {
		switch v.(type) {
		case *starlark.List, starlark.Tuple, *starlark.Dict, *starlark.Set, *starlark.Function, *starlarkstruct.Struct, holder:
			stack = append(stack, item{v, depth})
		}
	}
	for _, v := range vs {
		push(v, 1)
	}
	for len(stack) > 0 {
		it := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if it.depth > limit {
			return fault.New(fault.Limit, "a value nests more than %d deep", limit)
		}
		var key any = it.v
		if t, ok := it.v.(starlark.Tuple); ok {
			if len(t) == 0 {
				continue
			}
			key = &t[0]
		}
		if _, ok := seen[key]; ok {
			continue
		}
		seen[key] = it.depth
		switch v := it.v.(type) {
		case holder:
			for _, e := range v.held() {
				push(e, it.depth+1)
			}
		case *starlark.List:
			for i := range v.Len() {
				push(v.Index(i), it.depth+1)
			}
		case starlark.Tuple:
			for _, e := range v {
				push(e, it.depth+1)
			}
		case *starlark.Dict:
			for _, e := range v.Entries() {
				push(e, it.depth+1)
			}
		case *starlarkstruct.Struct:
			for _, name := range v.AttrNames() {
				if e, err := v.Attr(name); err == nil {
					push(e, it.depth+1)
				}
			}
		case *starlark.Function:
			for i := range v.NumFreeVars() {
				if _, free := v.FreeVar(i); free != nil {
					push(free, it.depth+1)
				}
			}
			for i := range v.NumParams() {
				if d := v.ParamDefault(i); d != nil {
					push(d, it.depth+1)
				}
			}
		}
	}
	return nil
}
