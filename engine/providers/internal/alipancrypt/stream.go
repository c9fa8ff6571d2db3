package alipancrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20"
)

// Span returns which bytes of the body, from off with n, are needed for the plain bytes [from, from+count), which lie
// within Size.
func (f *File) Span(from, count int64) (off, n int64) {
	if f.Algo != AES256CBC || count == 0 {
		return from, count
	}
	off = from / block * block
	end := min((from+count+block-1)/block*block, f.BodyLen())
	if off > 0 {
		off -= block // the block before is the IV
	}
	return off, end - off
}

// Decrypt returns a reader of the plain bytes [from, from+count) from a reader of the bytes of the body that Span names.
// It ends with io.ErrUnexpectedEOF when src ends early.
func (f *File) Decrypt(src io.Reader, from, count int64) io.Reader {
	switch f.Algo {
	case Simple:
		return &mapped{src: io.LimitReader(src, count), left: count, crypt: func(p []byte) { substitute(p, &f.table[1]) }}
	case ChaCha20:
		s := f.keystream(from)
		return &mapped{src: io.LimitReader(src, count), left: count, crypt: s.xor}
	}
	c, _ := aes.NewCipher(f.key[:])
	r := &blocks{src: src, left: count, skip: int(from % block)}
	if _, n := f.Span(from, count); true {
		r.body = n
	}
	r.start = func() error {
		iv := f.iv[:]
		if from/block > 0 {
			iv = make([]byte, block)
			if _, err := io.ReadFull(src, iv); err != nil {
				return short(err)
			}
			r.body -= block
		}
		r.mode = cipher.NewCBCDecrypter(c, iv)
		return nil
	}
	if from+count == f.Size && f.Size%block != 0 {
		r.pad = block - int(f.Size%block)
	}
	return r
}

func short(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// mapped changes bytes where they lie.
type mapped struct {
	src   io.Reader
	left  int64
	crypt func([]byte)
}

// Read implements io.Reader.
func (m *mapped) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	m.left -= int64(n)
	m.crypt(p[:n])
	if err == io.EOF && m.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func substitute(p []byte, table *[256]byte) {
	for i, c := range p {
		p[i] = table[c]
	}
}

// blocks decrypts AES-256-CBC.
type blocks struct {
	src   io.Reader
	body  int64 // encrypted bytes to come
	left  int64 // plain bytes to come
	skip  int   // plain bytes of the first block that were not asked for
	pad   int   // bytes of padding in the last block
	start func() error
	mode  cipher.BlockMode
	buf   [32 << 10]byte
	plain []byte // decrypted and not yet given
	err   error
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	for len(b.plain) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.err = b.fill()
	}
	n := copy(p, b.plain)
	b.plain = b.plain[n:]
	return n, nil
}

func (b *blocks) fill() error {
	if b.left == 0 {
		// What is left of src is nothing: its reader may know at its end only that it was damaged.
		_, err := io.Copy(io.Discard, b.src)
		if err == nil {
			err = io.EOF
		}
		return err
	}
	if b.start != nil {
		if err := b.start(); err != nil {
			return err
		}
		b.start = nil
	}
	p := b.buf[:min(int64(len(b.buf)), b.body)]
	if _, err := io.ReadFull(b.src, p); err != nil {
		return short(err)
	}
	b.mode.CryptBlocks(p, p)
	if b.body -= int64(len(p)); b.body == 0 && b.pad > 0 {
		if !bytes.Equal(p[len(p)-b.pad:], bytes.Repeat([]byte{byte(b.pad)}, b.pad)) {
			return ErrDamaged
		}
	}
	b.plain = p[b.skip:]
	b.skip = 0
	b.plain = b.plain[:min(int64(len(b.plain)), b.left)]
	b.left -= int64(len(b.plain))
	return nil
}

// ErrDamaged says that the last block of a file has no proper padding.
var ErrDamaged = errors.New("the encrypted file is damaged: its padding is not what was written")

// stream is ChaCha20 as OpenSSL has it: the first eight bytes of the IV are a counter of 64 bits, the others the nonce.
// RFC 8439 has a counter of 32 bits, which golang.org/x/crypto does not let run over, so that the stream is made of
// pieces between which the upper half of the counter is carried by hand.
type stream struct {
	f       *File
	counter uint64
	c       *chacha20.Cipher
	left    uint64 // bytes until the lower half runs over
}

func (f *File) keystream(from int64) *stream {
	s := &stream{f: f, counter: binary.LittleEndian.Uint64(f.iv[:8]) + uint64(from)/64}
	s.begin()
	var skip [64]byte
	s.xor(skip[:from%64])
	return s
}

func (s *stream) begin() {
	var nonce [chacha20.NonceSize]byte
	binary.LittleEndian.PutUint32(nonce[:], uint32(s.counter>>32))
	copy(nonce[4:], s.f.iv[8:])
	s.c, _ = chacha20.NewUnauthenticatedCipher(s.f.key[:], nonce[:]) // the lengths are right
	s.c.SetCounter(uint32(s.counter))
	s.left = (1<<32 - s.counter&(1<<32-1)) * 64
}

func (s *stream) xor(p []byte) {
	for len(p) > 0 {
		if s.left == 0 {
			s.counter = s.counter&^(1<<32-1) + 1<<32
			s.begin()
		}
		n := min(uint64(len(p)), s.left)
		s.c.XORKeyStream(p[:n], p[:n])
		s.left -= n
		p = p[n:]
	}
}

// Last is what an encryption hands on to the part that follows: the last block of AES256CBC.
type Last [block]byte

// Encrypt returns a reader of the body for the plain bytes of src, which begin at from. Where AES256CBC is cut, from is a
// multiple of 16, and last points to what the part before left there; it is nil, or not looked at, at the start. Only the
// end of the whole, at Size, is padded: with last, src ends at a multiple of 16 or at Size. Size below 0 is not known yet:
// then src is the whole, and its end the end.
func (f *File) Encrypt(src io.Reader, from int64, last *Last) io.Reader {
	switch f.Algo {
	case Simple:
		return &mapped{src: src, crypt: func(p []byte) { substitute(p, &f.table[0]) }}
	case ChaCha20:
		return &mapped{src: src, crypt: f.keystream(from).xor}
	}
	c, _ := aes.NewCipher(f.key[:])
	iv := f.iv[:]
	if from > 0 {
		iv = last[:]
	}
	return &sealing{f: f, src: src, at: from, last: last, mode: cipher.NewCBCEncrypter(c, bytes.Clone(iv))}
}

// sealing encrypts AES-256-CBC.
type sealing struct {
	f    *File
	src  io.Reader
	at   int64
	last *Last
	mode cipher.BlockMode
	buf  [32 << 10]byte
	out  []byte
	err  error
}

// Read implements io.Reader.
func (s *sealing) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.fill()
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

func (s *sealing) fill() {
	n, err := io.ReadFull(s.src, s.buf[:])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	s.at += int64(n)
	if s.err = err; err != nil && err != io.EOF {
		return
	}
	p := s.buf[:n]
	if rest := n % block; rest != 0 { // only at the end of src
		if s.f.Size >= 0 && s.at != s.f.Size {
			s.err = fmt.Errorf("a part ends at %d, which is no multiple of %d", s.at, block)
			return
		}
		p = append(p, bytes.Repeat([]byte{byte(block - rest)}, block-rest)...)
	}
	s.mode.CryptBlocks(p, p)
	if s.last != nil && len(p) > 0 {
		copy(s.last[:], p[len(p)-block:])
	}
	s.out = p
}
