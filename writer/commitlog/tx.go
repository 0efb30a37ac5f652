package commitlog

import (
	"encoding/binary"
	"fmt"
)

// Tx is a transaction in the log. It stays readable for as long as somebody has it.
type Tx struct {
	Seq      uint64 // its number in this log, from 1 on
	Commit   uint32 // database size in pages after it
	PageSize uint32
	Pages    int // how many it wrote

	seg *segment
	off int64 // of its first page
}

// Entry is one page of a transaction. Its place among the entries is the slot of the page.
type Entry struct {
	Pgno uint32
	Sum  uint32 // checksum of number and content
}

// Recorded is a transaction with what it wrote: ascending, the lock page left out.
type Recorded struct {
	*Tx
	Entries []Entry
}

// Bytes is how much of the log it takes.
func (t *Tx) Bytes() int64 {
	return headerSize + sumSize + txHead{t.Commit, t.PageSize, uint32(t.Pages)}.bodySize()
}

// ReadPage copies the page in a slot, which must be the one of its entry, into dst, and checks it. len(dst) is the page size.
func (t *Tx) ReadPage(slot int, e Entry, dst []byte) error {
	off := t.off + int64(slot)*int64(t.PageSize)
	if _, err := t.seg.file.ReadAt(dst, off); err != nil {
		return fmt.Errorf("page %d in %s at byte %d: %w", e.Pgno, t.seg.path, off, err)
	}
	if pageSum(e.Pgno, dst) != e.Sum {
		return &DamagedError{Path: t.seg.path, Off: off, Last: t.Seq - 1,
			Why: fmt.Sprintf("page %d does not match its checksum: the disk returns other bytes than were written", e.Pgno)}
	}
	return nil
}

func (e Entry) append(b []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, e.Pgno), e.Sum)
}
