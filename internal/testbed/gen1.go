package testbed

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// Gen1 stands before a cluster as an account of the service: it takes requests with the token only, says to the
// cluster who asks, and leads the redirects to data nodes to itself. It counts the requests that it refused.
func Gen1(t testing.TB, h *HDFS, token string) (at *httptest.Server, refused *atomic.Int32) {
	t.Helper()
	base, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	const node = "testbed.node"
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			target := *base
			q := r.In.URL.Query()
			if n := q.Get(node); n != "" {
				target.Host = n
			} else {
				r.Out.URL.RawQuery += "&user.name=" + h.User
			}
			r.SetURL(&target)
			r.Out.Host = target.Host
			r.Out.Header.Del("Authorization")
		},
		ModifyResponse: func(resp *http.Response) error {
			u, err := url.Parse(resp.Header.Get("Location"))
			if err == nil && u.Host != "" && resp.StatusCode == http.StatusTemporaryRedirect {
				resp.Header.Set("Location", "http://"+resp.Request.Header.Get("X-Front")+u.EscapedPath()+"?"+u.RawQuery+"&"+node+"="+url.QueryEscape(u.Host))
			}
			return nil
		}}
	refused = new(atomic.Int32)
	at = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case r.Header.Get("Authorization") != "Bearer "+token:
			refused.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"RemoteException":{"exception":"AuthenticationException","message":"AuthenticationFailed: The access token in the 'Authorization' header is expired."}}`)
		case !q.Has(node) && (q.Has("user.name") || q.Has("delegation")): // what is for a data node is the cluster's own text
			t.Errorf("%s says who asks in another way than by the token", r.URL)
			w.WriteHeader(http.StatusBadRequest)
		default:
			r.Header.Set("X-Front", r.Host)
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(at.Close)
	return at, refused
}
