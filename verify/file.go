package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// errEnd: more bytes were wanted than the file has. The index has been checked by then, so this cannot be.
var errEnd = fmt.Errorf("file ends early: %w", index.ErrCorrupt)

// errBudget: time is up.
var errBudget = errors.New("the budget of time is used up")

// File checks one listed file from its first byte to its last, and returns what its index says. What cannot be right is
// index.ErrCorrupt, and names the file and, where it is about one, the page.
func File(ctx context.Context, store objstore.RangeReader, f *index.File) (*index.Layout, error) {
	c := &checker{store: store, file: f}
	err := c.check(ctx)
	return c.layout, err
}

// checker is the check of one file.
type checker struct {
	store    objstore.RangeReader
	file     *index.File
	deadline time.Time // of the budget; zero is none

	layout  *index.Layout // once the index is right
	hash    hash.Hash64   // over the file as its checksum covers it
	image   ltx.Checksum  // over the pages, as the post-apply checksum of a snapshot covers them
	page    []byte
	tracked bool  // the file has a checksum of the whole database
	pages   int64 // decoded
	read    int64 // bytes
}

var crcTable = crc64.MakeTable(crc64.ISO)

func (c *checker) check(ctx context.Context) (err error) {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		s.close()
		c.read += s.read
	}()
	c.hash, c.page = crc64.New(crcTable), make([]byte, c.layout.PageSize())
	b, err := s.next(ltx.HeaderSize)
	if err != nil {
		return c.wrap("header", err)
	}
	_, _ = c.hash.Write(b)
	var h ltx.Header
	if err := h.UnmarshalBinary(b); err != nil {
		return c.bad("header: %v", err)
	}
	c.tracked = h.IsSnapshot() && !h.NoChecksum()
	end := int64(ltx.HeaderSize)
	for pgno, frame := range c.layout.Frames() {
		if !c.deadline.IsZero() && c.pages%256 == 0 && time.Now().After(c.deadline) {
			return errBudget
		}
		if b, err = s.next(frame.Size); err != nil {
			return c.wrap(fmt.Sprintf("page %d at byte %d", pgno, frame.Off), err)
		}
		if err := c.frame(pgno, b); err != nil {
			return fmt.Errorf("%s: page %d at byte %d: %w", c.file, pgno, frame.Off, err)
		}
		end = frame.Off + frame.Size
	}
	return c.end(s, h, end)
}

// open reads the index, and returns the bytes of the file from the first on. A small file is read once for both.
func (c *checker) open(ctx context.Context) (*stream, error) {
	s := newStream(ctx, c.store, c.file)
	var err error
	if c.file.Size > windowSize || c.file.Size < ltx.HeaderSize {
		c.layout, err = index.ReadLayout(ctx, c.store, c.file)
	} else if err = s.fill(); err == nil {
		c.layout, err = index.ParseLayout(c.file, s.cur)
	} else {
		err = c.wrap("get", err)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// frame checks one frame and hashes it.
func (c *checker) frame(pgno uint32, b []byte) error {
	if err := index.DecodeFrame(b, pgno, c.page); err != nil {
		return err
	}
	head := ltx.PageHeaderSize
	if binary.BigEndian.Uint16(b[4:])&ltx.PageHeaderFlagSize != 0 {
		head += 4 // the block's size
	}
	_, _ = c.hash.Write(b[:head])
	_, _ = c.hash.Write(c.page)
	if c.tracked {
		c.image ^= ltx.ChecksumPage(pgno, c.page)
	}
	c.pages++
	return nil
}

// end checks what follows the frames, which end at byte off: the end marker, the index and the trailer.
func (c *checker) end(s *stream, h ltx.Header, off int64) error {
	marker, err := s.next(ltx.PageHeaderSize)
	if err != nil {
		return c.wrap("end marker", err)
	}
	_, _ = c.hash.Write(marker)
	if [ltx.PageHeaderSize]byte(marker) != [ltx.PageHeaderSize]byte{} {
		return c.bad("no end marker after the last frame")
	}
	for left := c.file.Size - ltx.TrailerSize - off - ltx.PageHeaderSize; left > 0; {
		n := min(left, windowSize)
		b, err := s.next(n)
		if err != nil {
			return c.wrap("index", err)
		}
		_, _ = c.hash.Write(b)
		left -= n
	}
	b, err := s.next(ltx.TrailerSize)
	if err != nil {
		return c.wrap("trailer", err)
	}
	return c.trailer(h, b)
}

func (c *checker) trailer(h ltx.Header, b []byte) error {
	var t ltx.Trailer
	if err := t.UnmarshalBinary(b); err != nil {
		return c.bad("trailer: %v", err)
	}
	if err := t.Validate(h); err != nil {
		return c.bad("trailer: %v", err)
	}
	_, _ = c.hash.Write(b[:ltx.TrailerChecksumOffset])
	if sum := ltx.ChecksumFlag | ltx.Checksum(c.hash.Sum64()); sum != t.FileChecksum {
		return c.bad("its checksum is %s, the trailer says %s", sum, t.FileChecksum)
	}
	if sum := ltx.ChecksumFlag | c.image; c.tracked && sum != t.PostApplyChecksum {
		return c.bad("the checksum of the database is %s, the trailer says %s", sum, t.PostApplyChecksum)
	}
	return nil
}

func (c *checker) bad(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", c.file, fmt.Sprintf(format, args...), index.ErrCorrupt)
}

func (c *checker) wrap(what string, err error) error {
	return fmt.Errorf("%s: %s: %w", c.file, what, err)
}
