package record

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// known is what is known of the state of a datastore. The keys are the driver's: with the datastore's prefix.
type known struct {
	kind, uri string
	caps      store.Caps
	objects   map[string]*object
	absent    map[string]bool
	listed    spans              // ranges of keys of which every object is in objects
	levels    map[string]*level  // listings of one level, by prefix
	failed    map[string]failure // calls that failed, by what was asked
}

// object is one object.
type object struct {
	Key      string            `json:"key"`
	Size     int64             `json:"size"`
	ETag     string            `json:"etag,omitempty"`
	Version  string            `json:"version,omitempty"`
	Modified time.Time         `json:"modified,omitzero"`
	Sums     []sum             `json:"sums,omitempty"`
	Attrs    *store.Attributes `json:"attributes,omitempty"` // nil: only listings told of the object
	Ranges   spans             `json:"-"`
	Bytes    [][2]int64        `json:"bytes,omitempty"` // ranges that were read: offset, end
	Withheld bool              `json:"withheld,omitempty"`
}

type sum struct {
	Algo  string `json:"algo"`
	Value string `json:"value"` // hexadecimal
	Parts int    `json:"parts,omitempty"`
}

// level is what listings with a delimiter told of one prefix: folders, and the range of keys over which that is all.
type level struct {
	Prefix  string   `json:"prefix"`
	Folders []string `json:"folders,omitempty"`
	Listed  spans    `json:"listed"`
	// Beyond is, by folder, the greatest key that the folder was shown to hold another one at or after.
	Beyond map[string]string `json:"beyond,omitempty"`
}

// failure is a call that failed.
type failure struct {
	Call    string     `json:"call"`
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
}

// file is known as it is written.
type file struct {
	Kind    string     `json:"kind"`
	URI     string     `json:"uri,omitempty"`
	Caps    store.Caps `json:"caps"`
	Objects []*object  `json:"objects"`
	Absent  []string   `json:"absent,omitempty"`
	Listed  spans      `json:"listed,omitempty"`
	Levels  []*level   `json:"levels,omitempty"`
	Failed  []failure  `json:"failed,omitempty"`
}

func newKnown(kind string, base store.Driver) *known {
	k := &known{kind: kind, caps: base.Caps(), objects: map[string]*object{}, absent: map[string]bool{}, levels: map[string]*level{}, failed: map[string]failure{}}
	if l, ok := base.(store.Locator); ok {
		k.uri = l.URI("")
	}
	return k
}

func (k *known) file() file {
	f := file{Kind: k.kind, URI: k.uri, Caps: k.caps, Listed: k.listed, Objects: []*object{}}
	for _, key := range sortedKeys(k.objects) {
		o := k.objects[key]
		o.Bytes = o.Ranges.numbers()
		f.Objects = append(f.Objects, o)
	}
	f.Absent = sortedKeys(k.absent)
	for _, p := range sortedKeys(k.levels) {
		f.Levels = append(f.Levels, k.levels[p])
	}
	for _, c := range sortedKeys(k.failed) {
		f.Failed = append(f.Failed, k.failed[c])
	}
	return f
}

func (f file) known() *known {
	k := &known{kind: f.Kind, uri: f.URI, caps: f.Caps, objects: map[string]*object{}, absent: map[string]bool{}, listed: f.Listed, levels: map[string]*level{}, failed: map[string]failure{}}
	for _, o := range f.Objects {
		for _, r := range o.Bytes {
			o.Ranges.add(number(r[0]), number(r[1]))
		}
		k.objects[o.Key] = o
	}
	for _, key := range f.Absent {
		k.absent[key] = true
	}
	for _, l := range f.Levels {
		k.levels[l.Prefix] = l
	}
	for _, x := range f.Failed {
		k.failed[x.Call] = x
	}
	return k
}

// see notes an object. What was seen first stands; a description with attributes adds them to one without.
func (k *known) see(e store.Entry) {
	o, ok := k.objects[e.Key]
	if !ok {
		if k.absent[e.Key] {
			return // somebody made it meanwhile
		}
		o = &object{Key: e.Key, Size: e.Size, ETag: e.ETag, Version: e.Version, Modified: e.Modified}
		k.objects[e.Key] = o
	} else if !o.is(e) {
		return // somebody changed it meanwhile
	}
	if o.Size < 0 {
		o.Size = e.Size
	}
	if o.Attrs == nil && e.Attrs != nil {
		a := *e.Attrs
		o.Attrs = &a
	}
	if len(o.Sums) == 0 {
		for _, s := range e.Sums {
			o.Sums = append(o.Sums, sum{s.Algo, hex.EncodeToString(s.Value), s.Parts})
		}
	}
}

// is reports whether e may be the state that was recorded.
func (o *object) is(e store.Entry) bool {
	same, proven := store.SameState(o.entry(), e)
	return same || !proven
}

func (o *object) entry() store.Entry {
	e := store.Entry{Key: o.Key, Size: o.Size, ETag: o.ETag, Version: o.Version, Modified: o.Modified}
	for _, s := range o.Sums {
		if b, err := hex.DecodeString(s.Value); err == nil {
			e.Sums = append(e.Sums, store.Sum{Algo: s.Algo, Value: b, Parts: s.Parts})
		}
	}
	if o.Attrs != nil {
		a := *o.Attrs
		e.Attrs = &a
	}
	return e
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// endOf returns the first key after all that begin with a prefix; "" means that there is none.
func endOf(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

// bounds returns the range of keys [from, to) that a query asks for; to "" means to the end.
func bounds(q store.Query) (from, to string) {
	from, to = q.Prefix, endOf(q.Prefix)
	if q.After != "" && q.After >= from {
		from = q.After + "\x00"
	}
	if q.Before != "" && (to == "" || q.Before < to) {
		to = q.Before
	}
	return from, to
}

// rolled returns the folder of a key below a prefix, "" for a key of the level itself.
func rolled(key, prefix string) string {
	if i := strings.IndexByte(key[len(prefix):], '/'); i >= 0 {
		return key[:len(prefix)+i+1]
	}
	return ""
}

// inside returns the folder of a level that a place in key order is within, "" when it is within none.
func inside(at, prefix string) string {
	if !strings.HasPrefix(at, prefix) {
		return ""
	}
	if f := rolled(at, prefix); f != at {
		return f
	}
	return ""
}
