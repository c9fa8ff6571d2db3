package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

// IsURI reports whether a place is written as a URI: SCHEME://..., or in a form of a kind of this build such as
// dbfs:/.... NAME:/path is a path of a declared datastore, whatever its name.
func (p *Project) IsURI(place string) bool {
	name, rest, ok := strings.Cut(place, ":")
	if !ok {
		return false
	}
	if strings.HasPrefix(rest, "//") {
		return true
	}
	return len(p.e.o.Providers.Addressed(place)) > 0 && !slices.Contains(p.cfg.Names(provider.KindStore), name)
}

// StoreOfURI returns the declared datastore that holds what a URI names, and the path in it. Where several do, it is the
// one whose own place is the longest part of the URI. Only the blocks of kinds that read such addresses are evaluated,
// their credentials are not, and only the datastore that is returned is opened. When no block holds the URI, the error's
// hint shows one that would.
func (p *Project) StoreOfURI(ctx context.Context, uri string) (*store.Store, string, error) {
	kinds := p.e.o.Providers.Addressed(uri)
	found, err := p.holders(ctx, kinds, uri)
	switch {
	case len(found) == 1:
		return p.openHolder(ctx, found[0], uri)
	case len(found) > 1:
		var names []string
		for _, h := range found {
			names = append(names, h.decl.Name)
		}
		return nil, "", fault.Hinted(fault.InvalidArgument, "Name one of them: "+names[0]+":"+found[0].path,
			"several datastores hold %s: %s", shownURI(uri), strings.Join(names, ", "))
	case err != nil:
		return nil, "", err
	}
	if s, path := p.byDriver(ctx, uri); s != nil {
		return s, path, nil
	}
	return nil, "", p.noHolder(kinds, uri)
}

// holder is a declared block that holds a URI.
type holder struct {
	decl *config.Decl
	path string
}

// holders returns the blocks that hold a URI at the longest part of it. The error is what is wrong with the URI or, when
// a block could not be evaluated, with that block; it counts when there is none.
func (p *Project) holders(ctx context.Context, kinds []provider.Provider, uri string) (found []holder, err error) {
	var mistake error
	for _, d := range p.cfg.Decls {
		i := slices.IndexFunc(kinds, func(k provider.Provider) bool { return d.Kind == provider.KindStore && k.Body.Label == d.Type })
		if i < 0 {
			continue
		}
		options, common, diags := p.cfg.Resolve(ctx, d, secrets{p.e})
		if diags.HasErrors() { // what is known without the environment still counts
			options, common = d.Options, d.Common
			err = p.opened(d, &DiagnosticsError{Diags: p.cfg.Diags(diags)})
		}
		key, ok, wrong := kinds[i].Addresses.Holds(options, uri)
		if wrong != nil && mistake == nil {
			mistake = wrong
		}
		if !ok || wrong != nil {
			continue
		}
		path, ok := strings.CutPrefix(key, common.Prefix)
		if !ok && key+"/" != common.Prefix {
			continue
		}
		if !ok {
			path = ""
		}
		if len(found) > 0 && len(found[0].path) < len(path) {
			continue
		}
		if len(found) > 0 && len(found[0].path) > len(path) {
			found = nil
		}
		found = append(found, holder{d, path})
	}
	if len(found) > 0 {
		return found, nil
	}
	for _, k := range kinds {
		if _, ok, wrong := k.Addresses.Parse(uri); ok && wrong != nil && mistake == nil {
			mistake = wrong
		}
	}
	if mistake != nil {
		return nil, mistake
	}
	return nil, err
}

func (p *Project) openHolder(ctx context.Context, h holder, uri string) (*store.Store, string, error) {
	s, err := p.Store(ctx, h.decl.Name)
	if err != nil {
		return nil, "", err
	}
	if d, ok := s.Driver().(store.URIHolder); ok {
		if err := d.HoldsURI(ctx, uri); err != nil {
			return nil, "", p.e.o.Redactor.Error(fault.Wrap("open", h.decl.Name, "", s.Driver().Classify(err), err))
		}
	}
	return s, h.path, nil
}

// byDriver looks for a URI among the datastores of kinds that say nothing of addresses but what their drivers do
// (memory://NAME/KEY).
func (p *Project) byDriver(ctx context.Context, uri string) (best *store.Store, path string) {
	for _, d := range p.cfg.Decls {
		pr, ok := p.e.o.Providers.Get(d.Kind, d.Type)
		if !ok || d.Kind != provider.KindStore || pr.Addresses != nil {
			continue
		}
		s, err := p.Store(ctx, d.Name)
		if err != nil {
			continue
		}
		base := s.URI("")
		if rest, ok := strings.CutPrefix(uri, base); ok && strings.HasSuffix(base, "/") && (best == nil || len(rest) < len(path)) {
			best, path = s, rest
		}
	}
	return best, path
}

// noHolder is the error of a URI that no declared block holds, with a block that would.
func (p *Project) noHolder(kinds []provider.Provider, uri string) error {
	scheme, _, _ := strings.Cut(uri, ":")
	for _, k := range kinds {
		a, ok, err := k.Addresses.Parse(uri)
		if err != nil || !ok {
			continue
		}
		return fault.Hinted(fault.NotFound, "Add to the configuration, with what else the datastore needs:\n"+p.block(k, a),
			"no declared datastore holds %s", shownURI(uri))
	}
	var forms []string
	for _, k := range kinds {
		if !strings.HasPrefix(scheme, "http") {
			forms = append(forms, k.Addresses.Form)
		}
	}
	if len(forms) > 0 {
		return fault.Hinted(fault.InvalidArgument, "Write "+strings.Join(forms, " or ")+".", "%s names no place", shownURI(uri))
	}
	forms = nil
	for _, k := range p.e.o.Providers.All() {
		if k.Addresses != nil {
			forms = append(forms, k.Addresses.Form)
		}
	}
	return fault.Hinted(fault.NotFound, "Addresses that are known: "+strings.Join(forms, ", ")+". Any declared datastore is reached as NAME:path.",
		"no datastore of this build has addresses such as %s", shownURI(uri))
}

// block is the HCL of a datastore that would hold an address.
func (p *Project) block(k provider.Provider, a provider.Address) string {
	name := "data"
	for _, x := range a.Attrs {
		if n := config.NameFrom(x.Value[strings.LastIndexByte(x.Value, '/')+1:]); n != "" && slices.Contains([]string{"bucket", "container", "filesystem", "share", "repo", "account"}, x.Name) {
			name = n // of an account and a container it is the container
		}
	}
	taken := p.cfg.Names(provider.KindStore)
	for n, base := 2, name; slices.Contains(taken, name); n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	width := 0
	for _, x := range a.Attrs {
		width = max(width, len(x.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "datastore %q %q {\n", k.Body.Label, name)
	for _, x := range a.Attrs {
		v := x.Value
		if v == "" {
			v = strings.ToUpper(x.Name)
		}
		fmt.Fprintf(&b, "  %-*s = %s\n", width, x.Name, config.Quote(v))
	}
	b.WriteString("}")
	return b.String()
}

// shownURI is a URI as messages show it: without what may be a secret.
func shownURI(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	front, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(front, '@'); i >= 0 && strings.Contains(front[:i], ":") {
		front = front[i+1:]
	}
	if strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https") {
		path, _, _ = strings.Cut(path, "?")
		front, _, _ = strings.Cut(front, "?")
	}
	uri = scheme + "://" + front
	if slash {
		uri += "/" + path
	}
	return uri
}
