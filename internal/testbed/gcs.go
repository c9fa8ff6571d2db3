package testbed

import (
	"context"
	"fmt"
	"net/http"
	"testing"
)

// FakeGCS starts fake-gcs-server with its objects in memory. It takes everybody's requests; see package gcs for a front
// that verifies them.
func FakeGCS(t testing.TB) *Instance {
	t.Helper()
	return Server{
		Name: "fake-gcs-server",
		Args: func(i *Instance) []string {
			return []string{"-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", fmt.Sprint(i.Port), "-public-host", i.Addr, "-external-url", i.URL, "-log-level", "error"}
		},
		Ready: func(ctx context.Context, i *Instance) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.URL+"/_internal/healthcheck", nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s", resp.Status)
			}
			return nil
		},
	}.Start(t)
}
