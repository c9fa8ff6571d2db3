package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
)

// project loads a configuration. Of the environment only HERE is set.
func project(t *testing.T, src string) *engine.Project {
	t.Helper()
	eng := engine.New(engine.Options{Providers: providers.All(), LookupEnv: func(name string) (string, bool) {
		if name == "HERE" {
			return "there", true
		}
		return "", false
	}})
	dir := t.TempDir()
	p, diags := eng.Load(engine.Source{Dir: dir, Files: []config.File{engine.File("dsrun.hcl", dir, src)}})
	if diags.HasErrors() {
		t.Fatalf("%s\n%v", src, diags)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// The datastore whose own place is the longest part of a URI is found, without opening the others.
func TestStoreOfURI(t *testing.T) {
	p := project(t, `
credential "aws" "missing" {
  access_key_id     = "AKIAIOSFODNN7EXAMPLE"
  secret_access_key = env("NOT_SET")
}
credential "aws" "none" {
  method = "anonymous"
}
datastore "s3" "whole" {
  bucket     = "bkt"
  credential = credential.aws.none
}
datastore "s3" "inner" {
  bucket     = "bkt"
  prefix     = "in/"
  credential = credential.aws.none
}
datastore "s3" "deep" {
  bucket     = "bkt"
  prefix     = "in/deep/"
  credential = credential.aws.none
}
datastore "s3" "closed" {
  bucket     = "closed"
  credential = credential.aws.missing
}
datastore "s3" "late" {
  bucket     = env("HERE")
  credential = credential.aws.none
}
datastore "s3" "never" {
  bucket     = env("NOT_SET")
  credential = credential.aws.none
}
datastore "memory" "mem" {}
datastore "webhdfs" "tree" {
  endpoint = "http://nn:9870"
}
datastore "webhdfs" "branch" {
  endpoint = "http://nn:9870"
  root     = "/data"
}
datastore "local" "dbfs" {
  path = "."
}
`)
	for uri, want := range map[string]string{
		"s3://bkt/x":             "whole:x",
		"s3://bkt":               "whole:",
		"s3://bkt/inx":           "whole:inx",
		"s3://bkt/in":            "inner:",
		"s3://bkt/in/x":          "inner:x",
		"s3://bkt/in/deep/x/":    "deep:x/",
		"s3://bkt/in/**/*.csv":   "inner:**/*.csv",
		"s3a://bkt/in/x":         "inner:x",
		"s3://there/x":           "late:x",
		"memory://mem/a/b":       "mem:a/b",
		"webhdfs://nn:9870/x":    "tree:x",
		"hdfs://nn:8020/data/x":  "branch:x",
		"hdfs:///data":           "branch:",
		"webhdfs://NN:9870/dat/": "tree:dat/",
	} {
		if !p.IsURI(uri) {
			t.Errorf("%s is no URI", uri)
		}
		s, path, err := p.StoreOfURI(t.Context(), uri)
		if err != nil || s.Name()+":"+path != want {
			t.Errorf("%s: %v, %q, %v, want %s", uri, s, path, err, want)
		}
	}
	if _, _, err := p.StoreOfURI(t.Context(), "s3://closed/x"); err == nil || !strings.Contains(err.Error(), "missing") || !strings.Contains(err.Error(), "NOT_SET") {
		t.Errorf("a datastore that lacks its secret: %v", err)
	}
	for _, place := range []string{"dbfs:/x", "whole:x", "whole:a://b", "x"} {
		if p.IsURI(place) && place != "whole:a://b" {
			t.Errorf("%s is a URI", place)
		}
	}
	// A block that cannot be evaluated may be the one that is meant.
	if _, _, err := p.StoreOfURI(t.Context(), "s3://other/x"); err == nil || !strings.Contains(err.Error(), "never") {
		t.Errorf("a bucket of no block: %v", err)
	}
}

// Two blocks for one place are not chosen from.
func TestStoreOfURIAmbiguous(t *testing.T) {
	p := project(t, `
datastore "s3" "aws" {
  bucket = "bkt"
}
datastore "s3" "minio" {
  bucket   = "bkt"
  endpoint = "https://minio.example.com"
}
`)
	_, _, err := p.StoreOfURI(t.Context(), "s3://bkt/x/y")
	if fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(err.Error(), "aws, minio") || !strings.Contains(fault.ClassOf(err).Hint, "aws:x/y") {
		t.Errorf("%v (%s)", err, fault.ClassOf(err).Hint)
	}
	_, _, err = p.StoreOfURI(t.Context(), "https://minio.example.com/bkt/x/y")
	if fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(fault.ClassOf(err).Hint, "s3://bkt/x/y") {
		t.Errorf("the endpoint in place of s3: %v (%s)", err, fault.ClassOf(err).Hint)
	}
}

// Where no block holds a URI, the error shows one that does.
func TestNoStoreOfURI(t *testing.T) {
	taken := "datastore \"memory\" \"raw\" {}\n"
	for uri, want := range map[string]string{
		"s3://my-bucket/a/b": "datastore \"s3\" \"my_bucket\" {\n  bucket = \"my-bucket\"\n}",
		"s3://raw/a":         "datastore \"s3\" \"raw_2\" {\n  bucket = \"raw\"\n}",
		"azure://lake.blob.core.windows.net/raw/a":      "datastore \"azure_blob\" \"raw_2\" {\n  account   = \"lake\"\n  container = \"raw\"\n}",
		"azure://clean/a":                               "datastore \"azure_blob\" \"clean\" {\n  account   = \"ACCOUNT\"\n  container = \"clean\"\n}",
		"wasbs://clean@lake.blob.core.windows.net/a":    "datastore \"azure_blob\" \"clean\" {\n  account   = \"lake\"\n  container = \"clean\"\n}",
		"https://lake.blob.core.windows.net/clean/a":    "datastore \"azure_blob\" \"clean\" {\n  account   = \"lake\"\n  container = \"clean\"\n}",
		"abfss://clean@lake.dfs.core.windows.net/a":     "datastore \"adls_gen2\" \"clean\" {\n  account    = \"lake\"\n  filesystem = \"clean\"\n}",
		"azure-dl://lake.dfs.core.windows.net/clean/a":  "datastore \"adls_gen2\" \"clean\" {\n  account    = \"lake\"\n  filesystem = \"clean\"\n}",
		"https://lake.file.core.windows.net/clean/a":    "datastore \"azure_files\" \"clean\" {\n  account = \"lake\"\n  share   = \"clean\"\n}",
		"adl://lake.azuredatalakestore.net/a":           "datastore \"adls_gen1\" \"lake\" {\n  account = \"lake\"\n}",
		"oci://my-bucket@ns/a":                          "datastore \"oci\" \"my_bucket\" {\n  bucket    = \"my-bucket\"\n  namespace = \"ns\"\n}",
		"swebhdfs://nn:9871/a":                          "datastore \"webhdfs\" \"data\" {\n  endpoint = \"https://nn:9871\"\n}",
		"hdfs:///a":                                     "datastore \"webhdfs\" \"data\" {\n  endpoint = \"ENDPOINT\"\n}",
		"sftp://sftp.example.com:2222/a":                "datastore \"sftp\" \"data\" {\n  host = \"sftp.example.com\"\n  port = \"2222\"\n}",
		"hf://datasets/org/name@refs/convert/parquet/a": "datastore \"huggingface\" \"name\" {\n  repo     = \"org/name\"\n  revision = \"refs/convert/parquet\"\n}",
	} {
		p := project(t, taken)
		_, _, err := p.StoreOfURI(t.Context(), uri)
		hint := fault.ClassOf(err).Hint
		_, block, _ := strings.Cut(hint, "needs:\n")
		if fault.CodeOf(err) != fault.NotFound || !strings.Contains(err.Error(), uri) || block != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", uri, err, block, want)
			continue
		}
		if strings.Contains(block, `"ACCOUNT"`) || strings.Contains(block, `"ENDPOINT"`) {
			continue // what the address does not tell
		}
		// The block does what it is shown for.
		if s, path, err := project(t, taken+block+"\n").StoreOfURI(t.Context(), uri); err != nil || !strings.HasSuffix(uri, path) || path == "" {
			if !strings.Contains(err.Error(), "region of the bucket") { // which an address of OCI does not tell
				t.Errorf("%s: the block that is shown does not hold it: %v, %q, %v", uri, s, path, err)
			}
		}
	}
}

// What a message shows of a URI holds no secret, and what is no address is said to be none.
func TestWrongURI(t *testing.T) {
	p := project(t, "datastore \"memory\" \"raw\" {}\n")
	for uri, want := range map[string]string{
		"gopher://x/y":                                      "s3://BUCKET/KEY",
		"s3://s3.amazonaws.com/bkt/x":                       "s3://bkt/x",
		"azure-dl://":                                       "abfss://",
		"abfss://lake.dfs.core.windows.net/":                "abfss://FILESYSTEM@ACCOUNT",
		"https://lake.blob.core.windows.net/c/x?sig=canary": "credential",
		"https://user:canary@example.com/x?canary":          "NAME:path",
		"sftp://ann:canary@h/x":                             "credential",
		"ftp://ann:canary@h/x":                              "NAME:path",
	} {
		_, _, err := p.StoreOfURI(t.Context(), uri)
		text := ""
		if err != nil {
			text = err.Error() + fault.ClassOf(err).Hint
		}
		if err == nil || !strings.Contains(text, want) || strings.Contains(text, "canary") {
			t.Errorf("%s: %s, want %q", uri, text, want)
		}
	}
}

// volume is a kind whose addresses have one slash, as those of Databricks.
type volume struct{ Path string }

func (o *volume) Fields(f *schema.Fields) {
	f.String(&o.Path, "path", "Path of the volume.").Required().Eg(`"/Volumes/a"`)
}

func (o *volume) holds(uri string) (string, bool, error) {
	_, path, _ := strings.Cut(uri, ":")
	key, ok := provider.Below(path, o.Path)
	return key, ok, nil
}

func volumes() provider.Provider {
	return provider.Addressed(provider.Store("volume", "Files of a volume.", func(_ context.Context, env provider.Env, _ *volume) (store.Driver, error) {
		return memory.New(env.Name, 1<<20, nil), nil
	}), provider.Addressing{Prefixes: []string{"dbfs:/"}, Form: "dbfs:/PATH", Parse: func(uri string) (provider.Address, bool, error) {
		_, path, _ := strings.Cut(uri, ":")
		return provider.Address{Attrs: []provider.Attr{{Name: "path", Value: path}}}, true, nil
	}}, (*volume).holds)
}

// A kind may read addresses without "//". A datastore of the scheme's name comes first.
func TestOpaqueURI(t *testing.T) {
	for src, want := range map[string]string{"datastore \"volume\" \"v\" {\n  path = \"/Volumes/a\"\n}\n": "v:b/c", "datastore \"volume\" \"dbfs\" {\n  path = \"/Volumes/a\"\n}\n": ""} {
		eng := engine.New(engine.Options{Providers: provider.NewRegistry(volumes())})
		p, diags := eng.Load(engine.Source{Dir: t.TempDir(), Files: []config.File{engine.File("dsrun.hcl", t.TempDir(), src)}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		defer p.Close()
		for _, uri := range []string{"dbfs:/Volumes/a/b/c", "DBFS:/Volumes/a/b/c"} {
			if is := p.IsURI(uri); is != (want != "" || uri[0] == 'D') {
				t.Errorf("%s with %s: a URI: %v", uri, src, is)
			}
			if s, path, err := p.StoreOfURI(t.Context(), uri); want != "" && (err != nil || s.Name()+":"+path != want) {
				t.Errorf("%s: %v, %q, %v", uri, s, path, err)
			}
		}
		if p.IsURI("v:x") || p.IsURI("dbfs") {
			t.Error("a name is taken for a URI")
		}
	}
}
