package pubsub

import (
	"encoding/binary"
	"errors"
	"slices"
)

// The messages of google/pubsub/v1/pubsub.proto that are sent and read, in protocol buffers' own form
// (https://protobuf.dev/programming-guides/encoding/): fields are a varint key (number << 3 | type) and a value.

// message is a PubsubMessage.
type message struct {
	data       []byte            // 1
	attributes map[string]string // 2
	key        string            // 5: ordering_key
}

const (
	typeVarint = 0
	typeBytes  = 2
)

// size is how many bytes append takes.
func (m *message) size() int {
	n := bytesSize(len(m.data))
	for k, v := range m.attributes {
		n += bytesSize(pairSize(k, v))
	}
	if m.key != "" {
		n += bytesSize(len(m.key))
	}
	return n
}

// append writes the message behind b; attributes in the order of their names.
func (m *message) append(b []byte) []byte {
	b = appendBytes(b, 1, m.data)
	names := make([]string, 0, len(m.attributes))
	for k := range m.attributes {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		v := m.attributes[k]
		b = appendKey(b, 2, pairSize(k, v))
		b = appendBytes(appendBytes(b, 1, []byte(k)), 2, []byte(v))
	}
	if m.key != "" {
		b = appendBytes(b, 5, []byte(m.key))
	}
	return b
}

// pairSize is the size of an entry of a map of texts.
func pairSize(k, v string) int { return bytesSize(len(k)) + bytesSize(len(v)) }

// bytesSize is the size of a field (of a number below 16) that holds n bytes.
func bytesSize(n int) int { return 1 + varintSize(uint64(n)) + n }

func varintSize(v uint64) (n int) {
	for n = 1; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func appendKey(b []byte, field, size int) []byte {
	b = append(b, byte(field<<3|typeBytes))
	return binary.AppendUvarint(b, uint64(size))
}

func appendBytes(b []byte, field int, v []byte) []byte {
	return append(appendKey(b, field, len(v)), v...)
}

// publishRequest is a PublishRequest: 1 topic, 2 messages.
func publishRequest(topic string, list []message) []byte {
	size := bytesSize(len(topic))
	for i := range list {
		size += bytesSize(list[i].size())
	}
	b := appendBytes(make([]byte, 0, size), 1, []byte(topic))
	for i := range list {
		b = list[i].append(appendKey(b, 2, list[i].size()))
	}
	return b
}

// publishedIDs reads a PublishResponse: 1 message_ids.
func publishedIDs(b []byte) (ids []string, err error) {
	err = fields(b, func(number int, v []byte, _ uint64) {
		if number == 1 {
			ids = append(ids, string(v))
		}
	})
	return ids, err
}

var errMalformed = errors.New("the reply is not a message of protocol buffers")

// fields calls fn with each field of a message: its number and its bytes, or its number where it is a varint.
func fields(b []byte, fn func(number int, bytes []byte, varint uint64)) error {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 || key>>3 == 0 || key>>3 > 1<<29 {
			return errMalformed
		}
		b = b[n:]
		skip := 0
		switch key & 7 {
		case typeVarint:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return errMalformed
			}
			fn(int(key>>3), nil, v)
			skip = n
		case typeBytes:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return errMalformed
			}
			skip = n + int(size)
			fn(int(key>>3), b[n:skip], 0)
		case 1:
			skip = 8
		case 5:
			skip = 4
		default:
			return errMalformed
		}
		if skip > len(b) {
			return errMalformed
		}
		b = b[skip:]
	}
	return nil
}
