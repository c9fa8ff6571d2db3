package testbed

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// HDFS is a running cluster of one name node and one data node. URL is the name node's web server; redirects lead to the
// host DataHost.
type HDFS struct {
	*Instance
	DataHost string
	User     string // the superuser; the cluster believes every name
}

// WebHDFS starts Hadoop's own name node and data node. They take 8 s to start and 300 MB, so one serves a whole test
// function.
func WebHDFS(t testing.TB) *HDFS {
	t.Helper()
	h := &HDFS{DataHost: "localhost", User: "testbed"}
	s := Server{
		Name:     "hdfs",
		Program:  "hdfs-testbed",
		Args:     func(i *Instance) []string { return []string{i.Dir} },
		Env:      func(*Instance) []string { return []string{"HADOOP_USER_NAME=" + h.User} },
		Patience: 3 * time.Minute,
		Setup: func(_ context.Context, i *Instance) error {
			rpc, err := freePort()
			if err != nil {
				return err
			}
			core := map[string]string{"fs.defaultFS": fmt.Sprintf("hdfs://127.0.0.1:%d", rpc), "hadoop.tmp.dir": i.Path("tmp")}
			hdfs := map[string]string{"dfs.namenode.http-address": i.Addr, "dfs.namenode.name.dir": i.Path("name"), "dfs.datanode.data.dir": i.Path("data"),
				"dfs.datanode.address": "127.0.0.1:0", "dfs.datanode.http.address": "127.0.0.1:0", "dfs.datanode.ipc.address": "127.0.0.1:0", "dfs.datanode.hostname": h.DataHost,
				"dfs.replication": "1", "dfs.namenode.safemode.extension": "0", "dfs.namenode.edits.noeditlogchannelflush": "true", "dfs.datanode.du.reserved": "0",
				"dfs.namenode.datanode.registration.ip-hostname-check": "false", "dfs.ls.limit": "100", "dfs.namenode.fs-limits.min-block-size": "1024"}
			return firstError(os.WriteFile(i.Path("core-site.xml"), []byte(siteXML(core)), 0o600), os.WriteFile(i.Path("hdfs-site.xml"), []byte(siteXML(hdfs)), 0o600))
		},
		Ready: func(ctx context.Context, i *Instance) error {
			req, err := http.NewRequestWithContext(ctx, "GET", i.URL+"/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState", nil)
			if err != nil {
				return err
			}
			req.Close = true
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err == nil && !strings.Contains(string(b), `"NumLiveDataNodes" : 1`) {
				err = fmt.Errorf("no live data node yet")
			}
			return err
		},
	}
	h.Instance = s.Start(t)
	return h
}

func siteXML(values map[string]string) string {
	var b strings.Builder
	b.WriteString("<configuration>\n")
	for k, v := range values {
		fmt.Fprintf(&b, "<property><name>%s</name><value>%s</value></property>\n", k, v)
	}
	return b.String() + "</configuration>\n"
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
