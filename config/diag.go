package config

import "github.com/hashicorp/hcl/v2"

// Diag is a diagnostic, ready to be shown: it holds no sensitive value and no control character.
type Diag struct {
	Severity string   `json:"severity"` // error or warning
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"` // from 1
	Col      int      `json:"col,omitempty"`  // from 1, in characters
	EndLine  int      `json:"end_line,omitempty"`
	EndCol   int      `json:"end_col,omitempty"`
	Snippet  *Snippet `json:"snippet,omitempty"`
}

// Snippet is the source line of a diagnostic. Before, Highlight and After are its three parts.
type Snippet struct {
	Context   string `json:"context,omitempty"` // header of the block: datastore "local" "in"
	Code      string `json:"code"`
	Before    string `json:"before"`
	Highlight string `json:"highlight"`
	After     string `json:"after"`
}

// Diags makes diagnostics of Load or Resolve ready to be shown: in order of place, each once, with their source lines.
// A text that is assigned to a sensitive attribute is masked in them.
func (c *Config) Diags(diags hcl.Diagnostics) []Diag { panic("to be built") }
