package starlib

import (
	"encoding/base64"
	"strings"

	"go.starlark.net/starlark"
)

var base64Module = NewModule("base64", "Binary data as text.", nil,
	Declare(Func{
		Name: "base64.encode", Doc: "Encodes a string or bytes in base64.", Returns: "string",
		Example: `
base64.encode("hi?>")  # -> "aGk/Pg=="
base64.encode("hi?>", url = True, padding = False)  # -> "aGk_Pg"
`,
	}, func(p *Params) Impl {
		data := p.Bytes("data", "What to encode.")
		url := p.Bool("url", "Use - and _ instead of + and /.").Default(false)
		padding := p.Bool("padding", "Fill up with =.").Default(true)
		return func(c *Call) (starlark.Value, error) {
			enc := base64.StdEncoding
			if url.Get(c) {
				enc = base64.URLEncoding
			}
			if !padding.Get(c) {
				enc = enc.WithPadding(base64.NoPadding)
			}
			s := data.Get(c)
			if err := c.Run.Charge(2 * int64(len(s))); err != nil {
				return nil, err
			}
			return starlark.String(enc.EncodeToString([]byte(s))), nil
		}
	}),
	Declare(Func{
		Name: "base64.decode", Doc: "Decodes base64 of either alphabet, with or without padding; white space is skipped.", Returns: "bytes",
		Example: `
base64.decode("aGk/Pg==")  # -> b"hi?>"
str(base64.decode("aGk_Pg"))  # -> "hi?>"
`,
	}, func(p *Params) Impl {
		text := p.String("text", "What to decode.")
		return func(c *Call) (starlark.Value, error) {
			s := text.Get(c)
			if err := c.Run.Charge(2 * int64(len(s))); err != nil {
				return nil, err
			}
			s = base64Plain.Replace(s)
			b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
			if err != nil {
				return nil, c.Errorf("%w", err)
			}
			return starlark.Bytes(b), nil
		}
	}),
)

// base64Plain brings every variant to the URL alphabet without white space.
var base64Plain = strings.NewReplacer("+", "-", "/", "_", " ", "", "\n", "", "\r", "", "\t", "")
