package s3

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
)

// An upload whose checksum is of the whole object is completed by another process from what the service lists of its
// parts: with their checksums, as AWS does, the whole's is sent and compared; without, the service is still told of what
// kind the checksum is, as AWS wants it.
func TestCompletesWhatPartsLists(t *testing.T) {
	contents := []string{strings.Repeat("a", 5<<20), "the end"}
	h := newHash(algoCRC64)
	for _, c := range contents {
		io.WriteString(h, c)
	}
	whole := base64Of(h.Sum(nil))
	sums := make([]string, 2)
	for _, tt := range []struct {
		name        string
		list, lie   bool
		wantWhole   string
		wantFailure bool
	}{{"with checksums", true, false, whole, false}, {"without", false, false, "", false}, {"of other bytes", true, true, whole, true}} {
		t.Run(tt.name, func(t *testing.T) {
			var head http.Header
			var doc struct{ Part []completedPart }
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				q := r.URL.Query()
				switch {
				case q.Has("uploads"):
					if r.Header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
						t.Error("begun with", r.Header)
					}
					io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
				case r.Method == "PUT":
					n := q.Get("partNumber")
					w.Header().Set("ETag", `"`+n+`"`)
					_ = body
				case r.Method == "GET":
					out := "<ListPartsResult><IsTruncated>false</IsTruncated><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
					for i, c := range contents {
						sum := ""
						if tt.list {
							sum = "<ChecksumCRC64NVME>" + sums[i] + "</ChecksumCRC64NVME>"
						}
						out += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>&quot;%d&quot;</ETag><Size>%d</Size>%s</Part>", i+1, i+1, len(c), sum)
					}
					io.WriteString(w, out+"</ListPartsResult>")
				case r.Method == "POST":
					head = r.Header.Clone()
					if err := xml.Unmarshal(body, &doc); err != nil {
						t.Error(err)
					}
					sum := whole
					if tt.lie {
						sum = base64Of(make([]byte, 8))
					}
					io.WriteString(w, "<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag><ChecksumCRC64NVME>"+sum+"</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>")
				}
			}))
			defer srv.Close()
			o := Options{Bucket: "bucket", Endpoint: srv.URL, Preset: "aws", Region: "us-east-1"}
			d := openWith(t, env(client(t, httpclient.Options{}), keys("AK", "secret")), o)
			u, err := d.Begin(t.Context(), "k", store.PutOptions{}, int64(len(contents[0])+len(contents[1])))
			if err != nil {
				t.Fatal(err)
			}
			off := int64(0)
			for i, c := range contents {
				p, err := u.Part(t.Context(), i+1, off, held(c))
				if err != nil {
					t.Fatal(err)
				}
				sums[i] = base64Of(p.Sum.Value)
				off += p.Size
			}
			again, err := openWith(t, env(client(t, httpclient.Options{}), keys("AK", "secret")), o).Resume(t.Context(), u.State())
			if err != nil {
				t.Fatal(err)
			}
			parts, err := again.Parts(t.Context())
			if err != nil || len(parts) != 2 {
				t.Fatal(parts, err)
			}
			e, err := again.Commit(t.Context(), parts)
			if tt.wantFailure {
				if d.Classify(err).Code != fault.DataLoss {
					t.Error(e, err)
				}
				return
			}
			if err != nil || e.Size != off || head.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" || head.Get("X-Amz-Checksum-Crc64nvme") != tt.wantWhole {
				t.Errorf("%+v, %v, %v", e, err, head)
			}
			for i, p := range doc.Part {
				if tt.list && p.CRC64 != sums[i] || !tt.list && p.CRC64 != "" {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}
