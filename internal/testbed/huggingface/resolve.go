package huggingface

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// resolve leads to the bytes of a file.
func (s *Server) resolve(w http.ResponseWriter, r *http.Request, kind string, rp *repo, rev string, path []string, token string, opens bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "", "Method not allowed")
		return
	}
	if !consent(w, rp, token, opens) {
		return
	}
	c := rp.at(w, rev)
	if c == nil {
		return
	}
	w.Header().Set("X-Repo-Commit", c.id)
	name, err := url.PathUnescape(strings.Join(path, "/"))
	f := c.files[name]
	if err != nil || f == nil {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	h.Set("X-Linked-Size", strconv.FormatInt(f.size, 10))
	h.Set("X-Linked-Etag", `"`+f.etag()+`"`)
	if f.sha256 == "" {
		h.Set("Location", fmt.Sprintf("/api/resolve-cache/%s/%s/%s/%s?%s=&etag=%%22%s%%22", kind, rp.id, c.id, strings.Join(path, "/"), url.QueryEscape(r.URL.Path), f.oid))
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	if f.xet {
		h.Set("X-Xet-Hash", f.sha256)
		h.Add("Link", fmt.Sprintf("<http://%s/api/%s/%s/xet-read-token/%s>; rel=\"xet-auth\"", r.Host, kind, rp.id, c.id))
	}
	h.Set("Location", s.signed(f))
	h.Set("Content-Type", "text/plain; charset=utf-8")
	text := "Found. Redirecting to " + h.Get("Location")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusFound)
	if r.Method == http.MethodGet {
		w.Write([]byte(text))
	}
}

// cache serves the small files.
func (s *Server) cache(w http.ResponseWriter, r *http.Request, rp *repo, rest []string) {
	if len(rest) < 2 {
		refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
		return
	}
	c := rp.at(w, rest[0])
	if c == nil {
		return
	}
	name, err := url.PathUnescape(strings.Join(rest[1:], "/"))
	f := c.files[name]
	if err != nil || f == nil || f.sha256 != "" {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	w.Header().Set("X-Repo-Commit", c.id)
	w.Header().Set("Etag", `"`+f.oid+`"`)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	s.mu.Unlock() // a reader may take its time
	defer s.mu.Lock()
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

// Storage is the other host, which holds the large files.
func (s *Server) Storage() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			s.Leaks.Add(1)
			http.Error(w, "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>", http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		q := r.URL.Query()
		end, err := strconv.ParseInt(q.Get("Expires"), 10, 64)
		good := err == nil && q.Get("Signature") == s.sign(fmt.Sprintf("%s?Expires=%d", r.URL.Path, end)) && s.now().Unix() < end
		content, there := s.content[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		s.mu.Unlock()
		if !good || !there || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", http.StatusForbidden)
			return
		}
		w.Header().Set("Etag", `"other-`+r.URL.Path[len(r.URL.Path)-8:]+`"`) // the storage's own, which is not the file's
		w.Header().Set("Content-Type", "binary/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}
