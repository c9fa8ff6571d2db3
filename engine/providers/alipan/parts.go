package alipan

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// address asks where part n goes. It is asked anew for each try, because addresses end.
func (u *upload) address(ctx context.Context, n int) (string, error) {
	u.mu.Lock()
	first := u.first
	u.first = address{}
	u.mu.Unlock()
	if n == 1 && first.url != "" && u.d.clock.Now().Before(first.until) {
		return first.url, nil
	}
	var x struct {
		Parts []part `json:"part_info_list"`
	}
	if err := u.d.call(ctx, opPartURL, fields{"file_id": u.kept.File, "upload_id": u.kept.ID, "part_info_list": []fields{{"part_number": n}}}, &x); err != nil {
		return "", err
	}
	for _, p := range x.Parts {
		if p.Number == n && p.URL != "" {
			return p.URL, nil
		}
	}
	return "", notAlipan(nil, "it has no address of the part")
}

// list asks for the parts that the storage has.
func (u *upload) list(ctx context.Context) ([]part, error) {
	var out []part
	for marker := ""; ; {
		var x struct {
			Parts *[]part `json:"uploaded_parts"`
			Next  any     `json:"next_part_number_marker"`
		}
		in := fields{"file_id": u.kept.File, "upload_id": u.kept.ID}
		if marker != "" {
			in["part_number_marker"] = marker
		}
		if err := u.d.call(ctx, opParts, in, &x); err != nil {
			return nil, err
		}
		if x.Parts == nil {
			return nil, notAlipan(nil, "it lists no parts")
		}
		out = append(out, *x.Parts...)
		next := ""
		if x.Next != nil {
			next = fmt.Sprint(x.Next)
		}
		if next == "" || next == "0" {
			break
		}
		if next == marker || len(*x.Parts) == 0 {
			return nil, fault.New(fault.DataLoss, "the service gives the same page of parts again and again")
		}
		marker = next
	}
	slices.SortFunc(out, func(a, b part) int { return a.Number - b.Number })
	return out, nil
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	list, err := u.list(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]store.Part, 0, len(list))
	off := int64(0)
	for i, p := range list {
		size, err := p.Size.Int64()
		sum, ok := etagMD5(p.ETag)
		if err != nil || !ok || p.Number != i+1 {
			return nil, fault.New(fault.DataLoss, "the service lists parts that are none")
		}
		if f := u.file; f != nil {
			if i == 0 {
				size -= f.Skip
			}
			size = min(size, f.Size-off) // without the padding of the last
		}
		if size < 0 {
			return nil, fault.New(fault.DataLoss, "the service lists parts that are none")
		}
		out = append(out, store.Part{N: p.Number, Off: off, Size: size, ETag: hex.EncodeToString(sum)})
		off += size
	}
	return out, nil
}
