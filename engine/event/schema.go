package event

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/dsrun/dsrun/engine/fault"
)

// Schema returns a check that holds data against a JSON Schema (drafts 4 to 2020-12; 2020-12 unless the text says
// otherwise). References reach inside of the text only. Its errors name the place in the data.
func Schema(text []byte) (check func(data []byte) error, _ error) {
	const name = "schema.json" // of a text that has no $id
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "the schema is not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		return nil, fault.New(fault.InvalidArgument, "the schema: %w", err)
	}
	s, err := c.Compile(name)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "the schema: %s", oneLine(err.Error()))
	}
	return func(data []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return fault.New(fault.InvalidArgument, "data is not JSON: %w", err)
		}
		err = s.Validate(v)
		var bad *jsonschema.ValidationError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &bad):
			return fault.New(fault.InvalidArgument, "the data is not as the topic's schema demands: %s", strings.Join(mistakes(bad), "; "))
		}
		return fault.New(fault.InvalidArgument, "the data: %w", err)
	}, nil
}

// noLoader refuses references to files and addresses: a schema must not read what its configuration does not.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside of the schema, and nothing is loaded: put it below $defs", url)
}

var english = message.NewPrinter(language.English)

// mostMistakes is how many an error tells.
const mostMistakes = 5

// mistakes lists what is wrong, each with its place: `data.rows[3].price: got string, want number`.
func mistakes(e *jsonschema.ValidationError) []string {
	var out []string
	var visit func(e *jsonschema.ValidationError)
	visit = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			visit(cause)
		}
		if len(e.Causes) == 0 {
			out = append(out, place(e.InstanceLocation)+": "+oneLine(e.ErrorKind.LocalizedString(english)))
		}
	}
	visit(e)
	slices.Sort(out) // the validator walks maps
	out = slices.Compact(out)
	if n := len(out) - mostMistakes; n > 0 {
		out = append(out[:mostMistakes], fmt.Sprintf("and %d more", n))
	}
	return out
}

func place(steps []string) string {
	var b strings.Builder
	b.WriteString("data")
	for _, s := range steps {
		if _, err := strconv.Atoi(s); err == nil {
			b.WriteString("[" + s + "]")
		} else {
			b.WriteString("." + s)
		}
	}
	return b.String()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
