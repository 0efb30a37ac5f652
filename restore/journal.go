package restore

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/bulk"
)

// The journal is SQLite's: see "The Rollback Journal" in its file format. A header of one sector, and then a record for each page
// that is about to be overwritten or cut off, with its old content.
const (
	journalSuffix = "-journal"
	journalSector = 512
	// journalMark lies in the part of the header that SQLite does not read: we roll back only what we wrote.
	journalMark    = "litefs-s3 restore"
	offJournalMark = 28
)

var journalMagic = []byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}

// journalHeader is the first sector of a journal.
type journalHeader struct {
	records  uint32
	nonce    uint32 // of the records' checksums
	commit   uint32 // size of the database to go back to, in pages
	pageSize uint32
}

func (h journalHeader) encode() []byte {
	b := make([]byte, journalSector)
	copy(b, journalMagic)
	for i, n := range []uint32{h.records, h.nonce, h.commit, journalSector, h.pageSize} {
		binary.BigEndian.PutUint32(b[8+4*i:], n)
	}
	copy(b[offJournalMark:], journalMark)
	return b
}

// errNoJournal: there is nothing to roll back.
var errNoJournal = errors.New("no journal")

func decodeJournalHeader(b []byte) (h journalHeader, err error) {
	if b[0] == 0 { // as SQLite sees it: it was never finished, so the database was never touched
		return h, errNoJournal
	}
	if !bytes.Equal(b[:8], journalMagic) || string(b[offJournalMark:offJournalMark+len(journalMark)]) != journalMark {
		return h, fmt.Errorf("a journal is left that another program wrote; open the database with it, or sqlite3, to have it rolled back: %w", ErrNotOurs)
	}
	n := func(i int) uint32 { return binary.BigEndian.Uint32(b[8+4*i:]) }
	h = journalHeader{records: n(0), nonce: n(1), commit: n(2), pageSize: n(4)}
	if n(3) != journalSector || !ltx.IsValidPageSize(h.pageSize) {
		return h, fmt.Errorf("journal of pages of %d bytes: %w", h.pageSize, ErrNotOurs)
	}
	return h, nil
}

// journalChecksum is what SQLite guards a record with.
func journalChecksum(nonce uint32, page []byte) uint32 {
	for i := len(page) - 200; i > 0; i -= 200 {
		nonce += uint32(page[i])
	}
	return nonce
}

// writeJournal makes the journal of the given pages of db beside it. The header is written last, when all the rest is on disk: until then
// the journal counts for nothing.
func writeJournal(db *os.File, path string, commit, pageSize uint32, pgnos []uint32) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", err, ErrNotOurs) // somebody wrote to the database, and was killed
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := journalHeader{records: uint32(len(pgnos)), nonce: rand.Uint32(), commit: commit, pageSize: pageSize}
	if err := writeRecords(f, db, h, pgnos); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if _, err := f.WriteAt(h.encode(), 0); err != nil {
		return err
	}
	return f.Sync()
}

func writeRecords(f, db *os.File, h journalHeader, pgnos []uint32) error {
	out := bufio.NewWriterSize(io.NewOffsetWriter(f, 0), 256<<10)
	_, _ = out.Write(make([]byte, journalSector)) // its error comes again at Flush
	page := make([]byte, h.pageSize)
	for _, pgno := range pgnos {
		if _, err := db.ReadAt(page, bulk.Offset(pgno, h.pageSize)); err != nil {
			return fmt.Errorf("page %d: %w", pgno, err)
		}
		_ = binary.Write(out, binary.BigEndian, pgno)
		_, _ = out.Write(page)
		_ = binary.Write(out, binary.BigEndian, journalChecksum(h.nonce, page))
	}
	return out.Flush()
}

// rollBack brings db back to what it was when the journal at path was written, and removes the journal. The caller has the database to
// itself. errNoJournal is not among its errors.
func rollBack(db *os.File, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = playBack(db, f)
	cerr := f.Close()
	if err == nil {
		err = db.Sync()
	}
	if err != nil && !errors.Is(err, errNoJournal) {
		return fmt.Errorf("roll back with %s: %w", path, err)
	}
	return errors.Join(cerr, os.Remove(path))
}

// playBack writes the old pages back, and cuts the database to its old size.
func playBack(db *os.File, journal io.Reader) error {
	in := bufio.NewReaderSize(journal, 256<<10)
	sector := make([]byte, journalSector)
	if _, err := io.ReadFull(in, sector); err != nil {
		return errNoJournal // shorter than its header
	}
	h, err := decodeJournalHeader(sector)
	if err != nil {
		return err
	}
	record := make([]byte, 4+int(h.pageSize)+4)
	for range h.records {
		if _, err := io.ReadFull(in, record); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		pgno, page := binary.BigEndian.Uint32(record), record[4:4+h.pageSize]
		if sum := binary.BigEndian.Uint32(record[4+h.pageSize:]); sum != journalChecksum(h.nonce, page) || pgno == 0 || pgno > h.commit {
			return fmt.Errorf("record of page %d is damaged: %w", pgno, ErrNotOurs)
		}
		if _, err := db.WriteAt(page, bulk.Offset(pgno, h.pageSize)); err != nil {
			return err
		}
	}
	return db.Truncate(bulk.Offset(h.commit, h.pageSize) + int64(h.pageSize))
}
