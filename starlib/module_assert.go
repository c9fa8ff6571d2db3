package starlib

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/dsrun/dsrun/engine/fault"
)

// shownValue is how much of a value a failed assertion shows, in bytes.
const shownValue = 600

var assertModule = NewModule("assert", "For test files only: checks that end the test when they do not hold. A row equals a dict of the same cells.", nil,
	assertEq, assertNe, assertTrue, assertFalse, assertContains,
	assertOrder("lt", "less than", syntax.LT, "assert.lt(1, 2)"),
	assertOrder("le", "less than or equal to", syntax.LE, "assert.le(2, 2)"),
	assertOrder("gt", "greater than", syntax.GT, `assert.gt("b", "a")`),
	assertOrder("ge", "greater than or equal to", syntax.GE, "assert.ge(2.5, 2)"),
	assertNear, assertFails,
)

// failed returns the error of an assertion that does not hold. Lines say what, msg what the test's author wanted to add.
func (c *Call) failed(msg string, lines ...string) error {
	if msg != "" {
		lines[0] = msg + ": " + lines[0]
	}
	return c.Fn.fail(fault.Fail, "", "%s", strings.Join(lines, "\n"))
}

const msgDoc = "What to say first when it fails."

var assertEq = Declare(Func{
	Name: "assert.eq", Returns: "None",
	Doc:     "Fails unless both values are equal, and shows both, and where they first differ.",
	Example: `assert.eq([1, {"a": 2.0}], [1, {"a": 2}])`,
}, func(p *Params) Impl {
	got, want := p.Value("got", "What there is."), p.Value("want", "What there should be.")
	msg := p.String("msg", msgDoc).Default("")
	return func(c *Call) (starlark.Value, error) {
		d, err := differ(got.Get(c), want.Get(c), "", 0)
		if err != nil || d == nil {
			return nil, err
		}
		lines := []string{"the values differ", "got:  " + briefText(got.Get(c), shownValue), "want: " + briefText(want.Get(c), shownValue)}
		if d.where != "" || d.why != "" {
			lines = append(lines, strings.TrimSpace(d.where+" "+d.why))
		}
		return nil, c.failed(msg.Get(c), lines...)
	}
})

var assertNe = Declare(Func{
	Name: "assert.ne", Returns: "None",
	Doc:     "Fails when both values are equal.",
	Example: `assert.ne("a", "b")`,
}, func(p *Params) Impl {
	x, y := p.Value("x", "One value."), p.Value("y", "The other.")
	msg := p.String("msg", msgDoc).Default("")
	return func(c *Call) (starlark.Value, error) {
		d, err := differ(x.Get(c), y.Get(c), "", 0)
		if err != nil || d != nil {
			return nil, err
		}
		return nil, c.failed(msg.Get(c), "both values are "+briefText(x.Get(c), shownValue))
	}
})

var assertTrue = assertTruth("true", true)
var assertFalse = assertTruth("false", false)

func assertTruth(word string, want bool) *Function {
	doc, example := "Fails unless the value is true or counts as true.", "assert.true(2 > 1)"
	if !want {
		doc, example = "Fails when the value is true or counts as true.", "assert.false([])"
	}
	return Declare(Func{Name: "assert." + word, Returns: "None", Doc: doc, Example: example}, func(p *Params) Impl {
		x := p.Value("x", "The value.")
		msg := p.String("msg", msgDoc).Default("")
		return func(c *Call) (starlark.Value, error) {
			if bool(x.Get(c).Truth()) == want {
				return nil, nil
			}
			return nil, c.failed(msg.Get(c), fmt.Sprintf("got %s, want what counts as %v", briefText(x.Get(c), shownValue), want))
		}
	})
}

var assertContains = Declare(Func{
	Name: "assert.contains", Returns: "None",
	Doc:     "Fails unless a text has a part, a dict a key, or a list, set or stream an element.",
	Example: `assert.contains("dataset.validated", "valid")`,
}, func(p *Params) Impl {
	whole, part := p.Value("whole", "The text, dict, list, set or stream."), p.Value("part", "What it should hold.")
	msg := p.String("msg", msgDoc).Default("")
	return func(c *Call) (starlark.Value, error) {
		found, err := contained(c, whole.Get(c), part.Get(c))
		if err != nil || found {
			return nil, err
		}
		return nil, c.failed(msg.Get(c), briefText(part.Get(c), shownValue)+" is missing", "in: "+briefText(whole.Get(c), shownValue))
	}
})

func contained(c *Call, whole, part starlark.Value) (found bool, err error) {
	switch w := whole.(type) {
	case starlark.String:
		s, ok := starlark.AsString(part)
		if !ok {
			return false, c.Bad("part", part, "string")
		}
		return strings.Contains(string(w), s), nil
	case starlark.Mapping:
		_, found, err = w.Get(part)
		return found, err
	case starlark.Iterable:
		err = Each(c.Thread, w, func(e starlark.Value) error {
			d, err := differ(e, part, "", 0)
			found = found || err == nil && d == nil
			return err
		})
		return found, err
	}
	return false, c.Bad("whole", whole, "string, dict or iterable")
}

func assertOrder(word, text string, op syntax.Token, example string) *Function {
	return Declare(Func{Name: "assert." + word, Returns: "None", Doc: "Fails unless x is " + text + " y.", Example: example}, func(p *Params) Impl {
		x, y := p.Value("x", "One value."), p.Value("y", "The other.")
		msg := p.String("msg", msgDoc).Default("")
		return func(c *Call) (starlark.Value, error) {
			ok, err := starlark.Compare(op, x.Get(c), y.Get(c))
			if err != nil || ok {
				return nil, err
			}
			return nil, c.failed(msg.Get(c), fmt.Sprintf("%s is not %s %s", briefText(x.Get(c), shownValue), text, briefText(y.Get(c), shownValue)))
		}
	})
}

var assertNear = Declare(Func{
	Name: "assert.near", Returns: "None",
	Doc:     "Fails unless two numbers differ by no more than a tolerance.",
	Example: `assert.near(0.1 + 0.2, 0.3)`,
}, func(p *Params) Impl {
	got, want := p.Float("got", "What there is."), p.Float("want", "What there should be.")
	tolerance := p.Float("tolerance", "How far they may be apart.").Default(1e-9)
	msg := p.String("msg", msgDoc).Default("")
	return func(c *Call) (starlark.Value, error) {
		if math.Abs(got.Get(c)-want.Get(c)) <= tolerance.Get(c) {
			return nil, nil
		}
		return nil, c.failed(msg.Get(c), fmt.Sprintf("got %v, want %v, at most %v apart", got.Get(c), want.Get(c), tolerance.Get(c)))
	}
})

var assertFails = Declare(Func{
	Name: "assert.fails", Returns: "error",
	Doc:     "Calls fn and fails unless that fails. The error is returned, as catch returns it. Limits of the run are not caught.",
	Example: `assert.fails(lambda: fail("no rows"), "^no", code = "fail").message  # -> "no rows"`,
}, func(p *Params) Impl {
	fn := p.Callable("fn", "What to call, without arguments.")
	pattern := p.String("pattern", "A regular expression that the error's message must match somewhere.").Default("")
	code := p.String("code", "The code that the error must have, such as \"not_found\".").Default("")
	msg := p.String("msg", msgDoc).Default("")
	return func(c *Call) (starlark.Value, error) {
		re, err := regexp.Compile(pattern.Get(c))
		if err != nil {
			return nil, c.Errorf("for parameter pattern: %w", err)
		}
		v, err := starlark.Call(c.Thread, fn.Get(c), nil, nil)
		err = c.Run.settle(c.Thread, err)
		if err == nil {
			return nil, c.failed(msg.Get(c), "no error was raised", "returned: "+briefText(v, shownValue))
		}
		if uncatchable(err) {
			return nil, err
		}
		if c.Run.Ctx.Err() != nil {
			return nil, context.Cause(c.Run.Ctx)
		}
		e := newErrorValue(err)
		said := string(e.attrs["message"].(starlark.String))
		if !re.MatchString(said) {
			return nil, c.failed(msg.Get(c), "the error is another one", "got:  "+bound(said, shownValue), "want: a match of "+repr(starlark.String(pattern.Get(c)), shownValue))
		}
		if want := code.Get(c); want != "" && string(e.class.Code) != want {
			return nil, c.failed(msg.Get(c), "the error has another code", "got:  "+string(e.class.Code)+": "+bound(said, shownValue), "want: "+want)
		}
		return e, nil
	}
})
