package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// walHeaderSize is the offset of the first frame in a WAL. Litestream reads a WAL and expects one in every header: without it a daemon could not
// take the replica over.
const walHeaderSize = 32

// Source is a database that is replicated.
type Source struct {
	Now func() time.Time // nil means time.Now

	conn  *sqlite3.Conn
	path  string
	store objstore.Putter
	txid  ltx.TXID
	image []byte // the database file as of txid
}

// Commit is one transaction in the replica.
type Commit struct {
	TXID  ltx.TXID
	Time  time.Time
	Key   string // of the LTX file
	Pages int    // in it
	Size  int    // bytes
}

// NewSource makes an empty database at path, which must not exist, to be replicated to store.
func NewSource(ctx context.Context, path string, store objstore.Putter) (*Source, error) {
	conn, err := sqlite3.OpenContext(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("demo database: %w", err)
	}
	return &Source{conn: conn, path: path, store: store}, nil
}

// Close closes the database. The replica stays.
func (s *Source) Close() error { return s.conn.Close() }

// Commit runs statements in one transaction and stores what it changed as the next LTX file.
func (s *Source) Commit(ctx context.Context, sql string) (Commit, error) {
	if err := s.conn.Exec("BEGIN IMMEDIATE; " + sql + "; COMMIT"); err != nil {
		return Commit{}, errors.Join(fmt.Errorf("demo transaction: %w", err), s.rollback())
	}
	image, err := os.ReadFile(s.path)
	if err != nil {
		return Commit{}, err
	}
	return s.replicate(ctx, image)
}

func (s *Source) rollback() error {
	if s.conn.GetAutocommit() {
		return nil
	}
	return s.conn.Exec("ROLLBACK")
}

// replicate stores the pages in which the database differs from what is in the replica.
func (s *Source) replicate(ctx context.Context, image []byte) (Commit, error) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	next := s.txid + 1
	pageSize := pageSizeOf(image)
	header := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: uint32(pageSize), Commit: uint32(len(image) / pageSize),
		MinTXID: next, MaxTXID: next, Timestamp: now().UnixMilli(),
		WALOffset: walHeaderSize,
	}
	var file bytes.Buffer
	pages, err := encode(&file, header, image, s.image)
	if err != nil {
		return Commit{}, fmt.Errorf("encode txid %s: %w", next, err)
	}
	c := Commit{
		TXID: next, Time: time.UnixMilli(header.Timestamp).UTC(), Key: "0000/" + ltx.FormatFilename(next, next), Pages: pages, Size: file.Len(),
	}
	_, err = s.store.Put(ctx, c.Key, bytes.NewReader(file.Bytes()), objstore.PutOptions{OnlyCreate: true, Timestamp: c.Time})
	if err != nil {
		return Commit{}, err
	}
	s.txid, s.image = next, image
	return c, nil
}

// pageSizeOf reads the page size from the header of a database file.
func pageSizeOf(image []byte) int {
	size := int(image[16])<<8 | int(image[17])
	if size == 1 {
		return 65536
	}
	return size
}

// encode writes the LTX file that turns old into image, and returns how many pages it holds. All are in it when old is empty.
func encode(w *bytes.Buffer, header ltx.Header, image, old []byte) (pages int, err error) {
	enc, err := ltx.NewEncoder(w)
	if err != nil {
		return 0, err
	}
	if err := enc.EncodeHeader(header); err != nil {
		return 0, err
	}
	size := int(header.PageSize)
	for off := 0; off < len(image); off += size {
		page := image[off : off+size]
		if off+size <= len(old) && bytes.Equal(page, old[off:off+size]) {
			continue
		}
		if err := enc.EncodePage(ltx.PageHeader{Pgno: uint32(off/size) + 1}, page); err != nil {
			return 0, err
		}
		pages++
	}
	return pages, enc.Close()
}
