package vfs

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/litefs-s3/litefs-s3/internal/page1"
)

var (
	_ vfs.FileSync           = (*file)(nil)
	_ vfs.FileCommitPhaseTwo = (*file)(nil)
)

// writing is a write transaction of a file. The zero value is none.
//
// SQLite writes pages, tells that it commits (FCNTL_SYNC), and may cut the file off after that. To take something back it writes the
// old pages again and tells the very same: what is a commit shows in page 1, whose change counter only a commit changes.
type writing struct {
	tx       Transaction
	on       *Snapshot
	pages    uint32 // size of the file
	low      uint32 // smallest size it has had: what is above and not written reads as zeros
	pageSize uint32
}

func (w *writing) open() bool { return w.tx != nil }

func (w *writing) size() int64 { return int64(w.pages) * int64(w.pageSize) }

// read copies a page that does not come from the Snapshot below.
func (w *writing) read(pgno uint32, dst []byte) (ok bool, err error) {
	if ok, err = w.tx.ReadPage(pgno, dst); ok || err != nil || pgno <= w.low {
		return ok, err
	}
	clear(dst)
	return true, nil
}

// errPast: writes go to the newest state only.
var errPast = errors.New("a past time is set, and the past cannot be written; PRAGMA litestream_time = latest goes back")

// errNotOpenedToWrite: the handle is a reader's.
var errNotOpenedToWrite = errors.New("opened to read only; open it with write_enabled=1")

// beginWriting reserves the right to write on top of what the transaction reads.
func (f *file) beginWriting() error {
	switch {
	case !f.db.Writable():
		return f.refuse("write", &Refusal{ReadOnly, errNotOpenedToWrite})
	case f.past != nil:
		return f.refuse("write", &Refusal{ReadOnly, errPast})
	}
	tx, err := f.db.BeginWrite(f.context(), *f.pinned)
	if err != nil {
		return f.refuse("write", err)
	}
	s := f.pinned
	f.write = writing{tx: tx, on: s, pages: s.Commit, low: s.Commit, pageSize: s.PageSize}
	return nil
}

// rollback ends the write transaction, if there is one, without a trace.
func (f *file) rollback() {
	if f.write.open() {
		f.write.tx.Rollback()
		f.write = writing{}
	}
}

// mustWrite makes sure that there is a write transaction. There is none when SQLite takes back what was committed already because another
// database of the same statement has failed: then taking it back is one more transaction.
func (f *file) mustWrite() error {
	switch {
	case f.write.open():
		return nil
	case f.lock < vfs.LOCK_RESERVED:
		return sqlite3.READONLY
	}
	return f.beginWriting()
}

// WriteAt keeps a page of the transaction.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.mustWrite(); err != nil {
		return 0, err
	}
	w := &f.write
	if w.pageSize == 0 { // a new database: its first page comes first
		w.pageSize = uint32(len(p))
	}
	if len(p) != int(w.pageSize) || off%int64(w.pageSize) != 0 {
		return 0, f.refuse("write", fmt.Errorf("%d bytes at %d are no page of %d bytes; %w", len(p), off, w.pageSize, errPageSize))
	}
	pgno := uint32(off/int64(w.pageSize)) + 1
	if err := w.tx.WritePage(pgno, p); err != nil {
		return 0, f.refuse("write", err)
	}
	w.pages = max(w.pages, pgno)
	return len(p), nil
}

var errPageSize = errors.New("the page size of a replica cannot change")

// Truncate cuts off what lies above a size. After a commit SQLite repeats what the commit has said.
func (f *file) Truncate(size int64) error {
	if !f.write.open() && f.pinned != nil && size == f.pinned.size() {
		return nil
	}
	if err := f.mustWrite(); err != nil {
		return err
	}
	w := &f.write
	if w.pageSize == 0 {
		return nil // nothing was written yet
	}
	pages := uint32(size / int64(w.pageSize))
	w.tx.Truncate(pages)
	w.pages, w.low = pages, min(w.low, pages)
	return nil
}

// SyncSuper is SQLite's commit point: all pages are written, and when it succeeds the transaction is committed. It is called for
// each database of a statement after the other, and also when pages were put back.
func (f *file) SyncSuper(string) error {
	if !f.write.open() {
		return nil
	}
	pages, ok, err := f.write.commits(f.buffer(f.write.pageSize))
	if err != nil {
		return f.refuse("commit", err)
	}
	if !ok {
		return nil
	}
	s, err := f.write.tx.Commit(f.context(), pages)
	if err == nil || s.Commit > 0 { // it stands
		f.write = writing{}
		f.pinned = &s
	}
	if err != nil {
		return f.refuse("commit", err)
	}
	return nil
}

// commits reports whether the pages written are a commit, and not put back, and how many pages the database then has. page is room for
// one.
func (w *writing) commits(page []byte) (pages uint32, ok bool, err error) {
	if w.pageSize == 0 || w.pages == 0 {
		return 0, false, nil
	}
	ok, err = w.tx.ReadPage(1, page)
	if err != nil || !ok {
		return 0, false, err
	}
	counter := binary.BigEndian.Uint32(page[page1.Counter:])
	return binary.BigEndian.Uint32(page[page1.Pages:]), w.on.Commit == 0 || counter != w.on.Counter, nil
}

// CommitPhaseTwo comes when all is committed.
func (f *file) CommitPhaseTwo() error { return nil }

// Sync has nothing to do: a commit is as durable as it was asked to be.
func (f *file) Sync(vfs.SyncFlag) error { return nil }
