package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/provider"
)

// unsupported refuses what the language can say and this version does not do: a promise that is declared is kept or
// refused, never ignored.
func (p *Project) unsupported() hcl.Diagnostics {
	var diags hcl.Diagnostics
	refuse := func(r hcl.Range, what, remedy string) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unsupported argument",
			Detail: fmt.Sprintf("This version does not support %s. %s", what, remedy), Subject: &r})
	}
	wrong := func(r hcl.Range, summary, detail string) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &r})
	}
	for _, d := range p.cfg.Decls {
		if d.Kind == provider.KindTopic {
			p.unsupportedTopic(d, refuse, wrong)
		}
	}
	for _, s := range p.cfg.Scripts {
		if s.Trust == schema.TrustUntrusted {
			refuse(s.Range, `trust = "untrusted"`, "It runs only scripts that you have reviewed: remove the block.")
		}
		if s.Modules != nil || s.Topics != nil || len(s.Stores) > 0 || s.Script.Modules != nil {
			refuse(s.Range, "grants to scripts (modules, store, topics)", "Restrict a datastore with mode and prefix instead.")
		}
	}
	return diags
}

// unsupportedTopic checks what a topic declares; wrong reports a mistake, refuse what this version does not do.
func (p *Project) unsupportedTopic(d *config.Decl, refuse, wrong func(hcl.Range, string, string)) {
	if d.Common.Schema != "" {
		if _, err := event.Schema([]byte(d.Common.Schema)); err != nil {
			err = errors.Unwrap(err) // its code is that of every diagnostic
			wrong(d.Range, "Invalid schema", fmt.Sprintf("The JSON Schema of topic %q cannot be used: %v.", d.Name, err))
		}
	}
	if target, ok := p.cfg.Find(d.Common.DeadLetter); ok && target.Common.Mode == schema.ModeRead {
		wrong(d.Range, "Dead letters cannot be written", fmt.Sprintf("%s has mode = \"read\": topic %q could not store what its bus refuses.", d.Common.DeadLetter, d.Name))
	}
	pr, _ := p.e.o.Providers.Get(d.Kind, d.Type)
	if d.Common.Format == schema.FormatNative && !slices.Contains(pr.Body.Formats, schema.FormatNative) {
		refuse(d.Range, fmt.Sprintf("format = \"native\" for the kind %q (topic %q)", d.Type, d.Name), "Remove it: the topic sends CloudEvents.")
	}
}
