package pages

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// giant is a replica of any size that exists only as far as it is read: one file whose frames all have the same size.
type giant struct {
	objstore.Store
	file   index.File
	header []byte
	frame  func(pgno uint32) []byte
	size   int64  // of a frame
	tail   []byte // from the end marker on
}

const giantPage = 4096

// A page of a giant is its number, and then zeros. It may be encoded well or not at all.

// shortFrame is a page as the LTX encoder would encode it.
func shortFrame(pgno uint32) []byte {
	b := frameHeader(pgno)
	b = append(b, 0xff, 17-15) // 17 literals, and a long match
	b = binary.BigEndian.AppendUint32(b, pgno)
	b = append(b, make([]byte, 13)...)
	b = append(b, 1, 0) // one byte back
	more := giantPage - 17 - 12 - 4 - 15
	for ; more >= 255; more -= 255 {
		b = append(b, 255)
	}
	b = append(b, byte(more), 12<<4) // and 12 literals
	return sized(append(b, make([]byte, 12)...))
}

// longFrame is a page as if it had nothing to compress.
func longFrame(pgno uint32) []byte {
	b := make([]byte, 0, 10+18+giantPage)
	b = append(b, frameHeader(pgno)...)
	b = append(b, 0xf0)
	more := giantPage - 15
	for ; more >= 255; more -= 255 {
		b = append(b, 255)
	}
	b = append(b, byte(more))
	b = binary.BigEndian.AppendUint32(b, pgno)
	return sized(b[:len(b)+giantPage-4])
}

func frameHeader(pgno uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, pgno)
	b = binary.BigEndian.AppendUint16(b, ltx.PageHeaderFlagSize)
	return append(b, 0, 0, 0, 0)
}

func sized(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame[6:], uint32(len(frame)-10))
	return frame
}

func newGiant(pages uint32, frame func(pgno uint32) []byte) *giant {
	header, err := (&ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: giantPage, Commit: pages,
		MinTXID: 1, MaxTXID: 1, Timestamp: 1, WALOffset: 32,
	}).MarshalBinary()
	if err != nil {
		panic(err)
	}
	g := &giant{header: header, frame: frame, size: int64(len(frame(1)))}
	off := int64(len(header))
	g.tail = make([]byte, ltx.PageHeaderSize, int64(pages)*12+1000)
	for pgno := uint32(1); pgno <= pages; pgno++ {
		if pgno == ltx.LockPgno(giantPage) {
			continue
		}
		g.tail = binary.AppendUvarint(g.tail, uint64(pgno))
		g.tail = binary.AppendUvarint(g.tail, uint64(off))
		g.tail = binary.AppendUvarint(g.tail, uint64(g.size))
		off += g.size
	}
	g.tail = append(g.tail, 0)
	g.tail = binary.BigEndian.AppendUint64(g.tail, uint64(len(g.tail)-ltx.PageHeaderSize))
	g.tail = append(g.tail, make([]byte, ltx.TrailerSize)...)
	g.file = index.File{Level: index.SnapshotLevel, Min: 1, Max: 1, Size: off + int64(len(g.tail)), ETag: "giant"}
	return g
}

func (g *giant) List(_ context.Context, prefix, startAfter string) (objstore.Page, error) {
	if key := g.file.Key(); strings.HasPrefix(key, prefix) && key > startAfter {
		return objstore.Page{Objects: []objstore.Info{{Key: key, Size: g.file.Size, ETag: g.file.ETag}}}, nil
	}
	return objstore.Page{}, nil
}

func (g *giant) ReadAt(_ context.Context, _ objstore.Ref, p []byte, off int64) error {
	tailOff := g.file.Size - int64(len(g.tail))
	for len(p) > 0 {
		var n int
		switch {
		case off < int64(len(g.header)):
			n = copy(p, g.header[off:])
		case off >= tailOff:
			n = copy(p, g.tail[off-tailOff:])
		default:
			at := off - int64(len(g.header))
			pgno := uint32(at/g.size) + 1
			if pgno >= ltx.LockPgno(giantPage) {
				pgno++
			}
			n = copy(p, g.frame(pgno)[at%g.size:])
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}
