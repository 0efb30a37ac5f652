package merge

import (
	"encoding/binary"
	"hash/crc64"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
)

var isoTable = crc64.MakeTable(crc64.ISO)

// checksum is the file checksum of LTX: over everything in the file's order, with pages decoded.
type checksum struct{ crc uint64 }

func (c *checksum) add(b []byte) { c.crc = crc64.Update(c.crc, isoTable, b) }

// page adds a frame: its header, its size field if it has one, and the decoded page.
func (c *checksum) page(_ uint32, frame, plain []byte) error {
	n := ltx.PageHeaderSize
	if index.IsBlockFrame(frame) {
		n += 4
	}
	c.add(frame[:n])
	c.add(plain)
	return nil
}

func (c *checksum) value() ltx.Checksum { return ltx.ChecksumFlag | ltx.Checksum(c.crc) }

// content is a checksum of what a file says, however it is encoded: the pages by number.
type content struct{ checksum }

func (c *content) page(pgno uint32, _, plain []byte) error {
	c.add(binary.BigEndian.AppendUint32(nil, pgno))
	c.add(plain)
	return nil
}
