package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

type completedPart struct {
	XMLName    xml.Name `xml:"Part"`
	PartNumber int
	ETag       string
	CRC64      string `xml:"ChecksumCRC64NVME,omitempty"`
	CRC32C     string `xml:"ChecksumCRC32C,omitempty"`
	SHA256     string `xml:"ChecksumSHA256,omitempty"`
}

// Commit implements store.Upload. The parts must make up the whole: numbers without a gap, and the size that was said.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	parts = slices.SortedFunc(slices.Values(parts), func(a, b store.Part) int { return a.N - b.N })
	total := int64(0)
	var whole store.Sum
	var doc struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
		Part    []completedPart
	}
	for i, p := range parts {
		if p.N != i+1 || p.ETag == "" {
			return store.Entry{}, fault.New(fault.InvalidArgument, "part %d is missing", i+1)
		}
		total += p.Size
		x := completedPart{PartNumber: p.N, ETag: p.ETag}
		if u.Algo != "" && p.Sum.Algo == u.Algo {
			switch u.Algo {
			case algoCRC64:
				x.CRC64 = base64Of(p.Sum.Value)
			case algoCRC32C:
				x.CRC32C = base64Of(p.Sum.Value)
			case algoSHA256:
				x.SHA256 = base64Of(p.Sum.Value)
			}
		}
		if i == 0 {
			whole = p.Sum
		} else if sum, ok := store.CombineSums(u.Algo, whole.Value, p.Sum.Value, p.Size); ok && p.Sum.Algo == u.Algo {
			whole.Value = sum
		} else {
			whole = store.Sum{}
		}
		doc.Part = append(doc.Part, x)
	}
	if len(parts) == 0 || u.Size >= 0 && total != u.Size {
		return store.Entry{}, fault.New(fault.DataLoss, "the parts have %d bytes, the object %d", total, u.Size)
	}
	body, err := xml.Marshal(doc)
	if err != nil {
		return store.Entry{}, err
	}
	r := u.request("PutObject", "POST")
	r.body = octets(body)
	r.set("Content-Type", "application/xml")
	condition(r, store.PutOptions{IfAbsent: u.IfAbsent, IfMatch: u.IfMatch})
	if whole.Algo != u.Algo || whole.Algo == algoSHA256 {
		whole = store.Sum{}
	}
	if u.Algo != "" && u.Algo != algoSHA256 {
		r.set("X-Amz-Checksum-Type", "FULL_OBJECT") // also where a service lists its parts without their checksums
	}
	if whole.Algo != "" {
		r.set(sumHeader(whole.Algo), base64Of(whole.Value))
		r.set("X-Amz-Mp-Object-Size", strconv.FormatInt(total, 10))
	}
	e, err := u.complete(ctx, r, whole, total)
	if err != nil {
		return u.completedBefore(ctx, parts, total, err)
	}
	return e, nil
}

// completedBefore looks at a refusal to complete an upload: its first try may have succeeded and its reply been lost.
// Then the upload is gone, and the object stands there with the ETag that S3 gives to these parts: the MD5 of their MD5s,
// and their number. A condition that does not hold proves nothing: another may have stored the same bytes.
func (u *upload) completedBefore(ctx context.Context, parts []store.Part, total int64, err error) (store.Entry, error) {
	var reply *ReplyError
	if !errors.As(err, &reply) || reply.Code != "NoSuchUpload" {
		return store.Entry{}, err
	}
	sum := md5.New()
	for _, p := range parts {
		b, e := hex.DecodeString(strings.Trim(p.ETag, `"`))
		if e != nil || len(b) != md5.Size {
			return store.Entry{}, err
		}
		sum.Write(b)
	}
	held, e := u.d.Stat(ctx, u.Key, store.Cond{})
	if e != nil || held.Size != total || held.ETag != fmt.Sprintf(`"%x-%d"`, sum.Sum(nil), len(parts)) {
		return store.Entry{}, err
	}
	return held, nil
}

func (u *upload) complete(ctx context.Context, r *request, whole store.Sum, total int64) (store.Entry, error) {
	var res struct{ ETag, ChecksumCRC64NVME, ChecksumCRC32C, ChecksumType string }
	resp, err := u.d.xml(ctx, r, "CompleteMultipartUploadResult", &res)
	if err != nil {
		return store.Entry{}, err
	}
	if res.ETag == "" {
		return store.Entry{}, notS3(resp, "it has no ETag")
	}
	e := store.Entry{Key: u.Key, Size: total, ETag: quoted(res.ETag), Version: version(resp.Header)}
	e.Modified, _ = http.ParseTime(resp.Header.Get("Date"))
	if whole.Algo == "" {
		return e, nil
	}
	got := map[string]string{algoCRC64: res.ChecksumCRC64NVME, algoCRC32C: res.ChecksumCRC32C}[whole.Algo]
	if got != "" && !strings.Contains(got, "-") && res.ChecksumType != "COMPOSITE" && got != base64Of(whole.Value) {
		return e, fault.New(fault.DataLoss, "the service holds bytes with the %s checksum %s, sent were %s", whole.Algo, got, base64Of(whole.Value))
	}
	e.Sums = []store.Sum{whole}
	return e, nil
}
