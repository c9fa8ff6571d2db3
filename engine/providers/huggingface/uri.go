package huggingface

import "strings"

// URI implements store.Locator, in the form of the hub's own client: hf://datasets/ORG/NAME@REVISION/PATH, without the
// revision where it is main.
func (d *Driver) URI(key string) string {
	s := "hf://" + d.o.Type + "s/" + d.o.Repo
	if d.o.Revision != "main" {
		s += "@" + revisionText(d.o.Revision)
	}
	return s + "/" + key
}

// revisionText writes a revision so that its end can be found: the hub's references keep their slashes, since readers
// know how many segments those have, others lose them.
func revisionText(rev string) string {
	if _, rest := cutRevision(rev); rest == "" {
		return rev
	}
	return strings.ReplaceAll(rev, "/", "%2F")
}

// cutRevision splits what stands behind "@": the revision and the path.
func cutRevision(s string) (rev, path string) {
	n := 1
	if strings.HasPrefix(s, "refs/pr/") || strings.HasPrefix(s, "refs/convert/") {
		n = 3
	}
	parts := strings.SplitN(s, "/", n+1)
	if len(parts) <= n {
		return s, ""
	}
	return strings.Join(parts[:n], "/"), parts[n]
}
