package record

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// span is a range of keys or numbers [From, To) in byte order; To "" means to the end.
type span struct{ From, To string }

// spans are ranges in order that do not touch.
type spans []span

// less compares ends, where "" is the greatest.
func lessEnd(a, b string) bool { return a != "" && (b == "" || a < b) }

// add adds a range; an empty one adds nothing.
func (s *spans) add(from, to string) {
	if to != "" && from >= to {
		return
	}
	list := *s
	// Those that touch the new one become part of it.
	i := 0
	for i < len(list) && list[i].To != "" && list[i].To < from {
		i++
	}
	j := i
	for j < len(list) && (to == "" || list[j].From <= to) {
		from = min(from, list[j].From)
		if lessEnd(to, list[j].To) {
			to = list[j].To
		}
		j++
	}
	*s = slices.Replace(list, i, j, span{from, to})
}

// covered returns where the range that holds from ends, and whether there is one.
func (s spans) covered(from string) (to string, ok bool) {
	for _, x := range s {
		if x.From <= from && (x.To == "" || from < x.To) {
			return x.To, true
		}
	}
	return "", false
}

// numbers of bytes as texts that sort as the numbers do.
func number(n int64) string { return fmt.Sprintf("%016x", n) }

func (s spans) numbers() [][2]int64 {
	var out [][2]int64
	for _, x := range s {
		from, _ := strconv.ParseInt(x.From, 16, 64)
		to, _ := strconv.ParseInt(x.To, 16, 64)
		out = append(out, [2]int64{from, to})
	}
	return out
}

// Ends of ranges need not be UTF-8 (the key after all that begin with a prefix is none): such a text stands in JSON as
// "hex:" and its bytes, as does one that begins so.
func (x span) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]string{hexed(x.From), hexed(x.To)})
}

func (x *span) UnmarshalJSON(b []byte) error {
	var pair [2]string
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	var err error
	for i, to := range []*string{&x.From, &x.To} {
		*to = pair[i]
		if h, ok := strings.CutPrefix(pair[i], "hex:"); ok {
			var raw []byte
			if raw, err = hex.DecodeString(h); err != nil {
				return err
			}
			*to = string(raw)
		}
	}
	return nil
}

func hexed(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, "hex:") {
		return s
	}
	return "hex:" + hex.EncodeToString([]byte(s))
}
