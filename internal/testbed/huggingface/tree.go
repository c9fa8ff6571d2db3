package huggingface

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b)
}

const timeForm = "2006-01-02T15:04:05.000Z"

// api answers the endpoints below /api/KIND/ORG/NAME.
func (s *Server) api(w http.ResponseWriter, r *http.Request, kind string, rp *repo, rest []string, token string, opens bool) {
	what := ""
	if len(rest) > 0 {
		what, rest = rest[0], rest[1:]
	}
	switch {
	case what == "" || what == "revision" && len(rest) == 1:
		rev := "main"
		if what != "" {
			rev = rest[0]
		}
		if c := rp.at(w, rev); c != nil {
			s.info(w, rp, c)
		}
	case what == "auth-check":
		if consent(w, rp, token, opens) {
			w.WriteHeader(http.StatusOK)
		}
	case what == "commits" && len(rest) == 1:
		if c := rp.at(w, rest[0]); c != nil {
			s.commits(w, r, rp, c)
		}
	case what == "tree" && len(rest) > 0:
		dir, err := url.PathUnescape(strings.Join(rest[1:], "/"))
		if err != nil {
			refuse(w, http.StatusBadRequest, "", "Invalid path")
			return
		}
		if c := rp.at(w, rest[0]); c != nil {
			s.tree(w, r, c, dir)
		}
	case what == "paths-info" && len(rest) == 1 && r.Method == http.MethodPost:
		if c := rp.at(w, rest[0]); c != nil {
			s.paths(w, r, c)
		}
	default:
		refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
	}
}

func (s *Server) info(w http.ResponseWriter, rp *repo, c *commit) {
	siblings := []map[string]any{}
	for _, e := range entries(c, "", true) {
		if e.file != nil {
			siblings = append(siblings, map[string]any{"rfilename": e.path})
		}
	}
	gated := any(false)
	if rp.gated {
		gated = "manual"
	}
	reply(w, http.StatusOK, map[string]any{"_id": "0", "id": rp.id, "author": strings.SplitN(rp.id, "/", 2)[0], "sha": c.id, "lastModified": c.date.Format(timeForm),
		"private": rp.private, "gated": gated, "disabled": false, "downloads": 0, "likes": 0, "tags": []string{}, "siblings": siblings})
}

// commits lists a commit and those before it, the latest first.
func (s *Server) commits(w http.ResponseWriter, r *http.Request, rp *repo, c *commit) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	if limit <= 0 || limit > 1000 {
		limit = 50
	}
	page, _ := strconv.Atoi(q.Get("p"))
	list := slices.Clone(rp.commits[:slices.Index(rp.commits, c)+1])
	slices.Reverse(list)
	w.Header().Set("X-Total-Count", strconv.Itoa(len(list)))
	list = list[min(len(list), page*limit):]
	if len(list) > limit {
		list = list[:limit]
		q.Set("p", strconv.Itoa(page+1))
		w.Header().Set("Link", fmt.Sprintf("<http://%s%s?%s>; rel=\"next\"", r.Host, r.URL.EscapedPath(), q.Encode()))
	}
	out := []map[string]any{}
	for _, c := range list {
		out = append(out, map[string]any{"id": c.id, "title": c.title, "message": "", "authors": []map[string]string{{"user": "somebody"}}, "date": c.date.Format(timeForm)})
	}
	reply(w, http.StatusOK, out)
}

// entry is a name in a tree.
type entry struct {
	path    string
	file    *file // nil for a folder
	changed *commit
}

// entries lists a folder: folders first, each followed by what is in it when all of that is wanted.
func entries(c *commit, dir string, recursive bool) []entry {
	if dir != "" {
		dir += "/"
	}
	folders := map[string]*commit{}
	var files []entry
	for path, f := range c.files {
		rest, ok := strings.CutPrefix(path, dir)
		if !ok {
			continue
		}
		if first, _, deeper := strings.Cut(rest, "/"); !deeper {
			files = append(files, entry{path, f, f.changed})
		} else if last := folders[first]; last == nil || f.changed.date.After(last.date) {
			folders[first] = f.changed
		}
	}
	var out []entry
	for _, name := range sorted(folders) {
		out = append(out, entry{dir + name, nil, folders[name]})
		if recursive {
			out = append(out, entries(c, dir+name, true)...)
		}
	}
	slices.SortFunc(files, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return append(out, files...)
}

func sorted(m map[string]*commit) (names []string) {
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// describe is an entry in JSON.
func (e entry) describe(expand bool) map[string]any {
	v := map[string]any{"type": "directory", "oid": blob([]byte(e.path)), "size": 0, "path": e.path}
	if f := e.file; f != nil {
		v["type"], v["oid"], v["size"] = "file", f.oid, f.size
		if f.sha256 != "" {
			v["lfs"] = map[string]any{"oid": f.sha256, "size": f.size, "pointerSize": len(pointer(f))}
		}
		if f.xet {
			v["xetHash"] = f.sha256
		}
	}
	if expand {
		v["lastCommit"] = map[string]any{"id": e.changed.id, "title": e.changed.title, "date": e.changed.date.Format(timeForm)}
	}
	return v
}

// isTrue reads a boolean as both of the hub's clients write it.
func isTrue(s string) bool { return s == "true" || s == "True" || s == "1" }

// tree lists a folder page by page. The cursor is opaque and good for this listing only.
func (s *Server) tree(w http.ResponseWriter, r *http.Request, c *commit, dir string) {
	q := r.URL.Query()
	recursive, expand := isTrue(q.Get("recursive")), isTrue(q.Get("expand"))
	size := s.PageSize
	if expand {
		size = max(1, size/20)
	}
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		size = min(n, size)
	}
	list := entries(c, dir, recursive)
	if dir != "" && len(list) == 0 {
		refuse(w, http.StatusNotFound, "EntryNotFound", dir+" does not exist on \""+c.id+"\"")
		return
	}
	from := 0
	if cur := q.Get("cursor"); cur != "" {
		raw, err := base64.RawURLEncoding.DecodeString(cur)
		var where string
		if err == nil {
			_, err = fmt.Sscanf(string(raw), "%d %s", &from, &where)
		}
		if err != nil || where != s.sign(c.id + dir + strconv.FormatBool(recursive))[:16] || from > len(list) {
			refuse(w, http.StatusBadRequest, "", "Invalid cursor")
			return
		}
	}
	out := []map[string]any{}
	for _, e := range list[from:min(len(list), from+size)] {
		out = append(out, e.describe(expand))
	}
	if from+size < len(list) {
		q.Set("cursor", base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", from+size, s.sign(c.id + dir + strconv.FormatBool(recursive))[:16])))
		w.Header().Set("Link", fmt.Sprintf("<http://%s%s?%s>; rel=\"next\"", r.Host, r.URL.EscapedPath(), q.Encode()))
	}
	reply(w, http.StatusOK, out)
}

// paths describes files and folders by name; what is not there is left out.
func (s *Server) paths(w http.ResponseWriter, r *http.Request, c *commit) {
	var in struct {
		Paths  []string `json:"paths"`
		Expand bool     `json:"expand"`
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			refuse(w, http.StatusBadRequest, "", "Invalid JSON")
			return
		}
	} else if r.ParseForm() == nil {
		in.Paths, in.Expand = r.PostForm["paths"], isTrue(r.PostForm.Get("expand"))
	}
	out := []map[string]any{}
	for _, p := range in.Paths {
		if f := c.files[p]; f != nil {
			out = append(out, entry{p, f, f.changed}.describe(in.Expand))
		} else if len(entries(c, p, false)) > 0 {
			out = append(out, entry{p, nil, c}.describe(in.Expand))
		}
	}
	reply(w, http.StatusOK, out)
}

// Travel moves the hub's clock: signed addresses end by it.
func (s *Server) Travel(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now
	s.now = func() time.Time { return now().Add(d) }
}
