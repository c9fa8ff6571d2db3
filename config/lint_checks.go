package config

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/dsrun/dsrun/config/schema"
)

func accountKey(l *linter) {
	for _, d := range l.c.of("credential") {
		attr := d.method()
		if d.Type != "azure" || attr != "account_key" && attr != "connection_string" && attr != "access_key" {
			continue
		}
		users := l.c.users(d)
		here := func(u *Decl) bool { return isLoopback(u.text("endpoint")) }
		if len(users) == 0 || !slices.ContainsFunc(users, func(u *Decl) bool { return !here(u) }) {
			continue // unused, or for emulators
		}
		l.report(d.at(attr), "%s logs in with the key of an account, which may do everything there. Use an identity: method = \"managed_identity\", \"workload_identity\" or \"service_principal\".", d.block)
	}
}

func endpointBucket(l *linter) {
	for _, d := range l.c.of("datastore") {
		u, err := url.Parse(d.text("endpoint"))
		if err != nil || u.Host == "" {
			continue
		}
		for _, name := range []string{"bucket", "container", "filesystem", "share"} {
			bucket := d.text(name)
			first, _, dotted := strings.Cut(u.Hostname(), ".")
			if bucket != "" && (dotted && first == bucket || slices.Contains(strings.Split(u.Path, "/"), bucket)) {
				l.report(d.at("endpoint"), "The endpoint holds the %s %q, which is put there for each request. Write the address of the service alone.", name, bucket)
			}
		}
	}
}

func longLivedKey(l *linter) {
	methods := map[string][]string{"oci": {"api_key"}, "gcp": {"service_account", "hmac"}, "databricks": {"token"}}
	for _, d := range l.c.of("credential") {
		if m := d.method(); slices.Contains(methods[d.Type], m) {
			l.report(d.Range, "%s is a key that is valid until somebody deletes it (method %q). On a machine of the same cloud an identity needs none.", d.block, m)
		}
	}
}

func plainHTTP(l *linter) {
	for _, d := range l.c.Decls {
		if d.fields == nil {
			continue
		}
		for _, f := range d.fields.List {
			if f.Kind != schema.KindString || !d.given(f.Name) {
				continue
			}
			if text := d.text(f.Name); strings.HasPrefix(text, "http://") && !isLoopback(text) {
				l.report(d.at(f.Name), "The address begins with http://, so that data and signatures travel in clear text. Use https://.")
			}
		}
	}
}

// isLoopback reports whether a URL leads to this machine.
func isLoopback(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func publicACL(l *linter) {
	public := map[string]string{
		"public-read": "everyone on the internet can read", "public-read-write": "everyone on the internet can read and change",
		"authenticated-read": "everyone with an account of the cloud can read",
		"publicRead":         "everyone on the internet can read", "publicReadWrite": "everyone on the internet can read and change",
		"authenticatedRead": "everyone with a Google account can read",
	}
	for _, d := range l.c.of("datastore") {
		for _, name := range []string{"acl", "predefined_acl"} {
			if who := public[d.text(name)]; who != "" {
				l.report(d.at(name), "What %s writes, %s. Leave %q out, and grant access with a policy.", d.block, who, name)
			}
		}
	}
}

// secretText are beginnings and forms of texts that are secrets whatever they are assigned to.
var secretText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(ghp|gho|ghs|github_pat|glpat|xox[abp]|hf|dapi|sk_live|whsec)[_-][A-Za-z0-9_-]{16,}|\bdapi[0-9a-f]{32}\b|AccountKey=[A-Za-z0-9+/=]{20,}|[?&](sig|X-Amz-Signature)=[A-Za-z0-9%+/=]{20,}|^[a-z][a-z0-9+.-]*://[^/@\s:]+:[^/@\s]+@`)
})

// LooksSecret reports whether a text is a key, a token or an address with a password in it, whatever it is for.
func LooksSecret(text string) bool { return secretText().MatchString(text) }

func secretLiteral(l *linter) {
	said := map[*attr]bool{}
	say := func(found *attr, format string, args ...any) {
		if found != nil && !said[found] {
			said[found] = true
			l.report(found.expr.Range(), format, args...)
		}
	}
	const remedy = ` Take it from env("NAME"), secret::file("PATH") or secret::exec("COMMAND"), and renew the one that stood here.`
	for _, d := range l.c.Decls {
		if d.fields == nil {
			continue
		}
		for _, f := range d.sensitiveFields() {
			if a := d.block.attrs[f.Name]; a != nil && !plainURL(l.c.literal(a)) {
				say(l.c.literal(a), "The value of %q in %s is a secret, and it is spelled out here."+remedy, f.Name, d.block)
			}
		}
	}
	for _, name := range sortedKeys(l.c.vars) {
		if v := l.c.vars[name]; v.Sensitive {
			for _, a := range []*attr{v.given, v.def} {
				say(l.c.literal(a), "The variable %q is sensitive, and its value is spelled out here."+remedy, name)
			}
		}
	}
	form := func(a *attr) {
		if a != nil && a.code != nil && !a.src.text && slices.ContainsFunc(a.code.texts, LooksSecret) {
			say(a, "The text looks like a key, a token or an address with a password in it."+remedy)
		}
	}
	l.c.eachAttr(func(_ *block, a *attr) { form(a) })
	for _, name := range sortedKeys(l.c.vars) {
		form(l.c.vars[name].given)
	}
}

// keyLike is a piece of a path that looks drawn by lot: long, of letters and digits.
var keyLike = regexp.MustCompile(`^[A-Za-z0-9_-]*([A-Za-z][0-9]|[0-9][A-Za-z])[A-Za-z0-9_-]*$`)

// plainURL reports whether a literal is an address without anything in it that could be a key.
func plainURL(a *attr) bool {
	if a == nil || len(a.code.texts) != 1 {
		return false
	}
	u, err := url.Parse(a.code.texts[0])
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return false
	}
	return !slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return len(s) >= 12 && keyLike.MatchString(s) })
}

func staticAWSKey(l *linter) {
	for _, d := range l.c.of("credential") {
		static := d.Type == "aws_compatible" && !d.given("endpoint_url") || d.Type == "aws" && d.method() == "static" && !d.given("session_token")
		if !static {
			continue
		}
		for _, u := range l.c.users(d) {
			host := ""
			if e, err := url.Parse(u.text("endpoint")); err == nil {
				host = e.Hostname()
			}
			preset := u.text("preset")
			elsewhere := u.given("endpoint") && host != "amazonaws.com" && !strings.HasSuffix(host, ".amazonaws.com") || preset != "" && preset != "aws"
			if !elsewhere {
				l.report(d.Range, "%s is a long-lived key of a user, and %s sends it to AWS itself. Use a role there: leave the credential out, or give role_arn or profile.", d.block, u.block)
				break
			}
		}
	}
}

func unusedCredential(l *linter) {
	used := map[schema.Ref]bool{}
	families := map[string]bool{} // some block of the family is computed
	l.c.eachAttr(func(b *block, a *attr) {
		for _, t := range a.code.vars {
			if t.RootName() != "credential" || len(t) < 2 {
				continue
			}
			family, _, _ := stepName(t[1])
			if len(t) < 3 {
				families[family] = true
				continue
			}
			name, _, ok := stepName(t[2])
			if !ok {
				families[family] = true
			}
			used[schema.Ref{Kind: "credential", Type: family, Name: name}] = true
		}
	})
	for _, d := range l.c.of("credential") {
		if used[d.Ref()] || families[d.Type] || families[""] || len(l.c.users(d)) > 0 {
			continue
		}
		detail := "Nothing uses %s. Write credential = %s in the block that is meant, or remove it."
		if d.Common.Default {
			detail = "%s is the default of its family, and every block of the family names another one, or there is none. Remove it, or write credential = %s where it is meant."
		}
		l.report(d.Range, detail, d.block, d.Ref())
	}
}

func unusedLocal(l *linter) {
	used := l.c.names("local")
	for _, b := range l.c.blocks {
		if b.typ != "locals" {
			continue
		}
		for _, a := range b.sorted() {
			if !used[a.name] {
				l.report(a.nameRange, "Nothing uses local.%s. Remove it.", a.name)
			}
		}
	}
}

func unusedVariable(l *linter) {
	used := l.c.names("var")
	for _, v := range l.c.Variables {
		if !used[v.Name] {
			l.report(v.Range, "Nothing uses var.%s. Remove it.", v.Name)
		}
	}
}

// names are the variables or locals that some expression uses; a variable's own validation does not count.
func (c *Config) names(root string) map[string]bool {
	out := map[string]bool{}
	note := func(own string, vars []hcl.Traversal) {
		for _, t := range vars {
			if t.RootName() != root || len(t) < 2 {
				continue
			}
			if name, _, ok := stepName(t[1]); ok && name != own {
				out[name] = true
			}
		}
	}
	var visit func(b *block, own string)
	visit = func(b *block, own string) {
		if b.typ == "variable" {
			own = b.labels[0]
		}
		for _, a := range b.sorted() {
			if a.code != nil {
				note(own, a.code.vars)
			}
		}
		for _, n := range b.blocks {
			visit(n, own)
		}
	}
	for _, b := range c.blocks {
		visit(b, "")
	}
	return out
}
