package azurefiles

import (
	"context"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
)

// checkKey refuses names that the service or a client of its SMB side cannot hold, or would take for another:
// https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-shares--directories--files--and-metadata.
func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "the key is empty")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "the key has %d bytes, %d are allowed", len(key), maxKey)
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	case strings.Count(key, "/") >= maxDepth:
		return fault.New(fault.InvalidArgument, "the key has more than %d segments", maxDepth)
	}
	if i := strings.IndexAny(key, "\"\\:|<>*?"); i >= 0 {
		return fault.New(fault.InvalidArgument, "the key has a %q, which no file of a share can have in its name", key[i])
	}
	for _, c := range key {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0xfffd || c == 0xfffe || c == 0xffff {
			return fault.New(fault.InvalidArgument, "the key has a control character")
		}
	}
	for s := range strings.SplitSeq(key, "/") {
		switch {
		case s == "":
			return fault.New(fault.InvalidArgument, "the key has an empty segment, which the service drops")
		case strings.HasSuffix(s, ".") || strings.HasSuffix(s, " "):
			return fault.New(fault.InvalidArgument, "the segment %q of the key ends with a dot or a space, which is dropped on the way", s)
		case device(s):
			return fault.New(fault.InvalidArgument, "the segment %q of the key is the name of a device", s)
		case len(s) > maxName && len(utf16.Encode([]rune(s))) > maxName:
			return fault.New(fault.InvalidArgument, "a segment of the key has more than %d characters", maxName)
		}
		if _, _, hidden := azurerest.Hidden(s); hidden {
			return fault.New(fault.InvalidArgument, "the segment %q of the key is a name of files on their way", s)
		}
	}
	return nil
}

func device(s string) bool {
	switch s = strings.ToUpper(s); s {
	case "CON", "PRN", "AUX", "NUL", "CLOCK$":
		return true
	}
	return len(s) == 4 && (s[:3] == "COM" || s[:3] == "LPT") && s[3] >= '1' && s[3] <= '9'
}

// parent is the directory of a path, "" at the top.
func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 0)]
}

// maxExact bounds the paths that are remembered.
const maxExact = 50_000

// know remembers that a path exists in this spelling.
func (d *Driver) know(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.exact) >= maxExact {
		clear(d.exact)
	}
	d.exact[path] = true
}

func (d *Driver) knows(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.exact[path]
}

// forget takes back what was remembered of a path, and of all that is above it.
func (d *Driver) forget(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.exact, path)
	for dir := parent(strings.TrimSuffix(path, "/")); dir != ""; dir = parent(dir) {
		delete(d.exact, dir+"/")
	}
}

// spelled reports whether path exists in exactly this spelling. Directories end with "/".
func (d *Driver) spelled(ctx context.Context, path string) (bool, error) {
	if path == "" || d.knows(path) {
		return true, nil
	}
	exact, _, err := d.spelling(ctx, path)
	return exact, err
}

// spelling looks for a path in the listing of its directory, in this spelling and in another.
func (d *Driver) spelling(ctx context.Context, path string) (exact, other bool, err error) {
	dir := parent(strings.TrimSuffix(path, "/"))
	if dir != "" {
		dir += "/"
		if !d.knows(dir) {
			if exact, other, err = d.spelling(ctx, dir); !exact || err != nil {
				return false, other, err
			}
		}
	}
	base := strings.TrimSuffix(path[len(dir):], "/")
	for token := ""; ; {
		list, next, err := d.page(ctx, dir, base, token, 100)
		if err != nil {
			if d.Classify(err).Code == fault.NotFound && dir != "" {
				return false, false, nil
			}
			return false, false, err
		}
		for _, e := range list {
			name := strings.TrimSuffix(e.Name, "/")
			if e.Name == path[len(dir):] {
				return true, false, nil // page knows it now
			}
			other = other || name != base && strings.EqualFold(name, base)
		}
		if next == "" {
			return false, other, nil
		}
		if next == token {
			return false, false, fault.New(fault.DataLoss, "the service gives the same page of a directory again and again")
		}
		token = next
	}
}

// foreign reports whether the service has path in another spelling only. there asks whether it has it in any: what other
// writers do meanwhile must not be taken for a spelling.
func (d *Driver) foreign(ctx context.Context, path string, there func() (bool, error)) (bool, error) {
	for try := 0; ; try++ {
		ok, err := there()
		if !ok || err != nil {
			return false, err
		}
		exact, other, err := d.spelling(ctx, path)
		if exact || other || err != nil || try == 4 { // a service that filters by case would never show another
			return !exact, err
		}
	}
}

// errSpelling tells a writer that its key exists in another spelling.
func errSpelling(what string) error {
	return fault.Hinted(fault.InvalidArgument, "Choose a key that differs by more than case, or remove what is there.", "the share has %q in another spelling, which the service takes for the same name", what)
}
