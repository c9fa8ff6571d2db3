package s3

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
)

var gateway = testbed.Server{Name: "versitygw",
	Args: func(i *testbed.Instance) []string {
		return []string{"--quiet", "--port", "127.0.0.1:" + strconv.Itoa(i.Port), "--iam-dir", i.Path("iam"), "posix", "--versioning-dir", i.Path("versions"), i.Path("data")}
	},
	Env: func(i *testbed.Instance) []string { return []string{"ROOT_ACCESS_KEY=test", "ROOT_SECRET_KEY=canary-secret-8d1c"} },
	Setup: func(ctx context.Context, i *testbed.Instance) error {
		for _, n := range []string{"iam", "versions", "data"} {
			if err := os.Mkdir(i.Path(n), 0o700); err != nil {
				return err
			}
		}
		return nil
	},
}

const gatewayKey, gatewaySecret = "test", "canary-secret-8d1c"

func TestGateway(t *testing.T) {
	i := gateway.Start(t)
	c := client(t, httpclient.Options{})
	h := harness(c, keys(gatewayKey, gatewaySecret), Options{Endpoint: i.URL, Preset: "aws"})
	h.Secrets = []string{gatewaySecret}
	h.SkipKey = gatewayKeyFault
	storetest.Run(t, h)
}

// gatewayKeyFault returns why versitygw, which keeps objects as files, cannot hold a key.
func gatewayKeyFault(key string) string {
	for _, s := range strings.Split(key, "/") {
		if len(s) > 255 {
			return "a file name has at most 255 bytes"
		}
	}
	return ""
}
