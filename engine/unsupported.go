package engine

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
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
	for _, d := range p.cfg.Decls {
		if d.Kind == provider.KindTopic {
			p.unsupportedTopic(d, refuse)
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

func (p *Project) unsupportedTopic(d *config.Decl, refuse func(hcl.Range, string, string)) {
	if d.Common.Durable {
		refuse(d.Range, fmt.Sprintf("durable topics (topic %q)", d.Name), "Remove `durable`: an event that was not accepted is an error of the run.")
	}
	if !d.Common.DeadLetter.IsZero() {
		refuse(d.Range, fmt.Sprintf("dead_letter (topic %q)", d.Name), "Remove it: an event that is refused is an error of the run.")
	}
	if d.Common.Schema != "" {
		refuse(d.Range, fmt.Sprintf("schema (topic %q)", d.Name), "Check the data in the script.")
	}
	pr, _ := p.e.o.Providers.Get(d.Kind, d.Type)
	if d.Common.Format == schema.FormatNative && !slices.Contains(pr.Body.Formats, schema.FormatNative) {
		refuse(d.Range, fmt.Sprintf("format = \"native\" for the kind %q (topic %q)", d.Type, d.Name), "Remove it: the topic sends CloudEvents.")
	}
}
