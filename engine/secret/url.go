package secret

import "strings"

// CutQueries returns s with "..." in the place of the query of every URL in it, up to the next space or quotation mark.
func CutQueries(s string) string {
	from := strings.Index(s, "://")
	if from < 0 || !strings.Contains(s[from:], "?") {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		i += len("://")
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexAny(s, " \t\r\n\"'`<>")
		if end < 0 {
			end = len(s)
		}
		url := s[:end]
		s = s[end:]
		if q := strings.IndexByte(url, '?'); q >= 0 {
			rest := strings.TrimRight(url[q+1:], ":;,.)]}\\") // belongs to the sentence
			tail := url[q+1+len(rest):]
			if url = url[:q+1]; rest != "" {
				url += "..."
			}
			url += tail
		}
		b.WriteString(url)
	}
}
