// Package nulls3 is an S3 endpoint for measurements: it lists synthetic keys, serves synthetic bytes and takes uploads
// without keeping them, at next to no cost of its own, so that what is measured is the client. It checks no signature.
package nulls3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is a null S3 server. Every bucket, and every key on a read, exists.
type Server struct {
	Keys     int   // of a listing
	Prefixes int   // the keys lie below so many "p00000/"; 0 means flat
	Size     int64 // bytes of every object
	// PageDelay is added to each page of a listing, Latency to each request, before its answer.
	PageDelay, Latency time.Duration
	Rate               int64 // bytes a second of one answer or upload; 0 means unbounded
}

// modified is when every object changed last, as listings and as headers have it.
const (
	modifiedXML  = "2026-01-02T03:04:05.000Z"
	modifiedHTTP = "Fri, 02 Jan 2026 03:04:05 GMT"
	etag         = `"0123456789abcdef0123456789abcdef"`
)

// maxPage is the most keys of a page, as in S3.
const maxPage = 1000

// zeros is what objects hold.
var zeros [1 << 20]byte

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Latency > 0 {
		time.Sleep(s.Latency)
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	switch {
	case bucket == "":
		answer(w, "<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>")
	case key == "" && r.Method == "GET" && q.Has("location"):
		answer(w, "<LocationConstraint></LocationConstraint>")
	case key == "" && r.Method == "GET" && q.Has("uploads"):
		answer(w, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
	case key == "" && r.Method == "GET":
		time.Sleep(s.PageDelay)
		s.list(w, bucket, q.Get("prefix"), q.Get("delimiter"), q.Get("start-after"), q.Get("continuation-token"), q.Get("max-keys"))
	case key == "" && r.Method == "POST" && q.Has("delete"):
		s.discard(r)
		answer(w, "<DeleteResult></DeleteResult>")
	case key == "":
		s.discard(r)
	case r.Method == "GET", r.Method == "HEAD":
		s.get(w, r)
	case r.Method == "POST" && q.Has("uploads"):
		answer(w, "<InitiateMultipartUploadResult><UploadId>null-upload</UploadId></InitiateMultipartUploadResult>")
	case r.Method == "POST":
		s.discard(r)
		answer(w, "<CompleteMultipartUploadResult><ETag>&quot;0123456789abcdef0123456789abcdef-1&quot;</ETag></CompleteMultipartUploadResult>")
	case r.Method == "PUT" && r.Header.Get("X-Amz-Copy-Source") != "":
		answer(w, "<CopyObjectResult><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><LastModified>"+modifiedXML+"</LastModified></CopyObjectResult>")
	case r.Method == "PUT":
		s.discard(r)
		w.Header().Set("ETag", etag)
		for name, v := range r.Header { // a checksum that was sent is confirmed
			if strings.HasPrefix(name, "X-Amz-Checksum-") {
				w.Header()[name] = v
			}
		}
	case r.Method == "DELETE":
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/xml")
	io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+body)
}

// discard takes the body of a request at the server's rate.
func (s *Server) discard(r *http.Request) {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Body.Read(buf)
		if err != nil {
			return
		}
		s.pace(n)
	}
}

func (s *Server) pace(n int) {
	if s.Rate > 0 {
		time.Sleep(time.Duration(int64(n) * int64(time.Second) / s.Rate))
	}
}

// get serves zeros, all or a range.
func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Last-Modified", modifiedHTTP)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "application/octet-stream")
	off, n, status := int64(0), s.Size, http.StatusOK
	if rg := strings.TrimPrefix(r.Header.Get("Range"), "bytes="); rg != "" {
		from, to, _ := strings.Cut(rg, "-")
		a, aerr := strconv.ParseInt(from, 10, 64)
		b, berr := strconv.ParseInt(to, 10, 64)
		switch {
		case aerr != nil: // the last b bytes
			a, b = max(s.Size-b, 0), s.Size-1
		case berr != nil || b >= s.Size:
			b = s.Size - 1
		}
		if a > b {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", s.Size))
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		off, n, status = a, b-a+1, http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, b, s.Size))
	}
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	w.WriteHeader(status)
	if r.Method == "HEAD" {
		return
	}
	for n > 0 {
		k, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return
		}
		n -= int64(k)
		s.pace(k)
	}
}

// key returns key i; keys ascend with i.
func (s *Server) key(i int) string {
	if s.Prefixes > 0 {
		return fmt.Sprintf("p%05d/key-%010d", i/s.perPrefix(), i)
	}
	return fmt.Sprintf("key-%010d", i)
}

func (s *Server) perPrefix() int { return (s.Keys + s.Prefixes - 1) / s.Prefixes }

// pages holds rendered pages of entries, in which only the digits of the keys are written anew.
var pages sync.Pool

// entries renders the entries of keys i to i+n. What it returns goes back to pages.
func (s *Server) entries(i, n int) (*[]byte, []byte) {
	one := fmt.Sprintf("<Contents><Key>%s</Key><LastModified>"+modifiedXML+"</LastModified><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag>"+
		"<Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>", s.key(0), s.Size)
	p, ok := pages.Get().(*[]byte)
	if !ok || len(*p) != maxPage*len(one) || !bytes.HasSuffix(*p, []byte(one[len("<Contents><Key>")+len(s.key(0)):])) {
		b := []byte(strings.Repeat(one, maxPage))
		p = &b
	}
	number := len("<Contents><Key>") + len(s.key(0)) - 10
	for j := range n {
		at := (*p)[j*len(one):]
		if s.Prefixes > 0 {
			digits(at[len("<Contents><Key>p"):][:5], (i+j)/s.perPrefix())
		}
		digits(at[number:][:10], i+j)
	}
	return p, (*p)[:n*len(one)]
}

// digits fills b with the last digits of n.
func digits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// from returns the number of the first key >= k.
func (s *Server) from(k string) int {
	return sort.Search(s.Keys, func(i int) bool { return s.key(i) >= k })
}

// list writes a page of ListObjectsV2. Its tokens are numbers of keys.
func (s *Server) list(w http.ResponseWriter, bucket, prefix, delimiter, after, token, maxKeys string) {
	limit := maxPage
	if n, err := strconv.Atoi(maxKeys); err == nil && n < limit {
		limit = max(n, 0)
	}
	i := s.from(prefix)
	end := s.from(prefix + "\xff")
	if after != "" {
		i = max(i, s.from(after+"\x00"))
	}
	if n, err := strconv.Atoi(token); err == nil {
		i = max(i, n)
	}
	var b []byte
	count := 0
	if delimiter == "/" && s.Prefixes > 0 && !strings.Contains(prefix, "/") { // every key lies below the next "/"
		for ; i < end && count < limit; count++ {
			dir, _, _ := strings.Cut(s.key(i), "/")
			b = fmt.Appendf(b, "<CommonPrefixes><Prefix>%s/</Prefix></CommonPrefixes>", dir)
			i = max(i+1, s.from(dir+"/\xff"))
		}
	} else if count = max(min(limit, end-i), 0); count > 0 {
		var p *[]byte
		p, b = s.entries(i, count)
		defer pages.Put(p)
		i += count
	}
	head := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>%s</Name><Prefix>%s</Prefix><KeyCount>%d</KeyCount><MaxKeys>%d</MaxKeys>`,
		escape(bucket), escape(prefix), count, limit)
	if i < end && limit > 0 {
		head += fmt.Sprintf("<IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken>", i)
	} else {
		head += "<IsTruncated>false</IsTruncated>"
	}
	const tail = "</ListBucketResult>"
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(head)+len(b)+len(tail)))
	io.WriteString(w, head)
	w.Write(b)
	io.WriteString(w, tail)
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
