package gcs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// list answers a listing page by page as the service does, where prefixes count as names and stand on one page only. The
// server behind is asked for everything.
func (f *Front) list(w http.ResponseWriter, r *http.Request, t target) {
	q := r.URL.Query()
	limit := 1000
	if s := q.Get("maxResults"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			refuse(w, r, 400, "invalid", "", "Invalid argument: maxResults")
			return
		}
		if n > 0 && n < limit {
			limit = n
		}
	}
	last, err := base64.StdEncoding.DecodeString(q.Get("pageToken"))
	after, ok := strings.CutPrefix(string(last), "after ")
	if err != nil || !ok && q.Get("pageToken") != "" {
		refuse(w, r, 400, "invalid", "", "Invalid argument: pageToken")
		return
	}
	all := url.Values{}
	for _, name := range []string{"prefix", "startOffset", "endOffset", "versions"} {
		if v := q.Get(name); v != "" {
			all.Set(name, v)
		}
	}
	resp, err := f.client.Get(f.behind.String() + "/storage/v1/b/" + url.PathEscape(t.bucket) + "/o?" + all.Encode())
	if err != nil {
		refuse(w, r, 503, "backendError", "", err.Error())
		return
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	var res struct{ Items []json.RawMessage }
	switch {
	case resp.StatusCode == 404:
		refuse(w, r, 404, "notFound", "", "The specified bucket does not exist.")
		return
	case err != nil || resp.StatusCode != 200 || json.Unmarshal(b, &res) != nil:
		refuse(w, r, 503, "backendError", "", fmt.Sprint(resp.Status, err))
		return
	}
	type named struct {
		name string
		item json.RawMessage // nil: a prefix
	}
	var names []named
	seen := map[string]bool{}
	for _, raw := range res.Items {
		var o object
		if err := json.Unmarshal(raw, &o); err != nil {
			refuse(w, r, 503, "backendError", "", err.Error())
			return
		}
		n := named{o.Name, raw}
		if del := q.Get("delimiter"); del != "" {
			if i := strings.Index(o.Name[len(q.Get("prefix")):], del); i >= 0 {
				n = named{name: o.Name[:len(q.Get("prefix"))+i+len(del)]}
				if seen[n.name] {
					continue
				}
				seen[n.name] = true
			}
		}
		if after == "" || n.name > after {
			names = append(names, n)
		}
	}
	slices.SortStableFunc(names, func(a, b named) int { return strings.Compare(a.name, b.name) })
	out := map[string]any{"kind": "storage#objects"}
	if len(names) > limit {
		names = names[:limit]
		out["nextPageToken"] = base64.StdEncoding.EncodeToString([]byte("after " + names[limit-1].name))
	}
	var items []json.RawMessage
	var prefixes []string
	for _, n := range names {
		if n.item != nil {
			items = append(items, n.item)
		} else {
			prefixes = append(prefixes, n.name)
		}
	}
	if items != nil {
		out["items"] = items
	}
	if prefixes != nil {
		out["prefixes"] = prefixes
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	text, _ := json.Marshal(out)
	_, _ = w.Write(f.links(text, r.Host))
}
