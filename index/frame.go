package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/superfly/ltx"
)

// Frame locates one encoded page inside one LTX file. LTX files never change, so a Frame names the same bytes for
// ever. Compaction may copy the same page version to another Frame.
type Frame struct {
	File *File
	Off  int64 // bytes from the start of the file
	Size int64 // encoded bytes, page header included
}

// frameOverhead is the page header and the size field before the LZ4 block.
const frameOverhead = ltx.PageHeaderSize + 4

// maxFrameSize bounds the size of one frame: an LZ4 block that did not compress, or an LZ4 frame around such blocks.
func maxFrameSize(pageSize uint32) int64 {
	return int64(frameOverhead) + int64(lz4.CompressBlockBound(int(pageSize))) + 64
}

// DecodeFrame decodes one frame into dst, which must be exactly one page long, and checks that it is page pgno.
// It reads both encodings of LTX v3: the LZ4 block with a size field, and the LZ4 frame of ltx v0.5.1 and earlier.
// On error the content of dst is undefined.
func DecodeFrame(frame []byte, pgno uint32, dst []byte) error {
	if len(frame) < frameOverhead {
		return fmt.Errorf("frame of %d bytes is too short: %w", len(frame), ErrCorrupt)
	}
	if got := binary.BigEndian.Uint32(frame); got != pgno || pgno == 0 {
		return fmt.Errorf("frame holds page %d instead of page %d: %w", got, pgno, ErrCorrupt)
	}
	switch flags := binary.BigEndian.Uint16(frame[4:]); flags {
	case ltx.PageHeaderFlagSize:
		return decodeBlock(frame, dst)
	case 0:
		return decodeLZ4Frame(frame[ltx.PageHeaderSize:], dst)
	default:
		return fmt.Errorf("frame has unknown flags %#04x: %w", flags, ErrCorrupt)
	}
}

func decodeBlock(frame, dst []byte) error {
	block := frame[frameOverhead:]
	if size := binary.BigEndian.Uint32(frame[ltx.PageHeaderSize:]); int64(size) != int64(len(block)) {
		return fmt.Errorf("frame says %d bytes, the index says %d: %w", size, len(block), ErrCorrupt)
	}
	n, err := lz4.UncompressBlock(block, dst)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	if n != len(dst) {
		return fmt.Errorf("frame decodes to %d bytes instead of %d: %w", n, len(dst), ErrCorrupt)
	}
	return nil
}

// lz4Readers keeps decoders of the older encoding: each holds a block buffer.
var lz4Readers = sync.Pool{New: func() any { return lz4.NewReader(nil) }}

func decodeLZ4Frame(b, dst []byte) error {
	zr := lz4Readers.Get().(*lz4.Reader)
	defer lz4Readers.Put(zr)
	zr.Reset(bytes.NewReader(b))
	if _, err := io.ReadFull(zr, dst); err != nil {
		return fmt.Errorf("lz4 frame: %w: %w", err, ErrCorrupt)
	}
	var more [1]byte
	if n, err := zr.Read(more[:]); n != 0 || err != io.EOF {
		return fmt.Errorf("lz4 frame goes on after a page of %d bytes: %w", len(dst), ErrCorrupt)
	}
	return nil
}
