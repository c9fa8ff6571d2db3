package starlib

import (
	"go.starlark.net/starlark"
)

var logModule = NewModule("log", "Messages for whoever runs the script, on standard error and apart from what print() writes.", nil,
	declareLog("debug", "Logs a message that is of use when something is looked into; shown with --log-level debug."),
	declareLog("info", "Logs a message about the ordinary course of things."),
	declareLog("warn", "Logs a message about something that may need attention."),
	declareLog("error", "Logs a message about something that went wrong while the script goes on."),
)

func declareLog(level, doc string) *Function {
	return Declare(Func{Name: "log." + level, Doc: doc, Returns: "None", Example: `log.` + level + `("rows read", file = "a.csv", rows = 3)`},
		func(p *Params) Impl {
			msg := p.Value("msg", "The message; values that are no strings are shown as print() shows them.").Positional()
			fields := p.KwRest("fields", "Named values that belong to it.")
			return func(c *Call) (starlark.Value, error) {
				text, err := valueText(c.Run, msg.Get(c))
				if err != nil {
					return nil, err
				}
				var fs []Field
				for _, kv := range fields.Get(c) {
					v, err := fieldValue(c.Run, kv[1], 0)
					if err != nil {
						return nil, err
					}
					fs = append(fs, Field{Name: string(kv[0].(starlark.String)), Value: v})
				}
				if c.Run.Host != nil {
					c.Run.Host.Log(c.Run.Ctx, level, text, fs)
				}
				return nil, nil
			}
		})
}

// maxFieldDepth is how deep a field of a log line may nest; what lies below is shown as text.
const maxFieldDepth = 8

// fieldValue converts a value to what Field.Value holds.
func fieldValue(r *Run, v starlark.Value, depth int) (any, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Int:
		if i, ok := v.Int64(); ok {
			return i, nil
		}
	case starlark.Float:
		return float64(v), nil
	case *starlark.List, starlark.Tuple:
		if depth < maxFieldDepth {
			seq := v.(starlark.Indexable)
			list := make([]any, 0, min(seq.Len(), 1000))
			for i := range seq.Len() {
				e, err := fieldValue(r, seq.Index(i), depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, e)
			}
			return list, r.Charge(int64(len(list)) * 16)
		}
	case *starlark.Dict:
		if depth < maxFieldDepth {
			m := make(map[string]any, min(v.Len(), 1000))
			for k, e := range v.Entries() {
				name, err := valueText(r, k)
				if err != nil {
					return nil, err
				}
				if m[name], err = fieldValue(r, e, depth+1); err != nil {
					return nil, err
				}
			}
			return m, r.Charge(int64(len(m)) * 48)
		}
	}
	return valueText(r, v)
}
