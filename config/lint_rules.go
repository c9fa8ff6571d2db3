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

// The rules.
const (
	RuleAccountKey         RuleID = "account-key"
	RuleBadIgnore          RuleID = "bad-ignore"
	RuleDeprecatedArgument RuleID = "deprecated-argument"
	RuleDiscouragedKind    RuleID = "discouraged-kind"
	RuleEndpointBucket     RuleID = "endpoint-bucket"
	RuleInsecureConnection RuleID = "insecure-connection"
	RuleLongLivedKey       RuleID = "long-lived-key"
	RulePlainHTTP          RuleID = "plain-http"
	RulePublicACL          RuleID = "public-acl"
	RuleSecretLiteral      RuleID = "secret-literal"
	RuleStaticAWSKey       RuleID = "static-aws-key"
	RuleUndeclaredName     RuleID = "undeclared-name"
	RuleUnusedCredential   RuleID = "unused-credential"
	RuleUnusedLocal        RuleID = "unused-local"
	RuleUnusedVariable     RuleID = "unused-variable"
)

func rules() []Rule {
	return []Rule{
		{ID: RuleAccountKey, Severity: "warning", Summary: "Account key where an identity would do",
			Why: "A key of a storage account or of a topic opens all of it for whoever has the key, says nothing of who used it, and is valid until somebody renews it. An identity of Entra has just the roles it was given and leaves its name in the logs. Leave the method out on a machine that has an identity, or use `managed_identity`, `workload_identity` or `service_principal`. An emulator on this machine is no finding.",
			Bad: `credential "azure" "main" {
  account_key = env("AZURE_STORAGE_KEY")
}

datastore "azure_blob" "raw" {
  account    = "examplelake"
  container  = "raw"
  credential = credential.azure.main
}
`, Good: `credential "azure" "main" {
  method = "managed_identity"
}

datastore "azure_blob" "raw" {
  account    = "examplelake"
  container  = "raw"
  credential = credential.azure.main
}
`, check: accountKey},
		{ID: RuleBadIgnore, Severity: "warning", Summary: "Comment that ignores nothing",
			Why: "A comment `# dsrun:ignore RULE reason` names a rule that does not exist, gives no reason, or stands where the rule finds nothing. It would hide a later finding that nobody has looked at. Correct or remove it. Without a reason it has no effect.",
			Bad: `datastore "local" "raw" {
  path = "raw" # dsrun:ignore public-acl it is a web site
}
`, Good: `datastore "local" "raw" {
  path = "raw"
}
`},
		{ID: RuleDeprecatedArgument, Severity: "warning", Summary: "Deprecated argument",
			Why: "The argument still works and will not for ever. The message says what to write instead."},
		{ID: RuleDiscouragedKind, Severity: "warning", Summary: "Discouraged kind",
			Why: "The kind of datastore or topic still works, and its service does not recommend it any more or has announced its end. The message says which."},
		{ID: RuleEndpointBucket, Severity: "warning", Summary: "Endpoint with the bucket in it",
			Why: "`endpoint` is the address of the service. dsrun puts the bucket, container, file system or share there itself, in the host name or in the path; one that stands there already would be named twice, and requests go to an object that does not exist or to another bucket.",
			Bad: `datastore "s3" "raw" {
  bucket   = "raw"
  endpoint = "https://raw.minio.example.com"
}
`, Good: `datastore "s3" "raw" {
  bucket   = "raw"
  endpoint = "https://minio.example.com"
}
`, check: endpointBucket},
		{ID: RuleInsecureConnection, Severity: "warning", Summary: "Insecure connection",
			Why: "`insecure = true` does not check the server's certificate: whoever sits on the way can read and change everything. Give the certificate authority with `ca_file` instead.",
			Bad: `datastore "s3" "raw" {
  bucket   = "raw"
  endpoint = "https://minio.example.com"
  insecure = true
}
`, Good: `datastore "s3" "raw" {
  bucket   = "raw"
  endpoint = "https://minio.example.com"
  ca_file  = "ca.pem"
}
`},
		{ID: RuleLongLivedKey, Severity: "note", Summary: "Long-lived key of a person or service",
			Why: "Keys in files and tokens that a person made are copied, shared and forgotten. Where dsrun runs on a machine of the same cloud, or in a system that has tokens for the cloud (CI, Kubernetes), an identity needs no key: `instance_principal`, `resource_principal` or `workload_identity` at Oracle, application default credentials or `impersonate` at Google, `oauth_m2m` or `azure` at Databricks.",
			Bad: `credential "oci" "main" {
  tenancy          = "ocid1.tenancy.oc1..exampleuniqueid"
  user             = "ocid1.user.oc1..exampleuniqueid"
  fingerprint      = "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
  private_key_file = "oci_api_key.pem"
}

datastore "oci" "raw" {
  bucket     = "raw"
  region     = "eu-frankfurt-1"
  credential = credential.oci.main
}
`, Good: `credential "oci" "main" {
  method = "instance_principal"
}

datastore "oci" "raw" {
  bucket     = "raw"
  region     = "eu-frankfurt-1"
  credential = credential.oci.main
}
`, check: longLivedKey},
		{ID: RulePlainHTTP, Severity: "warning", Summary: "Connection without encryption",
			Why: "An address that begins with http:// sends data, names and signatures in clear text to another machine. Use https://. An address of this machine (localhost, 127.0.0.1) is no finding.",
			Bad: `datastore "s3" "raw" {
  bucket   = "raw"
  endpoint = "http://minio.example.com:9000"
}
`, Good: `datastore "s3" "raw" {
  bucket   = "raw"
  endpoint = "https://minio.example.com:9000"
}
`, check: plainHTTP},
		{ID: RulePublicACL, Severity: "warning", Summary: "Public access control list",
			Why: "What is written can be read, or even changed, by everyone on the internet, or by everyone who has an account of the cloud. Leave the list out and grant access with a policy of the bucket; ignore the rule where the data are meant for everyone.",
			Bad: `datastore "s3" "site" {
  bucket = "site"
  acl    = "public-read"
}
`, Good: `datastore "s3" "site" {
  bucket = "site"
}
`, check: publicACL},
		{ID: RuleSecretLiteral, Severity: "error", Summary: "Secret in a file",
			Why: "The file is read by everyone who can read the repository, for as long as its history is kept. Take the secret from the environment with `env()`, from a file outside of the repository with `secret::file()`, or from a password manager with `secret::exec()`, and renew the one that stood here. Values that stand in locals, in defaults of variables and in files of values are found too, and private keys, tokens and passwords in addresses wherever they stand, in scripts too.",
			Bad: `credential "aws_compatible" "minio" {
  access_key_id     = "loader"
  secret_access_key = "correct-horse-battery-staple"
  endpoint_url      = "https://minio.example.com"
}

datastore "s3" "raw" {
  bucket     = "raw"
  credential = credential.aws_compatible.minio
}
`, Good: `credential "aws_compatible" "minio" {
  access_key_id     = "loader"
  secret_access_key = env("MINIO_PASSWORD")
  endpoint_url      = "https://minio.example.com"
}

datastore "s3" "raw" {
  bucket     = "raw"
  credential = credential.aws_compatible.minio
}
`, check: secretLiteral},
		{ID: RuleStaticAWSKey, Severity: "warning", Summary: "Access key of a user for AWS itself",
			Why: "An access key of an IAM user is valid until somebody deletes it. AWS gives roles to machines, containers, CI services and people instead, whose keys end after hours: leave the credential out (method `default`), or use `role_arn` with or without `token_file`, or `profile` with SSO. Keys for other services that speak S3's protocol are no finding: for those give `endpoint_url`, or `endpoint` in the datastore.",
			Bad: `credential "aws_compatible" "main" {
  access_key_id     = env("KEY_ID")
  secret_access_key = env("KEY")
}

datastore "s3" "raw" {
  bucket     = "raw"
  region     = "eu-central-1"
  credential = credential.aws_compatible.main
}
`, Good: `credential "aws" "main" {
  role_arn = "arn:aws:iam::111122223333:role/loader"
}

datastore "s3" "raw" {
  bucket     = "raw"
  region     = "eu-central-1"
  credential = credential.aws.main
}
`, check: staticAWSKey},
		{ID: RuleUndeclaredName, Severity: "warning", Summary: "Datastore or topic that is not declared",
			Why: "A script that `dsrun validate` was given uses `ds.NAME` or `topics.NAME`, and the configuration declares no such name. It would fail when it comes to that line. Correct the name, or give the configuration that the script is meant for with -c."},
		{ID: RuleUnusedCredential, Severity: "warning", Summary: "Credential that nothing uses",
			Why: "No datastore, topic or other credential logs in with it: either a block lacks its `credential`, and uses the environment's instead, or the credential can go.",
			Bad: `credential "aws" "old" {
  profile = "old"
}

datastore "s3" "raw" {
  bucket = "raw"
}
`, Good: `credential "aws" "main" {
  profile = "main"
}

datastore "s3" "raw" {
  bucket     = "raw"
  credential = credential.aws.main
}
`, check: unusedCredential},
		{ID: RuleUnusedLocal, Severity: "warning", Summary: "Local that nothing uses",
			Why: "The value is computed and never read. Remove it, or correct the name where it was meant.",
			Bad: `locals {
  root   = "data"
  folder = "data"
}

datastore "local" "raw" {
  path = local.root
}
`, Good: `locals {
  root = "data"
}

datastore "local" "raw" {
  path = local.root
}
`, check: unusedLocal},
		{ID: RuleUnusedVariable, Severity: "warning", Summary: "Variable that nothing uses",
			Why: "Whoever gives it a value believes that it has an effect. Remove it, or use it where it was meant.",
			Bad: `variable "folder" {
  default = "data"
}

datastore "local" "raw" {
  path = "data"
}
`, Good: `variable "folder" {
  default = "data"
}

datastore "local" "raw" {
  path = var.folder
}
`, check: unusedVariable},
	}
}

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
