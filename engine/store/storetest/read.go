package storetest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var readChecks = []check{
	{"Read/RoundTripOfSizes", false, readSizes},
	{"Read/EntryDescribesTheObject", false, readEntry},
	{"Read/SumsAreOfTheBytes", false, readSums},
	{"Read/Ranges", false, readRanges},
	{"Read/RangeBeyondTheEnd", false, readBeyond},
	{"Read/PinnedToETagAndVersion", true, readPinned},
	{"Read/ReplacedMidwayIsNotMixed", true, readReplaced},
	{"Read/BodyClosedEarly", false, readClosedEarly},
	{"Read/AbsentIsNotFound", false, readAbsent},
}

// sizes are lengths at which buffers, blocks and frames begin and end.
var sizes = []int{0, 1, 2, 511, 512, 4095, 4096, 4097, 65535, 65536, 65537, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 17}

func readSizes(t testing.TB, s *suite) {
	objects := map[string][]byte{}
	for _, n := range sizes {
		objects[fmt.Sprintf("size-%d", n)] = pattern(n).bytes(n)
	}
	d := s.with(t, objects)
	for key, want := range objects {
		holds(t, d, key, want, "what was stored is not what is read")
		if e, err := d.Stat(t.Context(), key, store.Cond{}); err != nil || e.Size != int64(len(want)) {
			t.Errorf("stat %s: size %d, %v, want %d", key, e.Size, err, len(want))
		}
	}
}

func readEntry(t testing.TB, s *suite) {
	content := pattern(1).bytes(12345)
	d := s.with(t, map[string][]byte{"dir/object.bin": content})
	c := d.Caps()
	e, err := d.Stat(t.Context(), "dir/object.bin", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Key != "dir/object.bin" || e.Size != 12345 {
		t.Errorf("stat gives key %q, size %d", e.Key, e.Size)
	}
	if !c.ReadOnly && (time.Since(e.Modified) > time.Hour || time.Until(e.Modified) > time.Hour) {
		t.Errorf("Modified is %v just after the object was stored: selecting by time would miss it", e.Modified)
	}
	if c.Pin && e.ETag == "" && e.Version == "" {
		t.Error("Caps.Pin, but neither ETag nor Version to pin a read to")
	}
	if e.Attrs == nil {
		t.Error("stat carries no attributes")
	}
	_, x, err := get(t.Context(), d, "dir/object.bin", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if x.Entry.Key != e.Key || x.Entry.Size != e.Size || x.Entry.ETag != e.ETag || x.Entry.Version != e.Version {
		t.Errorf("get serves %q %d %q %q, stat said %q %d %q %q: a read could not be pinned to what was listed",
			x.Entry.Key, x.Entry.Size, x.Entry.ETag, x.Entry.Version, e.Key, e.Size, e.ETag, e.Version)
	}
	if x.Total != 12345 || x.Range.Off != 0 || x.Range.Len != 12345 && x.Range.Len != -1 {
		t.Errorf("get of the whole says total %d, range %+v", x.Total, x.Range)
	}
	page, err := d.List(t.Context(), store.Query{Prefix: "dir/"})
	if err != nil || len(page.Entries) != 1 {
		t.Fatalf("list: %d entries, %v", len(page.Entries), err)
	}
	if l := page.Entries[0]; l.Key != e.Key || l.Size != e.Size || l.ETag != "" && l.ETag != e.ETag || l.Modified.Sub(e.Modified).Abs() > 2*time.Second {
		t.Errorf("the listing says %+v, stat said %+v: comparing by listing would copy what is the same", l, e)
	}
}

func readSums(t testing.TB, s *suite) {
	content := pattern(2).bytes(100_003)
	d := s.with(t, map[string][]byte{"summed": content})
	e, err := d.Stat(t.Context(), "summed", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	for _, sum := range e.Sums {
		if want := sumOf(sum.Algo, content); sum.Parts == 0 && want != nil && !bytes.Equal(sum.Value, want) {
			t.Errorf("the declared %s is %x, of the bytes it is %x: a correct download would be called damaged", sum.Algo, sum.Value, want)
		}
	}
}

// sumOf returns the checksum of b, big-endian where it is a number, or nil for an algorithm unknown here.
func sumOf(algo string, b []byte) []byte {
	switch algo {
	case "md5":
		x := md5.Sum(b)
		return x[:]
	case "sha1":
		x := sha1.Sum(b)
		return x[:]
	case "sha256":
		x := sha256.Sum256(b)
		return x[:]
	case "crc32":
		return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b))
	case "crc32c":
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	case "crc64nvme":
		return binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(b))
	}
	return nil
}

func readRanges(t testing.TB, s *suite) {
	content := pattern(3).bytes(70_000)
	d := s.with(t, map[string][]byte{"ranged": content, "empty": {}})
	for _, x := range []struct {
		key      string
		r        store.Range
		from, to int
	}{
		{"ranged", store.Range{Off: 0, Len: 1}, 0, 1},
		{"ranged", store.Range{Off: 0, Len: 70_000}, 0, 70_000},
		{"ranged", store.Range{Off: 0, Len: -1}, 0, 70_000},
		{"ranged", store.Range{Off: 1, Len: -1}, 1, 70_000},
		{"ranged", store.Range{Off: 69_999, Len: -1}, 69_999, 70_000},
		{"ranged", store.Range{Off: 69_999, Len: 1}, 69_999, 70_000},
		{"ranged", store.Range{Off: 65_535, Len: 2}, 65_535, 65_537},
		{"ranged", store.Range{Off: 69_990, Len: 1000}, 69_990, 70_000}, // runs over the end
		{"ranged", store.Range{Off: 70_000, Len: -1}, 70_000, 70_000},   // begins at the end
		{"ranged", store.Range{Off: 70_000, Len: 10}, 70_000, 70_000},
		{"ranged", store.Range{Off: -1}, 69_999, 70_000},
		{"ranged", store.Range{Off: -100}, 69_900, 70_000},
		{"ranged", store.Range{Off: -70_000}, 0, 70_000},
		{"ranged", store.Range{Off: -80_000}, 0, 70_000}, // more than there is
		{"empty", store.Range{Off: 0, Len: -1}, 0, 0},
		{"empty", store.Range{Off: 0, Len: 5}, 0, 0},
		{"empty", store.Range{Off: -5}, 0, 0},
	} {
		got, o, err := get(t.Context(), d, x.key, store.GetOptions{Range: &x.r})
		if err != nil {
			t.Errorf("%s %+v: %v", x.key, x.r, err)
			continue
		}
		want := content[x.from:x.to]
		if x.key == "empty" {
			want = nil
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s %+v: %s, want the bytes %d to %d: a resumed or partial read would be wrong", x.key, x.r, brief(got), x.from, x.to)
		}
		total := int64(70_000)
		if x.key == "empty" {
			total = 0
		}
		if o.Total != total && o.Total != -1 {
			t.Errorf("%s %+v: total %d, want %d", x.key, x.r, o.Total, total)
		}
		if len(want) > 0 && (o.Range.Off != int64(x.from) || o.Range.Len != int64(len(want)) && o.Range.Len != -1) {
			t.Errorf("%s %+v: served as %+v", x.key, x.r, o.Range)
		}
		if o.Entry.Size != total && o.Entry.Size != -1 {
			t.Errorf("%s %+v: the entry's size is %d, not the object's %d", x.key, x.r, o.Entry.Size, total)
		}
	}
}

func readBeyond(t testing.TB, s *suite) {
	d := s.with(t, map[string][]byte{"short": []byte("0123456789")})
	for _, r := range []store.Range{{Off: 11, Len: -1}, {Off: 11, Len: 1}, {Off: 1 << 40, Len: 5}} {
		got, _, err := get(t.Context(), d, "short", store.GetOptions{Range: &r})
		if err == nil {
			t.Errorf("range %+v of 10 bytes gave %s: an object that shrank would look whole", r, brief(got))
		} else if c := d.Classify(err).Code; c == "" || c == fault.Internal || c == fault.NotFound {
			t.Errorf("range %+v of 10 bytes: code %q: %v", r, c, err)
		}
	}
}

func readPinned(t testing.TB, s *suite) {
	d := s.open(t)
	old, young := pattern(4).bytes(5000), pattern(5).bytes(5000)
	before := put(t, d, "pinned", old)
	e, err := d.Stat(t.Context(), "pinned", store.Cond{IfMatch: before.ETag, Version: before.Version})
	if d.Caps().Pin {
		if err != nil {
			t.Errorf("stat pinned to what put returned: %v", err)
		}
		got, _, err := get(t.Context(), d, "pinned", store.GetOptions{IfMatch: e.ETag, Version: e.Version, Range: &store.Range{Off: 10, Len: 10}})
		if err != nil || !bytes.Equal(got, old[10:20]) {
			t.Errorf("get pinned to the current object: %s, %v", brief(got), err)
		}
	}
	after := put(t, d, "pinned", young)
	if before.ETag != "" && before.ETag == after.ETag {
		t.Errorf("other content has the same ETag %q: changes would go unseen", after.ETag)
	}
	for name, o := range map[string]store.GetOptions{"IfMatch": {IfMatch: before.ETag}, "Version": {Version: before.Version}} {
		if o == (store.GetOptions{}) {
			continue
		}
		got, _, err := get(t.Context(), d, "pinned", o)
		switch {
		case err == nil && !bytes.Equal(got, old):
			t.Errorf("get with the %s of the replaced object gave other bytes: a resumed read would mix two objects", name)
		case err != nil && d.Caps().Pin:
			wantCode(t, d, err, "get with the "+name+" of the replaced object", fault.FailedPrecondition, fault.NotFound)
		}
		if !d.Caps().Pin {
			continue
		}
		e, err := d.Stat(t.Context(), "pinned", store.Cond{IfMatch: o.IfMatch, Version: o.Version})
		if err == nil && name == "IfMatch" || err == nil && e.ETag == after.ETag {
			t.Errorf("stat with the %s of the replaced object succeeded", name)
		} else if err != nil {
			wantCode(t, d, err, "stat with the "+name+" of the replaced object", fault.FailedPrecondition, fault.NotFound)
		}
	}
}

func readReplaced(t testing.TB, s *suite) {
	d := s.open(t)
	const n = 6 << 20
	old, young := pattern(6), pattern(7)
	put(t, d, "busy", old.bytes(n))
	x, err := d.Get(t.Context(), "busy", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Body.Close()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(x.Body, first); err != nil {
		t.Fatal(err)
	}
	put(t, d, "busy", young.bytes(n))
	if !bytes.Equal(first, old.bytes(1000)) {
		t.Error("the first bytes are not the object's")
	}
	rest, err := io.ReadAll(x.Body)
	want := old.bytes(n)[1000:]
	if err == nil && !bytes.Equal(rest, want) || !bytes.HasPrefix(want, rest) {
		t.Error("an object that was replaced while it was read gave a mixture of old and new bytes")
	}
}

func readClosedEarly(t testing.TB, s *suite) {
	d := s.with(t, map[string][]byte{"big": pattern(8).bytes(8 << 20)})
	for range 20 {
		x, err := d.Get(t.Context(), "big", store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(x.Body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		x.Body.Close()
		if took := time.Since(begin); took > time.Second {
			t.Fatalf("closing a body before its end took %v", took)
		}
		if n, err := x.Body.Read(make([]byte, 10)); err == nil && n > 0 {
			t.Errorf("a closed body still gives %d bytes", n)
		}
	}
	holds(t, d, "big", pattern(8).bytes(8<<20), "after bodies that were closed early")
}

func readAbsent(t testing.TB, s *suite) {
	d := s.with(t, map[string][]byte{"dir/there": []byte("x")})
	for _, key := range []string{"none", "dir/none", "dir", "dir/", "dir/there/below", "none/none"} {
		_, _, err := get(t.Context(), d, key, store.GetOptions{})
		wantCode(t, d, err, fmt.Sprintf("get of the absent %q", key), fault.NotFound, fault.InvalidArgument)
		_, _, err = get(t.Context(), d, key, store.GetOptions{Range: &store.Range{Off: 1, Len: 2}})
		wantCode(t, d, err, fmt.Sprintf("ranged get of the absent %q", key), fault.NotFound, fault.InvalidArgument)
		_, err = d.Stat(t.Context(), key, store.Cond{})
		wantCode(t, d, err, fmt.Sprintf("stat of the absent %q", key), fault.NotFound, fault.InvalidArgument)
	}
	_, err := d.Stat(t.Context(), "none", store.Cond{})
	wantCode(t, d, err, "stat of an absent key", fault.NotFound)
	if c := d.Classify(err); c.Retryable() {
		t.Error("an absent key is called retryable")
	}
}
