package schema

import "encoding/json"

// Source knows the kinds of blocks; provider.Registry is one.
type Source interface {
	Lookup(kind, label string) (Body, bool)
	Labels(kind string) []string
}

// object is a JSON Schema under construction; encoding/json writes its keys in order.
type object = map[string]any

// identifier is the form of names that users choose.
const identifier = "^[a-z][a-z0-9_]{0,63}$"

// JSONSchema returns a JSON Schema (draft 2020-12) of the configuration language in its JSON variant (*.dsrun.hcl.json), for
// completion and checks in editors. Wherever a value is not a text, a text with an expression is allowed too: "${...}".
// The relations among attributes are left to `dsrun validate`.
func JSONSchema(src Source) []byte {
	defs := object{
		"expression": object{"type": "string", "pattern": `[$%]\{`, "description": "A text that holds an expression."},
		"comment":    object{"description": "A comment."},
	}
	props := object{
		"//":       object{"$ref": "#/$defs/comment"},
		"settings": bodySchema(SettingsBody(), nil),
		"variable": named(object{"type": "object", "additionalProperties": false, "properties": object{
			"//":          object{"$ref": "#/$defs/comment"},
			"type":        object{"type": "string", "description": "Type of the value, such as string or list(number)."},
			"default":     object{"description": "Value when none is given."},
			"description": object{"type": "string", "description": "What the variable is for."},
			"sensitive":   object{"type": "boolean", "description": "Never show the value."},
			"validation": oneOrMore(object{"type": "object", "additionalProperties": false, "required": []string{"condition", "error_message"}, "properties": object{
				"//":            object{"$ref": "#/$defs/comment"},
				"condition":     object{"description": "True when the value is good."},
				"error_message": object{"type": "string", "description": "What is said otherwise."},
			}}),
		}}),
		"locals": object{"type": "object", "propertyNames": object{"anyOf": []any{object{"pattern": identifier}, object{"const": "//"}}}, "description": "Values that expressions use as local.NAME."},
		"script": object{"type": "object", "additionalProperties": scriptSchema(), "description": ScriptBody().Summary},
	}
	for _, kind := range []string{"credential", "datastore", "topic"} {
		kinds := object{}
		for _, label := range src.Labels(kind) {
			if b, ok := src.Lookup(kind, label); ok {
				common := &Fields{}
				CommonFields(common, &Common{}, kind, b.Families)
				kinds[label] = named(bodySchema(b, common))
			}
		}
		props[kind] = object{"type": "object", "properties": kinds, "additionalProperties": false}
	}
	out, err := json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "dsrun configuration", "$defs": defs,
		"type": "object", "properties": props, "additionalProperties": false,
	}, "", "  ")
	if err != nil {
		panic(err) // only texts, lists and maps are in it
	}
	return append(out, '\n')
}

// named is an object of bodies by the names that users choose.
func named(body object) object {
	return object{"type": "object", "patternProperties": object{identifier: oneOrMore(body)}, "properties": object{"//": object{"$ref": "#/$defs/comment"}}, "additionalProperties": false}
}

func oneOrMore(o object) object {
	return object{"anyOf": []any{o, object{"type": "array", "items": o}}}
}

func scriptSchema() object {
	s := bodySchema(ScriptBody(), nil)
	p := s["properties"].(object)
	p["store"] = named(bodySchema(GrantBody(), nil))
	p["limits"] = bodySchema(LimitsBody(), nil)
	return s
}

// bodySchema is the schema of one block.
func bodySchema(b Body, common *Fields) object {
	_, own := b.Declare()
	props := object{"//": object{"$ref": "#/$defs/comment"}}
	var required []string
	list := own.List
	if common != nil {
		list = append(append([]*Field{}, list...), common.List...)
	}
	for _, f := range list {
		props[f.Name] = fieldSchema(f)
		if f.IsRequired {
			required = append(required, f.Name)
		}
	}
	if len(own.Methods) > 0 {
		var names []string
		for _, m := range own.Methods {
			names = append(names, m.Name)
		}
		props["method"] = object{"enum": names, "description": "How the credential is given; inferred when absent."}
	}
	o := object{"type": "object", "properties": props, "additionalProperties": false}
	if b.Summary != "" {
		o["description"] = b.Summary
	}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func fieldSchema(f *Field) object {
	expr := object{"$ref": "#/$defs/expression"}
	null := object{"type": "null"}
	var forms []any
	switch f.Kind {
	case KindBool:
		forms = []any{object{"type": "boolean"}, expr, null}
	case KindInt:
		forms = []any{object{"type": "integer"}, expr, null}
	case KindSize:
		forms = []any{object{"type": "integer", "minimum": 0}, object{"type": "string", "pattern": `^\s*[0-9.]+\s*([KMGT]iB|[kKMGT]B|B)?\s*$`}, expr, null}
	case KindDuration:
		forms = []any{object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}, expr, null}
	case KindStrings:
		item := object{"type": "string"}
		if len(f.Choices) > 0 {
			item = object{"anyOf": []any{object{"enum": f.Choices}, expr}}
		}
		forms = []any{object{"type": "array", "items": item}, expr, null}
	case KindMap:
		forms = []any{object{"type": "object", "additionalProperties": object{"type": []string{"string", "number", "boolean"}}}, expr, null}
	case KindRef:
		forms = []any{expr, null}
	default:
		if len(f.Choices) > 0 {
			forms = []any{object{"enum": f.Choices}, expr, null}
		} else {
			forms = []any{object{"type": []string{"string", "number", "boolean"}}, null}
		}
	}
	o := object{"anyOf": forms, "description": meaning(f)}
	if f.Sensitive {
		o["writeOnly"] = true
	}
	if f.Deprecated != "" {
		o["deprecated"] = true
	}
	return o
}
