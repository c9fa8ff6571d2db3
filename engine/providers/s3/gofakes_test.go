package s3

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"

	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store/storetest"
)

// TestMemoryServer runs the suite against rclone's S3 server in memory, which keeps keys such as a//b that a server over
// a file system cannot.
func TestMemoryServer(t *testing.T) {
	if raceDetector {
		t.Skip("the suites over versitygw run under the race detector; this one asks about keys")
	}
	fake := gofakes3.New(s3mem.New(), gofakes3.WithV4Auth(map[string]string{"AKMEMORY": "memory-secret/+="}), gofakes3.WithLogger(gofakes3.StdLog(log.New(io.Discard, "", 0))))
	srv := httptest.NewServer(fake.Server())
	defer srv.Close()
	h := harness(client(t, httpclient.Options{}), keys("AKMEMORY", "memory-secret/+="), Options{Preset: "aws", Endpoint: srv.URL, Region: "us-east-1"})
	h.Secrets = []string{"memory-secret/+="}
	versions := "the server names a version to HEAD alone"
	lists := "the server's pages of folders repeat names, and a list that is to begin at a key that is not there leaves out the next"
	h.Skip = map[string]string{
		"Read/EntryDescribesTheObject": versions, "Put/AnswerDescribesTheObject": versions,
		"Read/Ranges":  "the server refuses a range of more last bytes than there are",
		"List/Queries": lists, "List/EveryPageSize": lists, "List/ForeignTokenIsAnError": lists,
		"Put/IfAbsentHasOneWinner": "the server's conditions are not atomic", "Put/IfMatchHasOneWinner": "the server's conditions are not atomic",
		"Load/LargeObjectInFlatMemory": "the server keeps its objects in the memory that is measured",
	}
	h.SkipKey = func(key string) string {
		if strings.HasSuffix(key, "/") {
			return "the server lists a key with a slash at its end in place of its folder"
		}
		return ""
	}
	storetest.Run(t, h)
}
