package alipancrypt

import (
	"crypto/sha512"
	"encoding/binary"
	"math/bits"
)

// random is Python's random.Random seeded with bytes (version 2): the Mersenne Twister MT19937 of Matsumoto and Nishimura,
// initialised by an array of the words of seed and SHA-512(seed), read as one big-endian number.
type random struct {
	mt [624]uint32
	at int
}

func newRandom(seed []byte) *random {
	sum := sha512.Sum512(seed)
	num := append(append([]byte(nil), seed...), sum[:]...)
	for len(num) > 4 && num[0] == 0 { // the number has no leading zeros
		num = num[1:]
	}
	for len(num)%4 != 0 {
		num = append([]byte{0}, num...)
	}
	key := make([]uint32, len(num)/4)
	for i := range key {
		key[len(key)-1-i] = binary.BigEndian.Uint32(num[4*i:])
	}
	for n := len(key); n > 1 && key[n-1] == 0; n-- {
		key = key[:n-1]
	}
	r := &random{at: 624}
	mt := &r.mt
	mt[0] = 19650218
	for i := 1; i < 624; i++ {
		mt[i] = 1812433253*(mt[i-1]^mt[i-1]>>30) + uint32(i)
	}
	i, j := 1, 0
	step := func(mul, add uint32, sub bool) {
		x := (mt[i-1] ^ mt[i-1]>>30) * mul
		if sub {
			mt[i] = (mt[i] ^ x) - add
		} else {
			mt[i] = (mt[i] ^ x) + add
		}
		if i++; i == 624 {
			mt[0], i = mt[623], 1
		}
	}
	for range max(624, len(key)) {
		step(1664525, key[j]+uint32(j), false)
		if j++; j == len(key) {
			j = 0
		}
	}
	for range 623 {
		step(1566083941, uint32(i), true)
	}
	mt[0] = 1 << 31
	return r
}

func (r *random) next() uint32 {
	if r.at == 624 {
		for i := range 624 {
			y := r.mt[i]&(1<<31) | r.mt[(i+1)%624]&(1<<31-1)
			r.mt[i] = r.mt[(i+397)%624] ^ y>>1 ^ y&1*0x9908b0df
		}
		r.at = 0
	}
	y := r.mt[r.at]
	r.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// below draws a number below n, 0 < n <= 256.
func (r *random) below(n int) int {
	k := bits.Len(uint(n))
	for {
		if v := int(r.next() >> (32 - k)); v < n {
			return v
		}
	}
}

// shuffle is random.shuffle(list(range(256))).
func (r *random) shuffle() (p [256]byte) {
	for i := range p {
		p[i] = byte(i)
	}
	for i := 255; i > 0; i-- {
		j := r.below(i + 1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// sample is random.sample(range(256), n) for the small n for which Python remembers what it drew.
func (r *random) sample(n int) []byte {
	var drawn [256]bool
	out := make([]byte, n)
	for i := range out {
		j := r.below(256)
		for drawn[j] {
			j = r.below(256)
		}
		drawn[j] = true
		out[i] = byte(j)
	}
	return out
}

// substitution returns the tables of Simple for a seed.
func substitution(seed []byte) *[2][256]byte {
	var t [2][256]byte
	t[0] = newRandom(seed).shuffle()
	for plain, c := range t[0] {
		t[1][c] = byte(plain)
	}
	return &t
}
