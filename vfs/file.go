package vfs

import (
	"context"
	"fmt"
	"io"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/litefs-s3/litefs-s3/index"
)

// file is one SQLite handle on a replica. SQLite uses it from one goroutine at a time.
type file struct {
	db   Database
	conn *sqlite3.Conn // set by SetDB, right after the open
	lock vfs.LockLevel

	view *index.View // of the transaction; nil without a lock
	past *index.View // of the time that was set; nil when following
	when string      // the time that was set, as it was written

	first   page1  // page 1 as SQLite gets to see it
	scratch []byte // for reads of a part of a page

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
	v, err := f.reading(ctx)
	if err != nil {
		return err
	}
	_, err = f.first.read(ctx, f.db, v)
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

func (f *file) Close() error { return f.db.Close() }

// reading returns the View of the transaction, or the one that a transaction would get now.
func (f *file) reading(ctx context.Context) (*index.View, error) {
	switch {
	case f.view != nil:
		return f.view, nil
	case f.past != nil:
		return f.past, nil
	}
	return f.db.Newest(ctx)
}

// Lock pins the View when a read transaction begins. Nothing here can be written.
func (f *file) Lock(level vfs.LockLevel) error {
	if level <= f.lock {
		return nil
	}
	if level > vfs.LOCK_SHARED {
		return sqlite3.READONLY
	}
	f.db.Begin()
	v, err := f.reading(f.context())
	if err != nil {
		return f.fail("begin", err)
	}
	f.view, f.lock = v, vfs.LOCK_SHARED
	return nil
}

func (f *file) Unlock(level vfs.LockLevel) error {
	if level == vfs.LOCK_NONE {
		f.view = nil
	}
	f.lock = min(f.lock, level)
	return nil
}

func (f *file) LockState() vfs.LockLevel { return f.lock }

func (f *file) CheckReservedLock() (bool, error) { return false, nil }

func (f *file) Size() (int64, error) {
	v, err := f.reading(f.context())
	if err != nil {
		return 0, f.fail("size", err)
	}
	return size(v), nil
}

// size is the size of the database in bytes.
func size(v *index.View) int64 { return int64(v.Commit) * int64(v.PageSize) }

// ReadAt reads a page, or for SQLite's glances at the header a part of one. Past the end it is io.EOF; anything missing
// before the end is an error.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	ctx := f.context()
	v, err := f.reading(ctx)
	if err != nil {
		return 0, f.fail("read", err)
	}
	end := size(v)
	for n < len(p) {
		if off >= end {
			return n, io.EOF
		}
		m, err := f.readOne(ctx, v, p[n:], off)
		if err != nil {
			return 0, f.fail("read", err)
		}
		n, off = n+m, off+int64(m)
	}
	return n, nil
}

// readOne reads from the page at off, up to its end.
func (f *file) readOne(ctx context.Context, v *index.View, p []byte, off int64) (int, error) {
	pageSize := int64(v.PageSize)
	pgno, inner := uint32(off/pageSize)+1, off%pageSize
	if pgno == 1 {
		page, err := f.first.read(ctx, f.db, v)
		return copy(p, page[min(inner, int64(len(page))):]), err
	}
	if inner == 0 && int64(len(p)) >= pageSize {
		return int(pageSize), f.readPage(ctx, v, pgno, p[:pageSize])
	}
	if int64(len(f.scratch)) != pageSize {
		f.scratch = make([]byte, pageSize)
	}
	err := f.readPage(ctx, v, pgno, f.scratch)
	return copy(p, f.scratch[inner:]), err
}

func (f *file) readPage(ctx context.Context, v *index.View, pgno uint32, dst []byte) error {
	if pgno == v.LockPgno() {
		clear(dst) // no file ever holds it, and nothing is in it
		return nil
	}
	return f.db.ReadPage(ctx, v, pgno, dst)
}

// WriteAt, Truncate and Sync are never reached: SQLite gets no lock to write with.

func (f *file) WriteAt([]byte, int64) (int, error) { return 0, sqlite3.READONLY }

func (f *file) Truncate(int64) error { return sqlite3.READONLY }

func (f *file) Sync(vfs.SyncFlag) error { return sqlite3.READONLY }

func (f *file) SectorSize() int { return 0 }

func (f *file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_UNDELETABLE_WHEN_OPEN | vfs.IOCAP_SUBPAGE_READ
}
