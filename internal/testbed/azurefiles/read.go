package azurefiles

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/internal/testbed/azurefake"
)

func (c *call) shareProperties([]byte) *azurefake.Error {
	c.w.Header().Set("x-ms-share-quota", "5120")
	c.w.Header().Set("x-ms-access-tier", "TransactionOptimized")
	return c.done(c.s.shares[c.share], 200)
}

func (c *call) dirProperties([]byte) *azurefake.Error {
	n, err := c.at(true)
	if err != nil {
		return err
	}
	return c.done(n, 200)
}

// head sets the headers that describe a file.
func (c *call) head(n *node) {
	h := c.w.Header()
	h.Set("ETag", `"`+n.etag+`"`)
	h.Set("Last-Modified", n.modified.Format(http.TimeFormat))
	h.Set("x-ms-type", "File")
	h.Set("x-ms-server-encrypted", "true")
	h.Set("x-ms-lease-state", "available")
	h.Set("x-ms-lease-status", "unlocked")
	c.smb(n)
	for name, v := range n.header {
		h.Set(name, v)
	}
	for name, v := range n.meta {
		h["x-ms-meta-"+name] = []string{v}
	}
}

func (c *call) properties([]byte) *azurefake.Error {
	n, err := c.at(false)
	if err != nil {
		return err
	}
	c.head(n)
	c.w.Header().Set("Content-Length", itoa(n.size))
	c.w.WriteHeader(200)
	return nil
}

func (c *call) read([]byte) *azurefake.Error {
	for _, name := range []string{"If-Match", "If-None-Match"} { // the service has no conditions on files
		if c.r.Header.Get(name) != "" {
			return azurefake.Refuse(400, "UnsupportedHeader", "One of the HTTP headers specified in the request is not supported: "+name+".")
		}
	}
	n, err := c.at(false)
	if err != nil {
		return err
	}
	from, to, ranged, err := azurefake.Range(c.r, n.size)
	if err != nil {
		return err
	}
	part := make([]byte, to-from) // files are changed in place
	if from < int64(len(n.data)) {
		copy(part, n.data[from:])
	}
	c.head(n)
	h := c.w.Header()
	status := 200
	if ranged {
		status = 206
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, n.size))
		if v := h.Get("Content-MD5"); v != "" {
			h.Set("x-ms-content-md5", v)
			h.Del("Content-MD5")
		}
		if c.r.Header.Get("x-ms-range-get-content-md5") == "true" {
			if len(part) > maxRange {
				return azurefake.Refuse(400, "OutOfRangeInput", "One of the request inputs is out of range.")
			}
			h.Set("Content-MD5", azurefake.MD5(part))
		}
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.Itoa(len(part)))
	c.write(status, part)
	return nil
}

// write answers with a body. A slow reader must not hold the others.
func (c *call) write(status int, b []byte) {
	c.w.WriteHeader(status)
	c.s.mu.Unlock()
	defer c.s.mu.Lock()
	c.w.Write(b)
}

type entry struct {
	XMLName    xml.Name
	FileID     string `xml:"FileId,omitempty"`
	Name       string
	Properties struct {
		Length         *int64 `xml:"Content-Length,omitempty"`
		CreationTime   string `xml:",omitempty"`
		LastAccessTime string `xml:",omitempty"`
		LastWriteTime  string `xml:",omitempty"`
		ChangeTime     string `xml:",omitempty"`
		LastModified   string `xml:"Last-Modified,omitempty"`
		ETag           string `xml:"Etag,omitempty"`
	}
	Attributes string `xml:",omitempty"`
}

type results struct {
	XMLName    xml.Name `xml:"EnumerationResults"`
	Endpoint   string   `xml:"ServiceEndpoint,attr"`
	Share      string   `xml:"ShareName,attr"`
	Dir        string   `xml:"DirectoryPath,attr"`
	Prefix     string   `xml:",omitempty"`
	Marker     string   `xml:",omitempty"`
	MaxResults int      `xml:",omitempty"`
	Entries    struct{ Entries []entry }
	NextMarker string
	ID         string `xml:"DirectoryId,omitempty"`
}

func (c *call) list([]byte) *azurefake.Error {
	bad := func(name string) *azurefake.Error {
		return azurefake.Refuse(400, "InvalidQueryParameterValue", "Value for one of the query parameters specified in the request URI is invalid: "+name+".")
	}
	limit := 5000
	if c.s.MaxPage > 0 {
		limit = c.s.MaxPage
	}
	asked := 0
	if v := c.q.Get("maxresults"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 5000 {
			return bad("maxresults")
		}
		asked, limit = n, min(limit, n)
	}
	dir, err := c.at(true)
	if err != nil {
		return err
	}
	out := results{Endpoint: "http://" + c.r.Host + "/" + c.s.Name, Share: c.share, Dir: c.path, Prefix: c.q.Get("prefix"), Marker: c.q.Get("marker"), MaxResults: asked, ID: dir.id}
	var keys []string
	for k := range maps.Keys(dir.children) {
		if strings.HasPrefix(k, fold(out.Prefix)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys) // without regard to case
	if c.s.Shuffled {
		h := func(s string) uint32 { f := fnv.New32a(); f.Write([]byte(s)); return f.Sum32() }
		slices.SortFunc(keys, func(a, b string) int { return int(int64(h(a)) - int64(h(b))) })
	}
	if out.Marker != "" {
		b, err := base64.StdEncoding.DecodeString(out.Marker)
		last, ok := strings.CutPrefix(string(b), "continue:")
		if err != nil || !ok {
			return bad("marker")
		}
		i := slices.Index(keys, last)
		if i < 0 && !c.s.Shuffled {
			i, _ = slices.BinarySearch(keys, last)
			i--
		}
		keys = keys[i+1:]
	}
	if len(keys) > limit {
		keys = keys[:limit]
		out.NextMarker = base64.StdEncoding.EncodeToString([]byte("continue:" + keys[limit-1]))
	}
	include := "," + strings.ToLower(c.q.Get("include")) + ","
	extended := c.r.Header.Get("x-ms-file-extended-info") == "true" || include != ",,"
	for _, k := range keys {
		n := dir.children[k]
		e := entry{XMLName: xml.Name{Local: "File"}, Name: n.name}
		if n.dir {
			e.XMLName.Local = "Directory"
		} else {
			e.Properties.Length = &n.size
		}
		if extended {
			e.FileID = n.id
		}
		if strings.Contains(include, ",timestamps,") {
			p := &e.Properties
			p.CreationTime, p.LastAccessTime, p.LastWriteTime, p.ChangeTime = n.created.Format(stamp), n.written.Format(stamp), n.written.Format(stamp), n.modified.Format(stamp)
			p.LastModified = n.modified.Format(http.TimeFormat)
		}
		if strings.Contains(include, ",etag,") {
			e.Properties.ETag = `"` + n.etag + `"`
		}
		if strings.Contains(include, ",attributes,") {
			e.Attributes = map[bool]string{true: "Directory", false: "Archive"}[n.dir]
		}
		out.Entries.Entries = append(out.Entries.Entries, e)
	}
	b, merr := xml.Marshal(out)
	if merr != nil {
		panic(merr)
	}
	b = append([]byte("\xef\xbb\xbf"+`<?xml version="1.0" encoding="utf-8"?>`), b...)
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	c.write(200, b)
	return nil
}
