package vfs

import (
	"context"
	"fmt"
	"io"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// file is one SQLite handle on a replica. SQLite uses it from one goroutine at a time. What it writes is in write.go.
type file struct {
	db   Database
	conn *sqlite3.Conn // set by SetDB, right after the open
	lock vfs.LockLevel

	pinned *Snapshot // of the transaction; nil without a lock
	past   *Snapshot // of the time that was set; nil when following
	when   string    // the time that was set, as it was written

	write writing // nothing unless the transaction writes

	first   first  // page 1 as SQLite gets to see it
	scratch []byte // see buffer

	cause error // of the last error
}

var (
	_ vfs.FileLockState = (*file)(nil)
	_ vfs.FilePragma    = (*file)(nil)
)

// start sets the time that the URI asks for, and reads page 1: SQLite will do so next, and an error of the open itself is the only
// one whose cause always reaches the caller.
func (f *file) start(ctx context.Context, when, txid string) error {
	var err error
	switch {
	case when != "" && txid != "":
		err = fmt.Errorf("time=%q and txid=%q are both given; use one", when, txid)
	case when != "":
		err = f.setTime(ctx, when)
	case txid != "":
		err = f.setTXID(ctx, txid)
	}
	if err != nil {
		return err
	}
	s, err := f.reading(ctx)
	if err != nil || s.Commit == 0 {
		return err
	}
	_, err = f.first.read(ctx, f.db, s)
	return err
}

// SetDB takes the connection that the file belongs to. The driver calls it after the open.
func (f *file) SetDB(db any) { f.conn, _ = db.(*sqlite3.Conn) }

// context is that of the statement under way.
func (f *file) context() context.Context {
	if f.conn != nil {
		if ctx := f.conn.GetInterrupt(); ctx != nil {
			return ctx
		}
	}
	return context.Background()
}

func (f *file) Close() error {
	f.rollback()
	return f.db.Close()
}

// reading returns the Snapshot of the transaction, or the one that a transaction would get now.
func (f *file) reading(ctx context.Context) (Snapshot, error) {
	switch {
	case f.pinned != nil:
		return *f.pinned, nil
	case f.past != nil:
		return *f.past, nil
	}
	return f.db.Newest(ctx)
}

// Lock pins the Snapshot when a read transaction begins, and reserves the right to write when it wants to.
func (f *file) Lock(level vfs.LockLevel) error {
	if level <= f.lock {
		return nil
	}
	if f.lock < vfs.LOCK_SHARED {
		f.db.Begin()
		s, err := f.reading(f.context())
		if err != nil {
			return f.fail("begin", err)
		}
		f.pinned, f.lock = &s, vfs.LOCK_SHARED
	}
	if level > vfs.LOCK_SHARED && !f.write.open() {
		if err := f.beginWriting(); err != nil {
			return err
		}
	}
	f.lock = level
	return nil
}

func (f *file) Unlock(level vfs.LockLevel) error {
	if level < vfs.LOCK_RESERVED {
		f.rollback() // what was committed is not there any more
	}
	if level == vfs.LOCK_NONE {
		f.pinned = nil
	}
	f.lock = min(f.lock, level)
	return nil
}

func (f *file) LockState() vfs.LockLevel { return f.lock }

func (f *file) CheckReservedLock() (bool, error) { return false, nil }

func (f *file) Size() (int64, error) {
	s, err := f.reading(f.context())
	if err != nil {
		return 0, f.fail("size", err)
	}
	return f.sizeOf(&s), nil
}

// sizeOf is the size of the file in bytes as the transaction has it, on top of s.
func (f *file) sizeOf(s *Snapshot) int64 {
	if f.write.open() {
		return f.write.size()
	}
	return s.size()
}

// ReadAt reads a page, or for SQLite's glances at the header a part of one. Past the end it is io.EOF; anything missing
// before the end is an error.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	ctx := f.context()
	s, err := f.reading(ctx)
	if err != nil {
		return 0, f.fail("read", err)
	}
	end := f.sizeOf(&s)
	for n < len(p) {
		if off >= end {
			return n, io.EOF
		}
		m, err := f.readOne(ctx, &s, p[n:], off)
		if err != nil {
			return 0, f.fail("read", err)
		}
		n, off = n+m, off+int64(m)
	}
	return n, nil
}

// readOne reads from the page at off, up to its end.
func (f *file) readOne(ctx context.Context, s *Snapshot, p []byte, off int64) (int, error) {
	pageSize := int64(f.pageSize(s))
	pgno, inner := uint32(off/pageSize)+1, off%pageSize
	if inner == 0 && int64(len(p)) >= pageSize {
		return int(pageSize), f.readPage(ctx, s, pgno, p[:pageSize])
	}
	if pgno == 1 && !f.write.open() {
		page, err := f.first.read(ctx, f.db, *s)
		return copy(p, page[min(inner, int64(len(page))):]), err
	}
	page := f.buffer(uint32(pageSize))
	err := f.readPage(ctx, s, pgno, page)
	return copy(p, page[inner:]), err
}

// buffer is room for one page, until the next call.
func (f *file) buffer(pageSize uint32) []byte {
	if uint32(len(f.scratch)) != pageSize {
		f.scratch = make([]byte, pageSize)
	}
	return f.scratch
}

// pageSize is that of s, or of the pages written so far to a database that is not there yet.
func (f *file) pageSize(s *Snapshot) uint32 {
	if s.PageSize == 0 {
		return f.write.pageSize
	}
	return s.PageSize
}

func (f *file) readPage(ctx context.Context, s *Snapshot, pgno uint32, dst []byte) error {
	if f.write.open() {
		if ok, err := f.write.read(pgno, dst); ok || err != nil {
			return err
		}
	}
	if pgno != 1 {
		return s.read(ctx, f.db, pgno, dst)
	}
	page, err := f.first.read(ctx, f.db, *s)
	copy(dst, page)
	return err
}

func (f *file) SectorSize() int { return 0 }

// DeviceCharacteristics promise no atomic writes: with them SQLite would not count its changes in page 1 (see commit).
func (f *file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_UNDELETABLE_WHEN_OPEN | vfs.IOCAP_SUBPAGE_READ
}
