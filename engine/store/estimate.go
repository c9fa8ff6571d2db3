package store

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// estimate says where the pages behind one page of a listing will probably begin. It reads keys as numbers with digits
// of their own alphabets, the distance of the page's keys as their density, and goes on counting. It is a guess: a wrong
// one costs requests, never keys.
type estimate struct {
	head  string // what all keys that it tells of start with
	radix []string
	step  uint64 // the distance of one page

	dir     string  // the folder in which the page's keys differ
	perName float64 // keys for each name in it; 0 when the page tells nothing of that
	keys    int
}

// The alphabets of digits, each ascending, from the most special on. A position of one character is no digit.
var alphabets = []string{
	"0123456789",
	"0123456789abcdef",
	"0123456789ABCDEF",
	"0123456789abcdefghijklmnopqrstuvwxyz",
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
	printableASCII(),
}

func printableASCII() string {
	var b []byte
	for c := byte(' '); c < 0x7f; c++ {
		b = append(b, c)
	}
	return string(b)
}

const (
	// enough is the number of different values that the digits behind the common start must have: more than a page has
	// keys, so that no two pages begin with the same ones.
	enough = 1e7
	// mostValues bounds what a number of all digits can be.
	mostValues = 1 << 60
	// samples are so many keys of a page that show which characters stand where.
	samples = 24
	// namesWorth is how many keys a name must stand for to be worth a listing of names.
	namesWorth = 8
)

// estimateOf reads a page of ascending keys that start with prefix.
func estimateOf(entries []Entry, prefix string) *estimate {
	n := len(entries)
	if n < 2 {
		return nil
	}
	first, last := entries[0].Key, entries[n-1].Key
	same := 0
	for same < len(first) && same < len(last) && first[same] == last[same] {
		same++
	}
	e := &estimate{keys: n}
	e.count(entries, prefix, last[:same])
	e.digits(entries, len(prefix), same)
	return e
}

// count finds how many keys a name stands for in the folder in which the keys differ.
func (e *estimate) count(entries []Entry, prefix, common string) {
	e.dir = common[:strings.LastIndexByte(common, '/')+1]
	if len(e.dir) < len(prefix) {
		e.dir = prefix
	}
	names, folders := 0, 0
	name := ""
	for i := range entries {
		key := entries[i].Key
		if name != "" && strings.HasPrefix(key, name) {
			continue
		}
		names++
		name = ""
		if slash := strings.IndexByte(key[len(e.dir):], '/'); slash >= 0 {
			name = key[:len(e.dir)+slash+1]
			folders++
		}
	}
	if folders > 1 {
		e.perName = float64(len(entries)) / float64(names)
	}
}

// digits chooses the positions that are counted: those behind the common start as far as they matter, and some before
// them for what is carried.
func (e *estimate) digits(entries []Entry, least, same int) {
	first, last := entries[0].Key, entries[len(entries)-1].Key
	var keys []string
	for i := range samples {
		keys = append(keys, entries[i*(len(entries)-1)/(samples-1)].Key)
	}
	var radix []string
	values := 1.0
	run := "" // the characters of letters and digits since the last separator
	for i := same; i < len(last) && values < enough; i++ {
		var seen []byte
		for _, k := range keys {
			if i < len(k) && !slices.Contains(seen, k[i]) {
				seen = append(seen, k[i])
			}
		}
		if len(seen) < 2 { // fixed; a separator most often
			radix = append(radix, last[i:i+1])
			if !alphanumeric(last[i]) {
				run = ""
			}
			continue
		}
		run += string(seen)
		a := alphabetOf(run)
		if a == "" {
			break
		}
		radix = append(radix, a)
		values *= float64(len(a))
	}
	if values == 1 {
		return
	}
	start := same
	run = radix[0]
	for start > least {
		c := last[start-1]
		a := string(c)
		switch {
		case !alphanumeric(c):
			run = ""
		case run != "" && len(run) > 1 && strings.IndexByte(run, c) >= 0:
			a = run
		default:
			a = alphabetOf(string(c))
			run = a
		}
		if values*float64(len(a)) >= mostValues || c >= utf8.RuneSelf {
			break
		}
		values *= float64(len(a))
		radix = append([]string{a}, radix...)
		start--
	}
	e.head, e.radix = last[:start], radix
	from, to := e.value(first), e.value(last)
	gaps := uint64(len(entries) - 1)
	if to <= from {
		e.radix = nil
		return
	}
	if e.step = to - from; e.step%gaps == 0 { // evenly spaced: the next page ends exactly there
		e.step += e.step / gaps
		return
	}
	// A little less than a page: where a range holds one key more than a page, it costs a whole page more.
	e.step = max(e.step/10*9, 1)
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// alphabetOf returns the smallest alphabet with all of chars, or "".
func alphabetOf(chars string) string {
	for _, a := range alphabets {
		if strings.Trim(chars, a) == "" {
			return a
		}
	}
	return ""
}

// value reads a key that starts with head. What is behind the digits counts as nothing, a strange character as the next
// smaller digit.
func (e *estimate) value(key string) (v uint64) {
	for i, a := range e.radix {
		v *= uint64(len(a))
		if at := len(e.head) + i; at < len(key) {
			d, exact := slices.BinarySearch([]byte(a), key[at])
			if !exact && d > 0 {
				d--
			}
			v += uint64(min(d, len(a)-1))
		}
	}
	return v
}

// after returns the key at which a page that starts behind from will probably end, or "" when that cannot be told.
func (e *estimate) after(from string) string {
	if e == nil || len(e.radix) == 0 || !strings.HasPrefix(from, e.head) {
		return ""
	}
	v := e.value(from) + e.step
	b := make([]byte, len(e.head)+len(e.radix))
	copy(b, e.head)
	for i := len(e.radix) - 1; i >= 0; i-- {
		n := uint64(len(e.radix[i]))
		b[len(e.head)+i] = e.radix[i][v%n]
		v /= n
	}
	if key := string(b); v == 0 && key > from && utf8.ValidString(key) {
		return key
	}
	return ""
}
