package webhdfs

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"regexp"
	"strconv"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
)

// checksum computes HDFS's checksum of a file: the MD5 of the MD5s of each block's CRCs of each piece of bytesPerCRC
// bytes (MD5MD5CRC32FileChecksum). Hadoop takes the MD5 over the whole buffer that holds the blocks' MD5s, whose length
// doubles from 32 bytes on and whose rest is zero (FileChecksumHelper, DataOutputBuffer.getData). want is what the cluster
// says.
type checksum struct {
	per, block int64
	table      *crc32.Table
	want       []byte

	crc         uint32
	inPiece     int64
	inBlock     int64
	crcs, whole hash.Hash
	blocks      int64
}

// algorithm is the name of one that is known, such as MD5-of-262144MD5-of-512CRC32C.
var algorithm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^MD5-of-[0-9]+MD5-of-([0-9]+)CRC32(C?)$`) })

// checksum asks for the checksum of a file. nil means that the cluster makes another kind, such as COMPOSITE-CRC.
func (d *Driver) checksum(ctx context.Context, path string, block int64) (*checksum, error) {
	u, err := d.redirected(ctx, "GET", path, "GETFILECHECKSUM")
	if err != nil {
		return nil, err
	}
	resp, err := d.passOn(ctx, "GET", u, nil, 0)
	if err != nil {
		return nil, err
	}
	var v struct {
		FileChecksum *struct {
			Algorithm, Bytes string
			Length           int
		}
	}
	if err := d.decode(ctx, resp, &v); err != nil {
		return nil, err
	}
	if v.FileChecksum == nil || v.FileChecksum.Algorithm == "" {
		return nil, notHDFS(resp, "it has no checksum")
	}
	m := algorithm().FindStringSubmatch(v.FileChecksum.Algorithm)
	if m == nil || block <= 0 {
		return nil, nil
	}
	raw, err := hex.DecodeString(v.FileChecksum.Bytes) // 4 bytes bytesPerCRC, 8 bytes crcPerBlock, the MD5, and room that is empty
	if err != nil || len(raw) < 28 {
		return nil, notHDFS(resp, "its checksum cannot be read")
	}
	per, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || per < 1 || block%per != 0 || per != int64(binary.BigEndian.Uint32(raw)) {
		return nil, fault.New(fault.Unavailable, "the checksum of the cluster says two things of its pieces")
	}
	c := newChecksum(per, block, m[2] == "C")
	c.want = raw[12:28]
	return c, nil
}

func newChecksum(per, block int64, castagnoli bool) *checksum {
	c := &checksum{per: per, block: block, table: crc32.IEEETable, crcs: md5.New(), whole: md5.New()}
	if castagnoli {
		c.table = crc32.MakeTable(crc32.Castagnoli)
	}
	return c
}

// Write implements io.Writer.
func (c *checksum) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(int64(len(p)), c.per-c.inPiece)
		c.crc = crc32.Update(c.crc, c.table, p[:k])
		c.inPiece, c.inBlock, p = c.inPiece+k, c.inBlock+k, p[k:]
		if c.inPiece == c.per {
			c.piece()
		}
		if c.inBlock == c.block {
			c.closeBlock()
		}
	}
	return n, nil
}

func (c *checksum) piece() {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], c.crc)
	c.crcs.Write(b[:])
	c.crc, c.inPiece = 0, 0
}

func (c *checksum) closeBlock() {
	c.whole.Write(c.crcs.Sum(nil))
	c.crcs.Reset()
	c.inBlock = 0
	c.blocks++
}

// sum ends the computation.
func (c *checksum) sum() []byte {
	if c.inPiece > 0 {
		c.piece()
	}
	if c.inBlock > 0 {
		c.closeBlock()
	}
	room := int64(2 * md5.Size)
	for room < c.blocks*md5.Size {
		room *= 2
	}
	for n := room - c.blocks*md5.Size; n > 0; n -= md5.Size {
		c.whole.Write(make([]byte, md5.Size))
	}
	return c.whole.Sum(nil)
}

func (c *checksum) holds() bool { return bytes.Equal(c.sum(), c.want) }
