package floors

import (
	"path"
	"slices"
	"strings"
)

// floors are the packages of each floor. A package belongs to the longest path that it is within; "=" means the package
// alone. Imports run downward.
var floors = [][]string{
	0: {"config/schema", "engine/rows", "engine/fault", "engine/secret", "engine/clock", "internal/spell", "internal/markdown"},
	1: {"engine/store", "engine/event", "engine/sqldb", "engine/format", "engine/credential", "engine/state", "engine/retry", "engine/httpclient", "engine/telemetry"},
	2: {"config", "starlib", "engine/provider"},
	3: {"engine/providers"},
	4: {"=engine", "=engine/providers"},
	5: {"cmd"},
}

// floorOf returns the floor of a package.
func floorOf(pkg string) (floor int, ok bool) {
	if isSuite(pkg) {
		return 2, true
	}
	best := -1
	for n, list := range floors {
		for _, p := range list {
			if in(pkg, p) && len(p) > best {
				floor, ok, best = n, true, len(p)
			}
		}
	}
	return floor, ok
}

// isSuite reports whether a package is a conformance suite: test code that other packages' tests import.
func isSuite(pkg string) bool {
	return slices.Contains([]string{"storetest", "eventtest", "sqldbtest", "providertest"}, path.Base(pkg))
}

// sameFloor reports whether a package may import another of its floor.
func sameFloor(from, to string) bool {
	floor, _ := floorOf(from)
	switch floor {
	case 0, 1, 5:
		return true // the compiler refuses cycles
	case 2: // config and starlib do not know each other
		top := func(p string) string { first, _, _ := strings.Cut(p, "/"); return first }
		return isSuite(from) || top(from) == top(to) && top(from) != "engine" || within(from, "engine/provider") && within(to, "engine/provider")
	case 3: // kinds do not know each other; what they share is below internal
		kind := func(p string) string { return strings.SplitN(p+"///", "/", 4)[2] }
		return kind(from) == kind(to) || within(to, "engine/providers/internal")
	}
	return false
}

// isTool reports whether a package is for tests and tools, which may do as they need.
func isTool(pkg string) bool {
	_, floor := floorOf(pkg)
	return within(pkg, "internal") && !floor
}

// library says where another module may be imported.
type library struct {
	path   string
	places []string // paths of packages, "=" for the package alone
	tests  bool     // and in every _test.go file
}

var (
	anywhere  = []string{"config", "starlib", "engine", "cmd", "internal/spell", "internal/markdown"}
	providers = []string{"engine/providers"}
)

// libraries are all modules that the product may import, the longest path first.
var libraries = []library{
	{"go.starlark.net", []string{"starlib", "=engine", "cmd"}, true},
	{"github.com/bazelbuild/buildtools", []string{"starlib", "=engine", "cmd"}, true},
	{"github.com/hashicorp/hcl/v2", []string{"config", "=engine", "cmd"}, true},
	{"github.com/zclconf/go-cty", []string{"config", "=engine", "cmd"}, true},
	{"github.com/agext/levenshtein", anywhere, true},
	{"github.com/bmatcuk/doublestar/v4", anywhere, true},
	{"github.com/cespare/xxhash/v2", anywhere, true},
	{"github.com/klauspost/compress", anywhere, true},
	{"github.com/santhosh-tekuri/jsonschema/v6", anywhere, true},
	{"go.etcd.io/bbolt", anywhere, true},
	{"github.com/minio/crc64nvme", anywhere, true},
	{"github.com/mattn/go-runewidth", anywhere, true},
	{"github.com/ergochat/readline", []string{"cmd"}, true},
	{"github.com/spf13/cobra", []string{"cmd"}, true},
	{"github.com/spf13/pflag", []string{"cmd"}, true},
	{"golang.org/x/term", []string{"cmd"}, true},
	{"golang.org/x/sync", anywhere, true},
	{"golang.org/x/sys", anywhere, true},
	{"golang.org/x/text", anywhere, true},
	{"github.com/rogpeppe/go-internal/diff", []string{"cmd"}, true},
	{"go.opentelemetry.io/otel", []string{"engine/telemetry"}, true},
	{"go.opentelemetry.io/proto/otlp", nil, true},
	// for tests and suites
	{"github.com/google/go-cmp", suites, true},
	{"github.com/rogpeppe/go-internal", suites, true},
	{"go.uber.org/goleak", suites, true},
	{"github.com/rclone/gofakes3", suites, true},
	// software kits of services
	{"github.com/aws", providers, true},
	{"cloud.google.com/go", providers, true},
	{"google.golang.org", providers, true},
	{"golang.org/x/oauth2", providers, true},
	{"github.com/Azure", providers, true},
	{"github.com/AzureAD", providers, true},
	{"github.com/oracle/oci-go-sdk", providers, true},
	{"github.com/databricks", providers, true},
	{"github.com/pkg/sftp", providers, true},
	{"golang.org/x/crypto", providers, true},
	{"github.com/jackc/pgx", providers, true},
	{"github.com/go-sql-driver/mysql", providers, true},
	{"github.com/microsoft/go-mssqldb", providers, true},
	{"github.com/decred/dcrd/dcrec/secp256k1/v4", providers, true},
	{"github.com/golang-jwt/jwt/v5", providers, true},
	{"golang.org/x/net", providers, true},
}

var suites = []string{"engine/store/storetest", "engine/event/eventtest", "engine/sqldb/sqldbtest", "engine/provider/providertest"}

// Where a process may be started.
var execPlaces = []string{"engine/secret", "cmd/dsrun/pager.go"}

// The process: its arguments, environment, streams, end, user and working folder.
//
// Names are those of the packages' last path elements.
var processNames = []string{"os.Args", "os.Environ", "os.Getenv", "os.LookupEnv", "os.Setenv", "os.Unsetenv", "os.Clearenv", "os.ExpandEnv",
	"os.Stdin", "os.Stdout", "os.Stderr", "os.Getwd", "os.Chdir", "os.UserHomeDir", "os.UserCacheDir", "os.UserConfigDir", "os.TempDir", "os.Executable",
	"fmt.Print", "fmt.Printf", "fmt.Println", "fmt.Scan", "fmt.Scanf", "fmt.Scanln", "syscall.Getenv", "syscall.Environ", "syscall.Exit",
	"syscall.Stdin", "syscall.Stdout", "syscall.Stderr", "signal.Notify", "signal.NotifyContext"}

var processPlaces = []string{"cmd/dsrun/world.go", "cmd/dsrun/pager.go"}

// Functions that reach files by paths of the process instead of through an os.Root that somebody was given.
var fileNames = prefixed("os.", "Open", "OpenFile", "OpenRoot", "OpenInRoot", "Create", "CreateTemp", "MkdirTemp", "Mkdir", "MkdirAll", "ReadFile", "WriteFile",
	"ReadDir", "Remove", "RemoveAll", "Rename", "Stat", "Lstat", "Chmod", "Chown", "Lchown", "Chtimes", "Symlink", "Link", "Readlink", "Truncate", "DirFS", "CopyFS")

// Where roots are opened: the engine opens the folder of a project that is loaded by its path, and the shared files of
// AWS's tools lie where the environment says.
var filePlaces = []string{
	"engine/providers/internal/awsauth/files.go",
	"engine/providers/internal/azureauth/ambient.go",
	"engine/providers/internal/ociauth/files.go",
	"engine/providers/sftp/files.go",
	"cmd/dsrun/world.go",
	"engine/engine.go",
	"engine/secrets.go",
	"engine/state",
	"engine/providers/local",
	"engine/providers/file",
	"engine/providers/memory",
	"engine/providers/internal/gcpauth/files.go",
	"engine/providers/internal/databricksauth/files.go",
	"engine/providers/internal/hfauth/files.go",
}

func prefixed(prefix string, names ...string) []string {
	for i := range names {
		names[i] = prefix + names[i]
	}
	return append(names, "filepath.Walk", "filepath.WalkDir", "filepath.Glob", "filepath.EvalSymlinks",
		"syscall.Open", "syscall.Unlink", "syscall.Rename", "syscall.Mkdir", "unix.Open", "unix.Openat", "unix.Unlink", "unix.Rename", "unix.Mkdir")
}
