// Package nulls3 is an S3 endpoint for measurements: it lists synthetic keys, serves synthetic bytes and takes uploads
// without keeping them, at next to no cost of its own, so that what is measured is the client. It checks no signature.
package nulls3

import (
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
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
func (s *Server) key(i int) string { return string(s.appendKey(nil, i)) }

func (s *Server) appendKey(b []byte, i int) []byte {
	if s.Prefixes > 0 {
		b = append(b, 'p')
		b = append(appendDigits(b, i/s.perPrefix(), 5), '/')
	}
	return appendDigits(append(b, "key-"...), i, 10)
}

func (s *Server) perPrefix() int { return (s.Keys + s.Prefixes - 1) / s.Prefixes }

// appendDigits writes n with width digits.
func appendDigits(b []byte, n, width int) []byte {
	at := len(b)
	for range width {
		b = append(b, '0')
	}
	for i := at + width - 1; n > 0 && i >= at; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

// from returns the number of the first key >= k.
func (s *Server) from(k string) int {
	return sort.Search(s.Keys, func(i int) bool { return s.key(i) >= k })
}

// list writes a page of ListObjectsV2. Its tokens are numbers of keys.
func (s *Server) list(w http.ResponseWriter, bucket, prefix, delimiter, after, token, maxKeys string) {
	limit := 1000
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
	b := make([]byte, 0, 512+limit*260)
	count := 0
	for ; i < end && count < limit; count++ {
		if dir := s.rollUp(i, prefix, delimiter); dir != "" {
			b = append(append(append(b, "<CommonPrefixes><Prefix>"...), dir...), "</Prefix></CommonPrefixes>"...)
			i = max(i+1, s.from(dir+"\xff"))
			continue
		}
		b = append(b, "<Contents><Key>"...)
		b = s.appendKey(b, i)
		b = append(b, "</Key><LastModified>"+modifiedXML+"</LastModified><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>"...)
		b = strconv.AppendInt(b, s.Size, 10)
		b = append(b, "</Size><StorageClass>STANDARD</StorageClass></Contents>"...)
		i++
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

// rollUp returns the prefix that stands for key i, or "".
func (s *Server) rollUp(i int, prefix, delimiter string) string {
	if delimiter != "/" {
		return ""
	}
	k := s.key(i)
	if n := strings.Index(k[len(prefix):], "/"); n >= 0 {
		return k[:len(prefix)+n+1]
	}
	return ""
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
