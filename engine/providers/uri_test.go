package providers_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

// withoutURIs are the kinds whose objects have no address that means the same elsewhere.
var withoutURIs = []string{
	"local",  // file:// is a path of this machine to the command line
	"memory", // memory:// names a declared block
}

// uriRow is one address: what Parse must say, and a block that must hold it with that key.
type uriRow struct {
	kind, uri string
	attrs     string // "bucket=b namespace=n"; "name=" has no value; "-" where Parse says that it is none of the kind's
	block     string // HCL attributes of a block
	key       string
	own       bool // the driver's URI writes just this
}

var uriRows = []uriRow{
	{"s3", "s3://my-bucket/a/b c.csv", "bucket=my-bucket", `bucket = "my-bucket"`, "a/b c.csv", true},
	{"s3", "s3://my.bucket.example/a?b#c%41", "bucket=my.bucket.example", `bucket = "my.bucket.example"`, "a?b#c%41", true},
	{"s3", "s3://my-bucket//a//../b/", "bucket=my-bucket", `bucket = "my-bucket"`, "/a//../b/", true},
	{"s3", "S3A://my-bucket/a", "bucket=my-bucket", `bucket = "my-bucket"`, "a", false},
	{"s3", "s3n://my-bucket", "bucket=my-bucket", `bucket = "my-bucket"`, "", false},
	{"s3", "s3://my-bucket/x", "bucket=my-bucket", `bucket = "my-bucket"` + "\n" + `endpoint = "https://minio.example.com"`, "x", true},

	{"gcs", "gs://my_bucket.example/a//b?c#d%41", "bucket=my_bucket.example", `bucket = "my_bucket.example"`, "a//b?c#d%41", true},
	{"gcs", "GS://my-bucket", "bucket=my-bucket", `bucket = "my-bucket"`, "", false},

	{"databricks", "dbfs:/Volumes/main/default/raw/a b?c", "path=/Volumes/main/default/raw", `path = "/Volumes/main/default/raw"` + "\n" + `host = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"`, "a b?c", true},
	{"databricks", "dbfs:/Volumes/main/default/raw/in/a", "path=/Volumes/main/default/raw", `path = "/Volumes/main/default/raw/in/"` + "\n" + `host = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"`, "a", true},
	{"databricks", "dbfs:/data/a/b", "path=dbfs:/data", `path = "dbfs:/data"` + "\n" + `host = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"`, "a/b", true},
	{"databricks", "DBFS:/a", "path=dbfs:/", `path = "dbfs:/"` + "\n" + `host = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"`, "a", false},

	{"alipan", "alipan:///data/a b", "root=/data", "", "data/a b", true},
	{"alipan", "alipan:///data/a", "root=/data", `root = "/data"`, "a", true},

	{"azure_blob", "azure://raw/a/b.csv", "account= container=raw", `account = "lake"` + "\n" + `container = "raw"`, "a/b.csv", true},
	{"azure_blob", "azure://$web/index.html", "account= container=$web", `account = "lake"` + "\n" + `container = "$web"`, "index.html", true},
	{"azure_blob", "azure://lake.blob.core.windows.net/raw/a%41/b?c", "account=lake container=raw", `account = "lake"` + "\n" + `container = "raw"`, "a%41/b?c", false},
	{"azure_blob", "wasbs://raw@lake.blob.core.windows.net/a/b", "account=lake container=raw", `account = "lake"` + "\n" + `container = "raw"`, "a/b", false},
	{"azure_blob", "wasb://raw@Lake.Blob.core.chinacloudapi.cn/a", "account=lake container=raw", `account = "lake"` + "\n" + `container = "raw"`, "a", false},
	{"azure_blob", "https://lake.blob.core.windows.net/raw/a%20b/%C3%A9", "account=lake container=raw", `account = "lake"` + "\n" + `container = "raw"`, "a b/é", false},
	{"azure_blob", "http://127.0.0.1:10000/devstoreaccount1/raw/a/b", "-", `account = "devstoreaccount1"` + "\n" + `container = "raw"` + "\n" + `endpoint = "http://127.0.0.1:10000/devstoreaccount1"`, "a/b", false},
	{"azure_blob", "wasbs://raw@blobs.example.com/a", "-", `account = "lake"` + "\n" + `container = "raw"` + "\n" + `endpoint = "https://blobs.example.com"`, "a", false},

	{"adls_gen2", "abfss://raw@lake.dfs.core.windows.net/a/b?c#d", "account=lake filesystem=raw", `account = "lake"` + "\n" + `filesystem = "raw"`, "a/b?c#d", true},
	{"adls_gen2", "abfs://raw@lake.dfs.core.windows.net/a", "account=lake filesystem=raw", `account = "lake"` + "\n" + `filesystem = "raw"`, "a", false},
	{"adls_gen2", "azure-dl://raw/a/b", "account= filesystem=raw", `account = "lake"` + "\n" + `filesystem = "raw"`, "a/b", false},
	{"adls_gen2", "azure-dl://lake.dfs.core.windows.net/raw/a/b", "account=lake filesystem=raw", `account = "lake"` + "\n" + `filesystem = "raw"`, "a/b", false},
	{"adls_gen2", "https://lake.dfs.core.windows.net/raw/a%2520b", "account=lake filesystem=raw", `account = "lake"` + "\n" + `filesystem = "raw"`, "a%20b", false},
	{"adls_gen2", "abfss://raw@127.0.0.1:1/base/a/b", "-", `account = "lake"` + "\n" + `filesystem = "raw"` + "\n" + `endpoint = "http://127.0.0.1:1/base"`, "a/b", true},
	{"adls_gen2", "http://127.0.0.1:1/base/raw/a/b", "-", `account = "lake"` + "\n" + `filesystem = "raw"` + "\n" + `endpoint = "http://127.0.0.1:1/base"`, "a/b", false},

	{"adls_gen1", "adl://lake.azuredatalakestore.net/data/a/b", "account=lake", `account = "lake"` + "\n" + `root = "/data"`, "a/b", true},
	{"adls_gen1", "adl://lake.azuredatalakestore.net/a", "account=lake", `account = "lake"`, "a", true},

	{"azure_files", "https://lake.file.core.windows.net/share/a%20b/c%2525", "account=lake share=share", `account = "lake"` + "\n" + `share = "share"`, "a b/c%25", true},
	{"azure_files", "http://127.0.0.1:1/lake/share/a", "-", `account = "lake"` + "\n" + `share = "share"` + "\n" + `endpoint = "http://127.0.0.1:1/lake"`, "a", true},

	{"oci", "oci://my-bucket@ns/a/b", "bucket=my-bucket namespace=ns", `bucket = "my-bucket"` + "\n" + `namespace = "ns"` + "\n" + `region = "eu-frankfurt-1"`, "a/b", true},
	{"oci", "oci://My_Bucket/a?b", "bucket=My_Bucket", `bucket = "My_Bucket"` + "\n" + `region = "eu-frankfurt-1"`, "a?b", true},
	{"oci", "oci://my-bucket/a", "bucket=my-bucket", `bucket = "my-bucket"` + "\n" + `namespace = "ns"` + "\n" + `region = "eu-frankfurt-1"`, "a", false},
	{"oci", "oci://my-bucket@ns/a", "bucket=my-bucket namespace=ns", `bucket = "my-bucket"` + "\n" + `region = "eu-frankfurt-1"`, "a", false},

	{"webhdfs", "webhdfs://nn.example.com:9870/data/raw/a b?c", "endpoint=http://nn.example.com:9870", `endpoint = "http://nn.example.com:9870"` + "\n" + `root = "/data/raw"`, "a b?c", true},
	{"webhdfs", "swebhdfs://nn.example.com:9871/a", "endpoint=https://nn.example.com:9871", `endpoint = "https://nn.example.com:9871"`, "a", true},
	{"webhdfs", "hdfs://nn.example.com:8020/data/raw/a", "endpoint=http://nn.example.com:9870", `endpoint = "https://nn.example.com:9871"` + "\n" + `root = "/data"`, "raw/a", false},
	{"webhdfs", "hdfs://nn.example.com/a", "endpoint=http://nn.example.com:9870", `endpoint = "http://nn.example.com:9870"`, "a", false},
	{"webhdfs", "hdfs:///data/a", "endpoint=", `endpoint = "http://nn.example.com:9870"` + "\n" + `root = "/data"`, "a", false},

	{"sftp", "sftp://sftp.example.com/data/a%20b/c%25d%3F", "host=sftp.example.com", `host = "sftp.example.com"` + "\n" + `root = "/data"`, "a b/c%d?", true},
	{"sftp", "sftp://sftp.example.com:2222/a", "host=sftp.example.com port=2222", `host = "sftp.example.com"` + "\n" + `port = 2222`, "a", true},
	{"sftp", "sftp://ann@sftp.example.com:22/a", "host=sftp.example.com", `host = "sftp.example.com"`, "a", false},
	{"sftp", "sftp://[2001:db8::1]:2222/a", "host=2001:db8::1 port=2222", `host = "2001:db8::1"` + "\n" + `port = 2222`, "a", true},
	{"sftp", "sftp://sftp.example.com/a/%25/b/%25..", "host=sftp.example.com", `host = "sftp.example.com"`, "a//b/..", true},

	{"huggingface", "hf://datasets/org/name/a/b c?d", "repo=org/name", `repo = "org/name"`, "a/b c?d", true},
	{"huggingface", "hf://datasets/org/name@refs/convert/parquet/a/b", "repo=org/name revision=refs/convert/parquet", `repo = "org/name"` + "\n" + `revision = "refs/convert/parquet"`, "a/b", true},
	{"huggingface", "hf://spaces/org/name@v1%2Fx%25y/a", "repo=org/name type=space revision=v1/x%y", `repo = "org/name"` + "\n" + `type = "space"` + "\n" + `revision = "v1/x%y"`, "a", true},
	{"huggingface", "hf://models/org/name/a@b", "repo=org/name type=model", `repo = "org/name"` + "\n" + `type = "model"`, "a@b", true},
	{"huggingface", "hf://org/name/a", "repo=org/name type=model", `repo = "org/name"` + "\n" + `type = "model"`, "a", false},
	{"huggingface", "hf://datasets/org/name@main", "repo=org/name", `repo = "org/name"`, "", false},
}

func kindOf(t testing.TB, label string) provider.Provider {
	t.Helper()
	p, ok := providers.All().Get(provider.KindStore, label)
	if !ok {
		t.Fatalf("there is no kind %s", label)
	}
	return p
}

// optionsOf decodes the attributes of a block.
func optionsOf(t testing.TB, label, attrs string) any {
	t.Helper()
	src := "datastore \"" + label + "\" \"x\" {\n" + attrs + "\n}\n"
	c, diags := config.Load([]config.File{{Name: "x.dsrun.hcl", Dir: "/", Bytes: []byte(src)}}, config.Options{Schemas: providers.All()})
	if diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	return c.Decls[0].Options
}

// locator opens a block's driver without asking anything of a service.
func locator(t testing.TB, label string, options any) store.Locator {
	t.Helper()
	env := provider.Env{Name: "x", Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(), Getenv: func(string) string { return "" },
		Credential: credential.From("test", func(context.Context, credential.Want) (credential.Value, error) {
			return credential.Value{}, credential.ErrAbsent
		})}
	d, err := kindOf(t, label).OpenStore(t.Context(), env, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d.(store.Locator)
}

func attrsText(a provider.Address) string {
	var out []string
	for _, x := range a.Attrs {
		out = append(out, x.Name+"="+x.Value)
	}
	return strings.Join(out, " ")
}

// Every kind has addresses, each of its forms is read, and what its driver writes is read as it was.
func TestURIs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, x := range uriRows {
		p := kindOf(t, x.kind)
		if p.Addresses == nil || !p.Addresses.Reads(x.uri) {
			t.Errorf("%s does not read %s", x.kind, x.uri)
			continue
		}
		seen[x.kind] = seen[x.kind] || x.own
		a, ok, err := p.Addresses.Parse(x.uri)
		if x.attrs == "-" {
			if ok || err != nil {
				t.Errorf("%s: %s is taken for one of the service's own: %+v, %v", x.kind, x.uri, a, err)
			}
		} else if err != nil || !ok || attrsText(a) != x.attrs {
			t.Errorf("%s: %s says %q, %v, %v, want %q", x.kind, x.uri, attrsText(a), ok, err, x.attrs)
		}
		o := optionsOf(t, x.kind, x.block)
		key, ok, err := p.Addresses.Holds(o, x.uri)
		if err != nil || !ok || key != x.key {
			t.Errorf("%s: %s has the key %q, %v, %v, want %q", x.kind, x.uri, key, ok, err, x.key)
		}
		if got := locator(t, x.kind, o).URI(x.key); x.own && got != x.uri {
			t.Errorf("%s: the driver writes %s, not %s", x.kind, got, x.uri)
		}
	}
	for _, p := range providers.All().All() {
		if l := p.Body.Label; p.Body.Block == provider.KindStore && !slices.Contains(withoutURIs, l) && !seen[l] {
			t.Errorf("datastore %q has no row with own: give it addresses with provider.Addressed, and rows here", l)
		}
	}
}

// trip is a block with its open driver.
type trip struct {
	uriRow
	p       provider.Provider
	options any
	driver  store.Locator
}

// trips opens one driver for each block whose addresses are written as they are read.
func trips(t testing.TB) (out []trip) {
	t.Helper()
	done := map[string]bool{}
	for _, x := range uriRows {
		if x.own && !done[x.kind+x.block] {
			done[x.kind+x.block] = true
			o := optionsOf(t, x.kind, x.block)
			out = append(out, trip{x, kindOf(t, x.kind), o, locator(t, x.kind, o)})
		}
	}
	return out
}

// Whatever its key, an object's address is read by its own kind as it was written, and by no other.
func checkRoundTrip(t testing.TB, all *provider.Registry, trips []trip, key string) {
	for _, x := range trips {
		if x.kind == "sftp" && (key == "" || strings.Contains(key, "\x00") || tooLong(key)) {
			continue // no file has such a name
		}
		uri := x.driver.URI(key)
		got, ok, err := x.p.Addresses.Holds(x.options, uri)
		if err != nil || !ok || got != key {
			t.Errorf("%s: the address of %q is %q, which is read as %q, %v, %v", x.kind, key, uri, got, ok, err)
		}
		for _, other := range all.Addressed(uri) {
			if _, ok, _ := other.Addresses.Parse(uri); ok && other.Body.Label != x.kind {
				t.Errorf("%s: the address %q is taken by %s too", x.kind, uri, other.Body.Label)
			}
		}
	}
}

func tooLong(key string) bool {
	return slices.ContainsFunc(strings.Split(key, "/"), func(s string) bool { return len(s) > 250 })
}

var oddKeys = []string{"", "a", "a/b", "/", "//", "a/", "/a", "a//b", "../x", "a/./b", "%", "%41", "%2F", "a%zz", "?", "a?b=c", "#", "a#b", "@", "a@b", ":", "a:b", " ", "a b", "+", "&", "é", "e\u0301", "日本", "😀", "\n", "\x00", "\x7f", "\xff", `\`,
	"bucket/key", "x://y", "s3://b/k", "@main/x", "refs/pr/1/x", ".dsrun-0123456789abcdef.tmp", strings.Repeat("k", 300)}

func TestURIRoundTrip(t *testing.T) {
	t.Parallel()
	list := trips(t)
	for _, key := range oddKeys {
		checkRoundTrip(t, providers.All(), list, key)
	}
}

func FuzzURIRoundTrip(f *testing.F) {
	for _, key := range oddKeys {
		f.Add(key)
	}
	all, list := providers.All(), trips(f)
	f.Fuzz(func(t *testing.T, key string) { checkRoundTrip(t, all, list, key) })
}

// Parsing what a stranger wrote neither panics nor shows what follows "?" or a password, and is either one kind's or an
// error.
func FuzzURIParse(f *testing.F) {
	for _, x := range uriRows {
		f.Add(x.uri)
	}
	all := providers.All()
	f.Fuzz(func(t *testing.T, uri string) {
		for _, p := range all.Addressed(uri) {
			a, ok, err := p.Addresses.Parse(uri)
			switch {
			case err != nil && (!ok || fault.CodeOf(err) != fault.InvalidArgument):
				t.Errorf("%s: %q: %v, %v", p.Body.Label, uri, ok, err)
			case err == nil && ok && len(a.Attrs) == 0:
				t.Errorf("%s: %q says nothing of the block", p.Body.Label, uri)
			case ok && !strings.HasSuffix(uri, a.Key) && !strings.Contains(uri, "%"):
				t.Errorf("%s: %q has the key %q", p.Body.Label, uri, a.Key)
			}
		}
	})
}

// An address that is written wrongly is refused, with the right form in the hint and without its secrets.
func TestWrongURIs(t *testing.T) {
	t.Parallel()
	const minio = `bucket = "my-bucket"` + "\n" + `endpoint = "https://minio.example.com:9000"`
	for _, x := range []struct{ kind, uri, block, hint string }{
		{"s3", "s3://s3.eu-central-1.amazonaws.com/my-bucket/a/b", "", "s3://my-bucket/a/b"},
		{"s3", "s3://my-bucket.s3.eu-central-1.amazonaws.com/a/b", "", "s3://my-bucket/a/b"},
		{"s3", "https://s3.amazonaws.com/my-bucket/a%20b", "", "s3://my-bucket/a b"},
		{"s3", "https://my-bucket.s3.amazonaws.com/a/b", "", "s3://my-bucket/a/b"},
		{"s3", "https://my.bucket.s3.dualstack.eu-west-1.amazonaws.com/a/b", "", "s3://my.bucket/a/b"},
		{"s3", "s3://0123456789abcdef.r2.cloudflarestorage.com/my-bucket/a", "", "s3://my-bucket/a"},
		{"s3", "https://s3.us-west-004.backblazeb2.com/my-bucket/a", "", "s3://my-bucket/a"},
		{"s3", "s3://s3.amazonaws.com", "", "s3://BUCKET/KEY"},
		{"s3", "s3://storage.googleapis.com/my-bucket/a", "", "s3://my-bucket/a"},
		{"s3", "s3://bad bucket/a", "", "s3://BUCKET/KEY"},
		{"s3", "s3:///a", "", "s3://BUCKET/KEY"},
		{"s3", "s3://minio.example.com:9000/my-bucket/a", minio, "s3://my-bucket/a"},
		{"s3", "https://minio.example.com:9000/my-bucket/a", minio, "s3://my-bucket/a"},
		{"s3", "https://my-bucket.minio.example.com:9000/a", minio, "s3://my-bucket/a"},
		{"s3", "https://minio.example.com:9000/other/a", minio, "s3://other/a"},
		{"azure_blob", "https://lake.blob.core.windows.net/raw/a?sv=1&sig=canary", "", "credential"},
		{"azure_files", "https://lake.file.core.windows.net/raw/a?sv=1&sig=canary", "", "credential"},
		{"adls_gen2", "https://lake.dfs.core.windows.net/raw/a?sv=1&sig=canary", "", "credential"},
		{"oci", "oci://a b/x", "", "oci://BUCKET@NAMESPACE/KEY"},
		{"gcs", "gs://storage.googleapis.com:443/b/x", "", "gs://BUCKET/KEY"},
		{"gcs", "gs:///x", "", "gs://BUCKET/KEY"},
		{"databricks", "dbfs://data/x", "", "dbfs:/PATH"},
		{"databricks", "dbfs:/Volumes/main/x", "", "dbfs:/Volumes/CATALOG/SCHEMA/VOLUME/PATH"},
		{"alipan", "alipan://data/x", "", "alipan:///PATH"},
		{"sftp", "sftp://ann:canary@h/x", "", "credential"},
		{"sftp", "sftp://ann@h/x?canary", "", "%3F"},
		{"sftp", "sftp:///x", "", "sftp://HOST/PATH"},
		{"sftp", "sftp://h:99999/x", "", "sftp://HOST:PORT/PATH"},
		{"sftp", "sftp://h/%zz", "", "%25"},
		{"huggingface", "hf://datasets/name", "", "hf://datasets/ORG/NAME/PATH"},
		{"huggingface", "hf://datasets/org/name@/x", "", "hf://datasets/ORG/NAME@REVISION/PATH"},
	} {
		p := kindOf(t, x.kind)
		_, ok, err := p.Addresses.Parse(x.uri)
		if x.block != "" {
			_, ok, err = p.Addresses.Holds(optionsOf(t, x.kind, x.block), x.uri)
			ok = !ok // an error alone
		}
		if !ok || err == nil || fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(fault.ClassOf(err).Hint, x.hint) {
			t.Errorf("%s: %s: %v, %v, hint %q, want one with %q", x.kind, x.uri, ok, err, fault.ClassOf(err).Hint, x.hint)
		} else if strings.Contains(err.Error()+fault.ClassOf(err).Hint, "canary") {
			t.Errorf("%s: %s: a secret shows: %v", x.kind, x.uri, err)
		}
	}
}

// A block holds its own addresses only.
func TestForeignURIs(t *testing.T) {
	t.Parallel()
	for _, x := range [][3]string{
		{"s3", `bucket = "raw"`, "s3://raw2/a"}, {"s3", `bucket = "raw"`, "s3://ra/w/a"}, {"s3", `bucket = "raw"`, "https://minio.example.com/raw/a"},
		{"azure_blob", "account = \"lake\"\ncontainer = \"raw\"", "azure://raw2/a"}, {"azure_blob", "account = \"lake\"\ncontainer = \"raw\"", "wasbs://raw@other.blob.core.windows.net/a"},
		{"azure_blob", "account = \"lake\"\ncontainer = \"raw\"", "https://lake.dfs.core.windows.net/raw/a"}, {"azure_blob", "account = \"lake\"\ncontainer = \"raw\"", "https://lake.blob.core.windows.net/raw2/a"},
		{"adls_gen2", "account = \"lake\"\nfilesystem = \"raw\"", "abfss://raw@other.dfs.core.windows.net/a"}, {"adls_gen2", "account = \"lake\"\nfilesystem = \"raw\"", "abfss://raw@lake.dfs.example.com/a"},
		{"azure_files", "account = \"lake\"\nshare = \"raw\"", "https://lake.file.core.windows.net/raw2/a"}, {"azure_files", "account = \"lake\"\nshare = \"raw\"", "https://lake.file.core.windows.net/raw?sig=x"},
		{"adls_gen1", "account = \"lake\"\nroot = \"/data\"", "adl://lake.azuredatalakestore.net/data2/a"}, {"adls_gen1", "account = \"lake\"", "adl://other.azuredatalakestore.net/a"},
		{"gcs", `bucket = "raw"`, "gs://raw2/a"}, {"databricks", "path = \"/Volumes/m/d/raw\"\nhost = \"https://h.cloud.databricks.com\"", "dbfs:/Volumes/m/d/raw2/a"}, {"databricks", "path = \"dbfs:/data\"\nhost = \"https://h.cloud.databricks.com\"", "dbfs:/Volumes/data/a"}, {"alipan", `root = "/data"`, "alipan:///data2/a"},
		{"oci", "bucket = \"raw\"\nnamespace = \"ns\"", "oci://raw@other/a"}, {"oci", "bucket = \"raw\"", "oci://raw2/a"},
		{"webhdfs", "endpoint = \"http://nn:9870\"\nroot = \"/data\"", "webhdfs://nn:9870/data2/a"}, {"webhdfs", "endpoint = \"http://nn:9870\"", "webhdfs://nn:9871/a"}, {"webhdfs", "endpoint = \"http://nn:9870\"", "swebhdfs://nn:9870/a"}, {"webhdfs", "endpoint = \"http://nn:9870\"", "hdfs://other/a"},
		{"sftp", "host = \"h\"", "sftp://h:2222/a"}, {"sftp", "host = \"h\"\nroot = \"/data\"", "sftp://h/data2/a"}, {"sftp", "host = \"h\"", "sftp://h2/a"},
		{"huggingface", `repo = "org/name"`, "hf://models/org/name/a"}, {"huggingface", `repo = "org/name"`, "hf://datasets/org/name@v1/a"}, {"huggingface", "repo = \"org/name\"\nrevision = \"v1\"", "hf://datasets/org/name/a"},
	} {
		key, ok, err := kindOf(t, x[0]).Addresses.Holds(optionsOf(t, x[0], x[1]), x[2])
		if ok || err != nil {
			t.Errorf("%s with %s holds %s as %q, %v", x[0], x[1], x[2], key, err)
		}
	}
}
