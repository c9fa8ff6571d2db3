package alipancrypt

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/chacha20"
)

type vector struct {
	Type, Password string
	Plain          string `json:"plaintext_hex"`
	Cipher         string `json:"ciphertext_hex"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Vectors []vector }
	if err := json.Unmarshal(b, &v); err != nil || len(v.Vectors) == 0 {
		t.Fatal(len(v.Vectors), err)
	}
	return v.Vectors
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T, password string, file []byte) *File {
	t.Helper()
	f, err := Parse(password, file[:min(len(file), HeadLen)], int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func plain(t *testing.T, f *File, file []byte, from, n int64) []byte {
	t.Helper()
	off, count := f.Span(from, n)
	b, err := io.ReadAll(f.Decrypt(iotest.OneByteReader(bytes.NewReader(file[f.Skip+off:f.Skip+off+count])), from, n))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What AliPCS-Py wrote is read, and the same bytes are written with the same salts.
func TestVectors(t *testing.T) {
	seen := map[Algo]int{}
	for _, v := range vectors(t) {
		file, want := unhex(t, v.Cipher), unhex(t, v.Plain)
		f := open(t, v.Password, file)
		if f.Algo.String() != v.Type || f.Size != int64(len(want)) {
			t.Errorf("%s: read as %v of %d bytes", v.Type, f.Algo, f.Size)
		}
		seen[f.Algo]++
		if got := plain(t, f, file, 0, f.Size); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", v.Type, got, want)
		}
		// The other direction: the salts are in the head.
		head := decryptedHead(v.Password, file)
		salts := bytes.Join([][]byte{file[64:72], head[33:41], head[41:49], head[57:64]}, nil)
		w, err := Restore(f.Algo, v.Password, f.Size, salts)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(w.Encrypt(bytes.NewReader(want), 0, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := append(w.Head(), body...); !bytes.Equal(got, file) {
			t.Errorf("%s: written as\n%x, want\n%x", v.Type, got, file)
		}
		for _, wrong := range []string{"correct hors", "x", "correct horse "} {
			if _, err := Parse(wrong, file[:HeadLen], int64(len(file))); !errors.Is(err, ErrForeign) {
				t.Errorf("%s: under another password: %v", v.Type, err)
			}
		}
	}
	if seen[Simple] == 0 || seen[ChaCha20] == 0 || seen[AES256CBC] == 0 {
		t.Errorf("vectors of %v", seen)
	}
}

func decryptedHead(password string, file []byte) []byte {
	key, iv := derive(password, file[64:72])
	f := &File{Algo: AES256CBC, Size: 64, key: key, iv: iv}
	b, _ := io.ReadAll(f.Decrypt(bytes.NewReader(file[:64]), 0, 64))
	return b
}

func TestSizesRangesParts(t *testing.T) {
	content := make([]byte, 70_003)
	rand.Read(content)
	for _, a := range []Algo{Simple, ChaCha20, AES256CBC} {
		for _, n := range []int{0, 1, 15, 16, 17, 64, 1000, 32 << 10, len(content)} {
			want := content[:n]
			w, err := New(a, "p\u00e4ssword", int64(n), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(w.Encrypt(iotest.HalfReader(bytes.NewReader(want)), 0, nil))
			if err != nil || int64(len(body)) != w.BodyLen() {
				t.Fatalf("%v of %d bytes: a body of %d, want %d: %v", a, n, len(body), w.BodyLen(), err)
			}
			file := append(w.Head(), body...)
			f := open(t, "p\u00e4ssword", file)
			for _, from := range []int{0, 1, 15, 16, 31, 63, 64, 999, n - 1, n} {
				for _, count := range []int{0, 1, 16, 17, 500, n} {
					if from >= 0 && from <= n {
						count = min(count, n-from)
						if got := plain(t, f, file, int64(from), int64(count)); !bytes.Equal(got, want[from:from+count]) {
							t.Fatalf("%v of %d bytes: %d from %d differ", a, n, count, from)
						}
					}
				}
			}
			// In parts, the state of an encryption handed from one to the next.
			var parts []byte
			var last Last
			for from := 0; from < n; from += 4096 {
				p, err := io.ReadAll(w.Encrypt(bytes.NewReader(want[from:min(from+4096, n)]), int64(from), &last))
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, p...)
			}
			if !bytes.Equal(parts, body) {
				t.Errorf("%v of %d bytes: in parts it is another file", a, n)
			}
			if n > 0 { // cut, longer, changed
				_, err = io.ReadAll(f.Decrypt(bytes.NewReader(body[:len(body)-1]), 0, f.Size))
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%v of %d bytes: cut by one: %v", a, n, err)
				}
				for _, total := range []int{len(file) - 1, len(file) + 1} {
					if _, err := Parse("p\u00e4ssword", file[:HeadLen], int64(total)); err == nil {
						t.Errorf("%v of %d bytes: a file of %d is taken", a, n, total)
					}
				}
			}
		}
	}
}

func TestPadding(t *testing.T) {
	w, _ := New(AES256CBC, "p", 5, rand.Reader)
	body, _ := io.ReadAll(w.Encrypt(bytes.NewReader([]byte("hello")), 0, nil))
	body[15] ^= 1
	if b, err := io.ReadAll(w.Decrypt(bytes.NewReader(body), 0, 5)); !errors.Is(err, ErrDamaged) || len(b) > 0 {
		t.Errorf("a damaged last block: %q, %v", b, err)
	}
	if _, err := io.ReadAll((&File{Algo: AES256CBC, Size: 100}).Encrypt(bytes.NewReader(make([]byte, 33)), 0, nil)); err == nil {
		t.Error("a part that ends within a block is taken")
	}
}

// The counter of ChaCha20 runs over after 2^32 blocks; as in OpenSSL the carry goes into the word above. The stream is
// compared with single blocks under a counter that was added by hand.
func TestCounterWrap(t *testing.T) {
	for _, start := range []uint64{1<<32 - 3, 1<<33 - 1, 1<<64 - 2, 5} {
		f := &File{Algo: ChaCha20, Size: 1 << 20}
		rand.Read(f.key[:])
		rand.Read(f.iv[:])
		binary.LittleEndian.PutUint64(f.iv[:], start)
		want := make([]byte, 64*10)
		for i := range 10 {
			c := start + uint64(i)
			nonce := make([]byte, 12)
			binary.LittleEndian.PutUint32(nonce, uint32(c>>32))
			copy(nonce[4:], f.iv[8:])
			one, err := chacha20.NewUnauthenticatedCipher(f.key[:], nonce)
			if err != nil {
				t.Fatal(err)
			}
			one.SetCounter(uint32(c))
			one.XORKeyStream(want[64*i:64*i+64], want[64*i:64*i+64])
		}
		for from := range int64(200) {
			for _, step := range []int{1, 63, 64, 65, 640} {
				got := make([]byte, int64(len(want))-from)
				s := f.keystream(from)
				for p := got; len(p) > 0; p = p[min(step, len(p)):] {
					s.xor(p[:min(step, len(p))])
				}
				if !bytes.Equal(got, want[from:]) {
					t.Fatalf("from block %d, byte %d in steps of %d: another stream", start, from, step)
				}
			}
		}
	}
}

// What is written does not need the carry: a file of 200 GiB begins low enough.
func TestNoWrapWritten(t *testing.T) {
	for _, size := range []int64{1, 200 << 30} {
		for range 50 {
			f, err := New(ChaCha20, "p", size, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if c := uint64(binary.LittleEndian.Uint32(f.iv[:])); c+uint64(size)/64 > 1<<32 {
				t.Fatalf("a file of %d bytes begins at block %d", size, c)
			}
		}
	}
	if _, err := New(ChaCha20, "p", 1<<40, rand.Reader); err == nil {
		t.Error("a file whose counter runs over is written")
	}
}

func TestPasswords(t *testing.T) {
	for _, p := range []string{"", "123456789012345678901234567890123"} {
		if _, err := New(Simple, p, 1, rand.Reader); err == nil {
			t.Errorf("a password of %d bytes is taken", len(p))
		}
		if _, err := Parse(p, make([]byte, HeadLen), HeadLen); err == nil {
			t.Errorf("a password of %d bytes is taken to read", len(p))
		}
	}
	if _, err := ParseAlgo("ROT13"); err == nil {
		t.Error("an unknown algorithm is taken")
	}
}

// OpenSSL's streams with a counter that runs over, and files with the head of version 1 (see testdata/make.py).
func TestOpenSSL(t *testing.T) {
	b, err := os.ReadFile("testdata/openssl.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Streams []struct{ Key, IV, Stream string }
		Old     []vector
	}
	if err := json.Unmarshal(b, &v); err != nil || len(v.Streams) == 0 || len(v.Old) != 3 {
		t.Fatal(err)
	}
	for _, x := range v.Streams {
		f := &File{Algo: ChaCha20}
		copy(f.key[:], unhex(t, x.Key))
		copy(f.iv[:], unhex(t, x.IV))
		want := unhex(t, x.Stream)
		for from := range len(want) {
			got := make([]byte, len(want)-from)
			f.keystream(int64(from)).xor(got)
			if !bytes.Equal(got, want[from:]) {
				t.Fatalf("iv %s from %d: %x, want %x", x.IV, from, got, want[from:])
			}
		}
	}
	for _, x := range v.Old {
		file := unhex(t, x.Cipher)
		f := open(t, x.Password, file)
		if got := plain(t, f, file, 0, f.Size); !bytes.Equal(got, unhex(t, x.Plain)) || f.Algo.String() != x.Type || f.Skip != oldHeadLen {
			t.Errorf("%s of version 1: %q", x.Type, got)
		}
	}
}
