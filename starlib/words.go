package starlib

import (
	"strings"

	"go.starlark.net/starlark"
)

// Word is a predeclared name of scripts. Exactly one of Func, Module and Make is set.
type Word struct {
	Name   string
	Func   *Function
	Module *Module
	// Make returns the value for one run; Doc and Type (may be nil) describe it.
	Make func(r *Run) starlark.Value
	Doc  string
	Type *Methods
}

// words lists every predeclared name in the order of the reference.
func words() []Word {
	return append(dataWords(), toolWords()...)
}

// types lists the types of values that have methods of their own, for the reference.
func types() []*Methods {
	return append(dataTypes(), toolTypes()...)
}

// toolWords are the names that have nothing to do with data stores.
func toolWords() []Word {
	return []Word{
		{Name: "run", Doc: runType.Doc, Make: newRunValue, Type: runType},
		{Name: "log", Module: logModule},
		{Name: "parallel", Module: parallelModule},
		{Name: "catch", Func: fnCatch},
		{Name: "fail", Func: fnFail},
		{Name: "struct", Func: fnStruct},
		{Name: "fmt", Func: fnFmt},
		{Name: "json", Module: jsonModule},
		{Name: "csv", Module: csvModule},
		{Name: "re", Module: reModule},
		{Name: "time", Module: timeModule},
		{Name: "math", Module: mathModule},
		{Name: "path", Module: pathModule},
		{Name: "human", Module: humanModule},
		{Name: "hash", Module: hashModule},
		{Name: "base64", Module: base64Module},
		{Name: "help", Func: fnHelp},
	}
}

func toolTypes() []*Methods { return []*Methods{errorType, matchType, runType} }

// extraWords groups functions that the embedding program adds: "a.b" becomes an attribute of the module a.
func extraWords(funcs []*Function) []Word {
	var ws []Word
	byModule := map[string][]*Function{}
	var order []string
	for _, f := range funcs {
		mod, _, dotted := strings.Cut(f.Name, ".")
		if !dotted {
			ws = append(ws, Word{Name: f.Name, Func: f})
			continue
		}
		if byModule[mod] == nil {
			order = append(order, mod)
		}
		byModule[mod] = append(byModule[mod], f)
	}
	for _, mod := range order {
		ws = append(ws, Word{Name: mod, Module: NewModule(mod, "", nil, byModule[mod]...)})
	}
	return ws
}

// value returns the word's value for a run.
func (w Word) value(r *Run) starlark.Value {
	switch {
	case w.Func != nil:
		return w.Func.Value()
	case w.Module != nil:
		return w.Module
	}
	return w.Make(r)
}
