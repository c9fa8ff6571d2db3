package starlib

// CheckSyntax parses a script without looking at its names. Its error is a *ScriptError.
func CheckSyntax(file string, src []byte) error {
	f := &SourceFile{Path: file, src: src}
	if len(src) > maxSource {
		return sourceError(file, "source is too large")
	}
	if _, err := entryOptions.Parse(file, src, 0); err != nil {
		f.spans = func() map[place]span { return nil }
		return f.syntaxError(err)
	}
	return nil
}
