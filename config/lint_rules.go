package config

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
