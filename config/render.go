package config

import "io"

// Render writes diagnostics for a person: summary, place, source line with underline, detail. Lines are broken at
// width columns; 0 means 80.
func Render(w io.Writer, diags []Diag, width int, color bool) error { panic("to be built") }
