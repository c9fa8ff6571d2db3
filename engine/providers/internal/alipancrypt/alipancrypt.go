// Package alipancrypt reads and writes the encrypted files of AliPCS-Py, which MosaicML's streaming uses on Alipan.
//
// A file is a head of 72 bytes and a body. The head is encrypted with AES-256-CBC without padding:
//
//	 0..31  magic     00 "@@#__BAIDUPCS_PY__CRYPTO__#@@" 00 FF
//	32      algorithm 00 Simple, 01 ChaCha20, 02 AES256CBC
//	33..40  salt of the body's key
//	41..48  random
//	49..56  length of the plain bytes, big-endian
//	57..63  random
//	64..71  salt of the head's key, clear
//
// A key and an IV come from password and salt by OpenSSL's EVP_BytesToKey with MD5 and one round. An older head of 57
// bytes, which AliPCS-Py still reads and no longer writes, is read too.
//
// There is no integrity in the format: bytes that were changed decrypt to other bytes. And MD5 with one round makes weak
// passwords cheap to try. It is here to share files with AliPCS-Py.
//
// Source: AliPCS-Py 0.8.1, whose own files are in testdata/vectors.json.
package alipancrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Algo is how the body of a file is encrypted.
type Algo byte

// The algorithms.
const (
	Simple    Algo = 0 // a substitution of bytes: hides nothing from who tries
	ChaCha20  Algo = 1
	AES256CBC Algo = 2
)

// Names are the names of the algorithms, as AliPCS-Py has them.
var Names = []string{"Simple", "ChaCha20", "AES256CBC"}

// String returns the algorithm's name.
func (a Algo) String() string {
	if int(a) < len(Names) {
		return Names[a]
	}
	return fmt.Sprintf("algorithm %d", byte(a))
}

// ParseAlgo returns the algorithm of a name.
func ParseAlgo(s string) (Algo, error) {
	for i, n := range Names {
		if s == n {
			return Algo(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no type of encryption: use Simple, ChaCha20 or AES256CBC", s)
}

const (
	// HeadLen is the length of the head of files that are written.
	HeadLen = 72
	// MaxPassword is the length of the longest password in bytes: AliPCS-Py writes files with longer ones and cannot read
	// them again.
	MaxPassword = 32

	oldHeadLen = 57
	block      = aes.BlockSize
)

var magic = []byte("\x00@@#__BAIDUPCS_PY__CRYPTO__#@@\x00\xff")

// ErrForeign says that a file has no head of this format under the password: it is not encrypted, or with another one.
var ErrForeign = errors.New("the file is not encrypted in AliPCS-Py's format, or with another password")

// File is one encrypted file: its key and its lengths.
type File struct {
	Algo Algo
	Size int64 // of the plain bytes; New's may be set until Head is called
	// Skip is the length of the head.
	Skip int64

	password   string
	head, body [8]byte // salts
	noise      [15]byte
	key        [32]byte
	iv         [16]byte
	table      *[2][256]byte // Simple only: to encrypt and to decrypt
}

// New returns a file to be written, with salts from random. Those of ChaCha20 are drawn again until its counter of 32 bits
// does not run over, where the size allows that: AliPCS-Py cannot read such files with later versions of the package
// cryptography, which refuse to carry.
func New(a Algo, password string, size int64, random io.Reader) (*File, error) {
	for range 100 {
		var b [31]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, err
		}
		f, err := (&File{Algo: a, Size: size, Skip: HeadLen}).restore(password, b[:])
		if err != nil || a != ChaCha20 || uint64(binary.LittleEndian.Uint32(f.iv[:]))+uint64(size+63)/64 <= 1<<32 {
			return f, err
		}
	}
	return nil, fmt.Errorf("a file of %d bytes is too large for ChaCha20 in this format", size)
}

// Salts returns what, with the password, makes the same file again: no secret.
func (f *File) Salts() []byte { return bytes.Join([][]byte{f.head[:], f.body[:], f.noise[:]}, nil) }

// Restore returns the file to be written that Salts was asked of.
func Restore(a Algo, password string, size int64, salts []byte) (*File, error) {
	if len(salts) != 31 {
		return nil, errors.New("the salts of an encrypted file are damaged")
	}
	return (&File{Algo: a, Size: size, Skip: HeadLen}).restore(password, salts)
}

func (f *File) restore(password string, salts []byte) (*File, error) {
	if password == "" || len(password) > MaxPassword {
		return nil, fmt.Errorf("the password has %d bytes; from 1 to %d are possible", len(password), MaxPassword)
	}
	copy(f.head[:], salts)
	copy(f.body[:], salts[8:])
	copy(f.noise[:], salts[16:])
	f.password = password
	key, iv := derive(password, f.body[:])
	return f, f.keyed(key[:], iv[:])
}

func (f *File) keyed(key, iv []byte) error {
	if f.Algo > AES256CBC {
		return fmt.Errorf("the file is encrypted with %v, which is not known", f.Algo)
	}
	copy(f.key[:], key)
	copy(f.iv[:], iv)
	if f.Algo == Simple {
		f.table = substitution(append(bytes.Clone(key), iv...))
	}
	return nil
}

// Head returns the head of a file that is written.
func (f *File) Head() []byte {
	b := make([]byte, HeadLen)
	copy(b, magic)
	b[32] = byte(f.Algo)
	copy(b[33:], f.body[:])
	copy(b[41:], f.noise[:8])
	binary.BigEndian.PutUint64(b[49:], uint64(f.Size))
	copy(b[57:], f.noise[8:])
	key, iv := derive(f.password, f.head[:])
	c, _ := aes.NewCipher(key[:])
	cipher.NewCBCEncrypter(c, iv[:]).CryptBlocks(b[:64], b[:64])
	copy(b[64:], f.head[:])
	return b
}

// Parse reads a head: the first HeadLen bytes of a file, or all of a shorter one. total is the length of the whole file,
// which must fit what the head says.
func Parse(password string, head []byte, total int64) (*File, error) {
	if password == "" || len(password) > MaxPassword {
		return nil, fmt.Errorf("the password has %d bytes; from 1 to %d are possible", len(password), MaxPassword)
	}
	f, err := parseOld(password, head)
	if f == nil && err == nil {
		f, err = parse(password, head)
	}
	if err != nil {
		return nil, err
	}
	if f.Size < 0 || f.Size > 1<<62 || f.Skip+f.BodyLen() != total {
		return nil, fmt.Errorf("the encrypted file has %d bytes; its head speaks of %d plain ones, which takes %d", total, f.Size, f.Skip+f.BodyLen())
	}
	return f, nil
}

func parse(password string, head []byte) (*File, error) {
	if len(head) < HeadLen {
		return nil, ErrForeign
	}
	b := bytes.Clone(head[:64])
	key, iv := derive(password, head[64:HeadLen])
	c, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(c, iv[:]).CryptBlocks(b, b)
	if !bytes.Equal(b[:32], magic) {
		return nil, ErrForeign
	}
	f := &File{Algo: Algo(b[32]), Size: int64(binary.BigEndian.Uint64(b[49:])), Skip: HeadLen}
	key, iv = derive(password, b[33:41])
	return f, f.keyed(key[:], iv[:])
}

// parseOld reads the head of version 1: the magic, encrypted with the padded password and an IV drawn from it; then,
// clear, algorithm, IV of the body and length. nil means that it is none.
func parseOld(password string, head []byte) (*File, error) {
	if len(head) < oldHeadLen {
		return nil, nil
	}
	key := bytes.Repeat([]byte{0xff}, 32)
	copy(key, password)
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	b := bytes.Clone(head[:32])
	cipher.NewCBCDecrypter(c, newRandom(key).sample(16)).CryptBlocks(b, b)
	if !bytes.Equal(b, magic) {
		return nil, nil
	}
	f := &File{Algo: Algo(head[32]), Size: int64(binary.BigEndian.Uint64(head[49:])), Skip: oldHeadLen}
	iv := head[33:49]
	if f.Algo == Simple {
		iv = nil
	}
	return f, f.keyed(key, iv)
}

// derive is EVP_BytesToKey with MD5 and one round: 32 bytes of key and 16 of IV.
func derive(password string, salt []byte) (key [32]byte, iv [16]byte) {
	var all, last []byte
	for len(all) < 48 {
		h := md5.New()
		h.Write(last)
		io.WriteString(h, password)
		h.Write(salt)
		last = h.Sum(nil)
		all = append(all, last...)
	}
	copy(key[:], all)
	copy(iv[:], all[32:])
	return key, iv
}

// BodyLen is the length of the encrypted body.
func (f *File) BodyLen() int64 {
	if f.Algo == AES256CBC {
		return (f.Size + block - 1) / block * block
	}
	return f.Size
}
