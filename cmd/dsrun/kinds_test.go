package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/adls"
	"github.com/dsrun/dsrun/internal/testbed/azurefiles"
	"github.com/dsrun/dsrun/internal/testbed/oci"
)

// place is a datastore of one kind on a server of its own.
type kindPlace struct {
	hcl string            // declares the datastore "work"
	env map[string]string // secrets, which the declaration reads
}

// kindPlaces starts a server for each kind of datastore that can be written.
var kindPlaces = map[string]func(t *testing.T, dir string) kindPlace{
	"local": func(*testing.T, string) kindPlace {
		return kindPlace{hcl: "datastore \"local\" \"work\" {\n  path = \"work\"\n  create = true\n}\n"}
	},
	"memory": func(*testing.T, string) kindPlace { return kindPlace{hcl: "datastore \"memory\" \"work\" {\n}\n"} },
	"s3": func(t *testing.T, _ string) kindPlace {
		s := testbed.VersityGW(t)
		return kindPlace{fmt.Sprintf(`
credential "aws" "login" {
  access_key_id     = %q
  secret_access_key = env("SECRET")
}
datastore "s3" "work" {
  bucket               = "work"
  region               = %q
  endpoint             = %q
  credential           = credential.aws.login
  create_if_not_exists = true
}`, s.AccessKeyID, s.Region, s.Endpoint), map[string]string{"SECRET": s.SecretAccessKey}}
	},
	"azure_blob": func(t *testing.T, _ string) kindPlace {
		a := testbed.Azurite(t)
		return azurePlace("azure_blob", "container", a.Account, a.Key, a.Endpoint)
	},
	"adls_gen2": func(t *testing.T, _ string) kindPlace {
		const account = "exampleaccount"
		s := serve(t, adls.New(account, azureKey))
		return azurePlace("adls_gen2", "filesystem", account, azureKey, s+"/"+account)
	},
	"azure_files": func(t *testing.T, _ string) kindPlace {
		const account = "exampleaccount"
		s := serve(t, azurefiles.New(account, azureKey))
		return azurePlace("azure_files", "share", account, azureKey, s+"/"+account)
	},
	"oci": func(t *testing.T, dir string) kindPlace {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "oci.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
		s := oci.New()
		const user, fingerprint = "ocid1.user.oc1..example", "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
		s.Allow(s.Tenancy+"/"+user+"/"+fingerprint, &key.PublicKey)
		s.Bucket("work")
		return kindPlace{hcl: fmt.Sprintf(`
credential "oci" "login" {
  tenancy          = %q
  user             = %q
  fingerprint      = %q
  private_key_file = "oci.pem"
}
datastore "oci" "work" {
  bucket     = "work"
  endpoint   = %q
  credential = credential.oci.login
}`, s.Tenancy, user, fingerprint, serve(t, s))}
	},
	"sftp": func(t *testing.T, dir string) kindPlace {
		s := testbed.OpenSSH(t)
		write(t, dir, "id", string(s.Key))
		return kindPlace{hcl: fmt.Sprintf(`
credential "sftp" "login" {
  username         = %q
  key_file         = "id"
  known_hosts_file = %q
}
datastore "sftp" "work" {
  host       = "127.0.0.1"
  port       = %d
  root       = %q
  credential = credential.sftp.login
}`, s.User, s.KnownHosts, s.Port, t.TempDir())}
	},
	"webhdfs": func(t *testing.T, _ string) kindPlace {
		s := testbed.WebHDFS(t)
		return kindPlace{hcl: fmt.Sprintf(`
credential "hdfs" "login" {
  user = %q
}
datastore "webhdfs" "work" {
  endpoint   = %q
  root       = "/work"
  data_nodes = [%q]
  credential = credential.hdfs.login
}`, s.User, s.URL, s.DataHost)}
	},
}

var azureKey = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("testbed-key/+", 4)))

func azurePlace(kind, container, account, key, endpoint string) kindPlace {
	return kindPlace{fmt.Sprintf(`
credential "azure" "login" {
  account_key = env("SECRET")
}
datastore %q "work" {
  account              = %q
  %s = "work-%s"
  endpoint             = %q
  credential           = credential.azure.login
  create_if_not_exists = true
}`, kind, account, container, container, endpoint), map[string]string{"SECRET": key}}
}

func serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// readOnly are the kinds that cannot be written, which tests of their own read.
var readOnly = map[string]bool{}

// TestEveryKind runs one script, unchanged, on every kind of datastore: it validates, converts, copies, lists and deletes,
// and prints the same everywhere. Only the configuration differs.
func TestEveryKind(t *testing.T) {
	for _, kind := range providers.All().Labels(provider.KindStore) {
		if kindPlaces[kind] == nil && !readOnly[kind] {
			t.Errorf("the kind %s is not tried", kind)
		}
	}
	script, err := os.ReadFile("testdata/kinds/everywhere.star")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../examples/data/birdstrikes.csv")
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Join(bytes.SplitAfterN(data, []byte("\n"), 302)[:301], nil)
	kinds := make([]string, 0, len(kindPlaces))
	for kind := range kindPlaces {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	want := ""
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			p := kindPlaces[kind](t, dir)
			write(t, dir, "everywhere.star", string(script))
			write(t, dir, "dsrun.hcl", "datastore \"local\" \"seed\" {\n  path = \"seed\"\n}\n"+p.hcl)
			if err := os.Mkdir(filepath.Join(dir, "seed"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, dir, "seed/strikes.csv", string(data))
			w := testWorld(dir, []string{"run", "everywhere.star"})
			w.LookupEnv = func(name string) (string, bool) { v, ok := p.env[name]; return v, ok }
			w.StateDir = filepath.Join(dir, ".state")
			var out, errs bytes.Buffer
			w.Stdout, w.Stderr = &out, &errs
			code := Main(w)
			for _, s := range p.env {
				if strings.Contains(out.String()+errs.String(), s) {
					t.Error("a secret is shown")
				}
			}
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errs.String())
			}
			if want == "" {
				want = out.String()
			}
			if out.String() != want || !strings.HasPrefix(want, "300 ") || !strings.Contains(want, `True 2 ["in/strikes.csv"]`) {
				t.Errorf("it prints\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
}
