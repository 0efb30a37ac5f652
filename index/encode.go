package index

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/superfly/ltx"
)

// frameCompressors keeps hash tables of the LZ4 encoder. Every block begins with an empty one, so equal pages have equal frames.
var frameCompressors = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// AppendFrame appends page pgno as one frame to dst, encoded as superfly/ltx v0.5.3 does: page header, size, LZ4 block.
func AppendFrame(dst []byte, pgno uint32, page []byte) ([]byte, error) {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, pgno)
	dst = binary.BigEndian.AppendUint16(dst, ltx.PageHeaderFlagSize)
	dst = append(dst, 0, 0, 0, 0)
	block := len(dst)
	bound := lz4.CompressBlockBound(len(page))
	if cap(dst)-block < bound {
		dst = append(dst, make([]byte, bound)...)
	}
	c := frameCompressors.Get().(*lz4.Compressor)
	defer frameCompressors.Put(c)
	n, err := c.CompressBlock(page, dst[block:block+bound])
	if err != nil || n == 0 {
		return nil, fmt.Errorf("page %d cannot be compressed: %w", pgno, err)
	}
	binary.BigEndian.PutUint32(dst[start+ltx.PageHeaderSize:], uint32(n))
	return dst[:block+n], nil
}

// IsBlockFrame reports whether a frame is in the present encoding. One that is not comes from ltx v0.5.1 or earlier: its
// length is known from the index alone, and it has no size field.
func IsBlockFrame(frame []byte) bool {
	return len(frame) >= frameOverhead && binary.BigEndian.Uint16(frame[4:]) == ltx.PageHeaderFlagSize
}
