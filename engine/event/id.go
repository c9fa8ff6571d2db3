package event

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
)

// ids makes the ids of one topic's events in one run.
//
// An id is a function of where the event comes from, not of when it is made, so that a run that is repeated under the
// same run id gives each event the id it had, however its parallel work is scheduled, and a receiver can drop repeats.
// With H = SHA-256, len64 = an 8-byte big-endian length and num64 = an 8-byte big-endian number:
//
//	place   = H("dsrun event place 1" ++ len64(run) ++ run ++ len64(topic) ++ topic ++ len64(site) ++ site ++ num64 of each index)
//	ordinal = how many events came from the same place before
//	id      = the first 16 bytes of H("dsrun event id 1" ++ place ++ num64(ordinal)), printed as a UUID of version 8
//	          (RFC 9562, section 5.8): the version and variant bits are set, 122 bits are the hash's.
type ids struct {
	run, topic string
	mu         sync.Mutex
	// next counts by the first 8 bytes of place. Two places that shared them would share a count, and still not an id.
	next map[uint64]uint64
}

func newIDs(run, topic string) *ids {
	if run == "" { // ids of unnamed runs must differ
		run = rand.Text()
	}
	return &ids{run: run, topic: topic, next: map[uint64]uint64{}}
}

// make returns the id of the next event of a site within the items with the given indices.
func (g *ids) make(site string, indices []int) string {
	b := make([]byte, 0, 256)
	b = append(b, "dsrun event place 1"...)
	for _, s := range []string{g.run, g.topic, site} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	for _, i := range indices {
		b = binary.BigEndian.AppendUint64(b, uint64(i))
	}
	place := sha256.Sum256(b)
	key := binary.BigEndian.Uint64(place[:])
	g.mu.Lock()
	n := g.next[key]
	g.next[key] = n + 1
	g.mu.Unlock()
	b = append(b[:0], "dsrun event id 1"...)
	b = append(b, place[:]...)
	b = binary.BigEndian.AppendUint64(b, n)
	sum := sha256.Sum256(b)
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	text := hex.EncodeToString(id)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
