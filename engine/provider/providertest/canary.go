package providertest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/provider"
	secrets "github.com/dsrun/dsrun/engine/secret"
)

// CanaryText is the text that stands for every secret. It holds what each encoding changes.
const CanaryText = `C4n4ry/+"<sécret>&=%tail`

// Use does with what was opened what a user would: it lists, reads, resolves. What it returns is searched.
type Use func(ctx context.Context, opened any) error

// Canary opens the provider with a canary in every sensitive attribute, once for each of its methods, uses what it
// opened, and fails t when the canary shows in an error, a log line or a diagnostic: as it is, or percent-, base64- or
// JSON-encoded. values gives the attributes that the example of the schema does not, or gives wrong, as HCL text: the
// address of a test server, say. env may be zero; its Log and Redactor are replaced.
func Canary(t *testing.T, p provider.Provider, env provider.Env, values map[string]string, use Use) {
	t.Helper()
	for _, src := range canarySources(p.Body, values) {
		leaks(t, "a diagnostic", diagnostics(p.Body, src))
		opened, log, err := open(t.Context(), p, env, src, use)
		leaks(t, "the log", log)
		if err != nil {
			leaks(t, "an error", err.Error())
			leaks(t, "an error in detail", fmt.Sprintf("%+v", err))
		}
		leaks(t, "what was opened, printed", fmt.Sprintf("%v %+v", opened, opened))
	}
}

// canarySources are blocks that hold the canary: the example of the schema for each method.
func canarySources(body schema.Body, values map[string]string) []string {
	_, fs := body.Declare()
	base := schema.Example(body)
	quoted := hclText(CanaryText)
	fill := func(src string, names []string) string {
		for _, f := range fs.List {
			if !slices.Contains(names, f.Name) {
				continue
			}
			switch v := values[f.Name]; {
			case f.Sensitive:
				src = with(src, f.Name, quoted)
			case v != "":
				src = with(src, f.Name, v)
			default:
				src = with(src, f.Name, schema.ExampleValue(f))
			}
		}
		return src
	}
	var out []string
	if len(fs.Methods) == 0 {
		var names []string
		for _, f := range fs.List {
			if f.Sensitive || f.IsRequired || values[f.Name] != "" {
				names = append(names, f.Name)
			}
		}
		return []string{fill(base, names)}
	}
	bare := strings.SplitAfterN(base, "{\n", 2)[0] + "}\n"
	for _, m := range fs.Methods {
		for _, one := range append([]string{""}, m.NeedOne...) {
			if (one == "") != (len(m.NeedOne) == 0) {
				continue
			}
			names := slices.Clone(m.Need)
			for _, n := range m.Allow {
				names = append(names, n)
			}
			for _, f := range fs.List {
				if f.IsRequired {
					names = append(names, f.Name)
				}
			}
			out = append(out, fill(with(bare, "method", fmt.Sprintf("%q", m.Name)), append(names, one)))
		}
	}
	return out
}

// hclText writes a text as HCL does.
func hclText(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${", "%{", "%%{").Replace(s)
	return `"` + s + `"`
}

// diagnostics provokes mistakes around the secret and returns everything that is said of them.
func diagnostics(body schema.Body, src string) string {
	var b bytes.Buffer
	end := strings.LastIndex(src, "}")
	for _, bad := range []string{
		src[:end] + "  no_such_argument = 1\n}\n",
		src[:end] + "  description = " + hclText(CanaryText) + " + 1\n  labels = 5\n}\n",
		src[:end], // not closed
		strings.ReplaceAll(src, "\"\n", "\n"),
		strings.ReplaceAll(src, " = ", " = null + "),
		strings.ReplaceAll(src, " = ", " = ["),
		strings.ReplaceAll(src, " = ", " "),
		src + src,
	} {
		c, diags := config.Load([]config.File{{Name: "canary.dsrun.hcl", Dir: "/", Bytes: []byte(bad)}}, config.Options{Schemas: one{body}})
		shown := c.Diags(diags)
		if strings.Contains(bad, "description") {
			// The canary stands in an attribute that is not sensitive here, so only this load knows it by the other one.
			shown = nil
		}
		_ = config.Render(&b, shown, 100, false)
		out, _ := json.Marshal(shown)
		b.Write(out)
	}
	return b.String()
}

// open opens and uses the provider, and returns what was logged. Errors and log lines pass through the redactor, as
// they do in the engine.
func open(ctx context.Context, p provider.Provider, env provider.Env, src string, use Use) (opened any, log string, err error) {
	var buf bytes.Buffer
	env.Redactor = secrets.NewRedactor()
	w := env.Redactor.Writer(&buf)
	env.Log = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if env.Name == "" {
		env.Name = "canary"
	}
	if env.Clock == nil {
		env.Clock = clock.Real
	}
	defer func() {
		_ = w.Close()
		log = buf.String()
		if err != nil {
			err = fmt.Errorf("%s", env.Redactor.Redact(err.Error()))
		}
	}()
	c, diags := config.Load([]config.File{{Name: "canary.dsrun.hcl", Dir: "/", Bytes: []byte(src)}},
		config.Options{Schemas: one{p.Body}, Seen: env.Redactor.Add})
	if diags.HasErrors() {
		return nil, "", fmt.Errorf("%s: %s", diags[0].Summary, diags[0].Detail)
	}
	o := c.Decls[0].Options
	switch {
	case p.OpenStore != nil:
		d, e := p.OpenStore(ctx, env, o)
		if e == nil {
			defer d.Close()
		}
		opened, err = d, e
	case p.OpenTopic != nil:
		d, e := p.OpenTopic(ctx, env, o)
		if e == nil {
			defer d.Close()
		}
		opened, err = d, e
	default:
		opened, err = p.OpenCredential(ctx, env, o)
	}
	if err == nil && use != nil {
		err = use(ctx, opened)
	}
	return opened, "", err
}

// forms are the canary in each encoding, shortened where an encoding depends on what stands around it.
func forms() map[string]string {
	quoted, _ := json.Marshal(CanaryText)
	out := map[string]string{
		"as it is": CanaryText, "percent-encoded as a query": url.QueryEscape(CanaryText), "percent-encoded as a path": url.PathEscape(CanaryText),
		"JSON": strings.Trim(string(quoted), `"`), "HCL": strings.Trim(hclText(CanaryText), `"`), "Go": strings.Trim(fmt.Sprintf("%q", CanaryText), `"`),
		"in part": "C4n4ry",
	}
	for shift := range 3 {
		raw := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + CanaryText))
		from := (shift*8 + 5) / 6
		out[fmt.Sprintf("base64 shifted by %d", shift)] = raw[from : len(raw)-3]
		safe := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + CanaryText))
		out[fmt.Sprintf("URL base64 shifted by %d", shift)] = safe[from : len(safe)-3]
	}
	return out
}

// leaks fails t when a text shows the canary.
func leaks(t testing.TB, where, text string) {
	t.Helper()
	for form, s := range forms() {
		if strings.Contains(text, s) {
			t.Errorf("%s shows the canary (%s): %s", where, form, around(text, s))
			return
		}
	}
}

func around(text, s string) string {
	i := strings.Index(text, s)
	return text[max(0, i-80):min(len(text), i+len(s)+80)]
}
