package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
)

const (
	// spoolSuffix is what the name of a followed file ends with where the pages of the next moment are kept until all are there.
	spoolSuffix = "-follow-next"
	// lockWait is how long readers are waited for. New ones have to wait as long, so it is short, and tried again.
	lockWait = 2 * time.Second
	// lockEvery is the time between two looks whether they are gone.
	lockEvery = 5 * time.Millisecond
)

// update is the step from one moment to the next.
type update struct {
	f     *follower
	v     *index.View
	from  moment
	spool *os.File // the new content of pages, each where it belongs in the database
	next  moment
	write []uint32 // pages that differ, ascending
	save  []uint32 // of the old file: pages that are overwritten or cut off
}

// advance moves the file to the newest View.
func (f *follower) advance(ctx context.Context) (err error) {
	v := f.head.View()
	if v == f.view || f.view != nil && v.TXID == f.at.TXID && v.History == f.view.History {
		f.view = v
		return nil
	}
	begin := time.Now()
	pgnos, err := f.changed(ctx, v)
	if err != nil {
		return err
	}
	list := slices.Collect(pgnos)
	if len(list) == 0 && v.TXID == f.at.TXID && v.Commit == f.at.Commit { // begun again where it ended
		f.view = v
		f.tell(Update{TXID: v.TXID, Time: v.Time, Took: time.Since(begin)})
		return nil
	}
	u := &update{f: f, v: v, from: f.at, next: moment{v.TXID, f.at.Counter + 1, v.Commit}}
	if u.spool, err = createTemp(f.path + spoolSuffix); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.close()) }()
	stats, err := u.fetch(ctx, list)
	if err != nil {
		return err
	}
	if err := u.commit(ctx); err != nil {
		return err
	}
	f.view = v
	f.opts.Log.LogAttrs(ctx, slog.LevelDebug, "file updated", slog.String("path", f.path), slog.String("txid", v.TXID.String()),
		slog.Int("pages", len(u.write)), slog.Duration("took", time.Since(begin)))
	f.tell(Update{TXID: v.TXID, Time: v.Time, Pages: int64(len(u.write)), Fetched: stats.Bytes, Took: time.Since(begin)})
	return nil
}

func (u *update) close() error {
	err := remove(u.spool.Name())
	cerr := closeOwned(u.spool)
	if err != nil {
		err = remove(u.spool.Name())
	}
	return errors.Join(err, cerr)
}

// fetch puts the new pages into the spool, and finds out which of them are different at all.
func (u *update) fetch(ctx context.Context, list []uint32) (bulk.Stats, error) {
	stats, err := bulk.Copy(ctx, u.f.src, u.v, slices.Values(list), u.spool,
		bulk.Options{Concurrency: u.f.opts.Concurrency, OnProgress: u.f.opts.OnProgress})
	if err != nil {
		return stats, err
	}
	if err := u.page1(len(list) > 0 && list[0] == 1); err != nil {
		return stats, err
	}
	return stats, u.compare(list)
}

// page1 makes page 1 of the next moment: the fetched one, or that of the file.
func (u *update) page1(fetched bool) error {
	page := make([]byte, u.v.PageSize)
	var from io.ReaderAt = u.f.file
	if fetched {
		from = u.spool
	}
	if _, err := from.ReadAt(page, 0); err != nil {
		return fmt.Errorf("page 1: %w", err)
	}
	adapt(page, u.next.Counter, u.v.Commit)
	_, err := u.spool.WriteAt(page, 0)
	return err
}

// compare fills write and save. Page 1 differs always, if only by its counter.
func (u *update) compare(pgnos []uint32) error {
	size := u.v.PageSize
	now, then := make([]byte, size), make([]byte, size)
	u.write = []uint32{1}
	u.save = []uint32{1}
	for _, pgno := range pgnos {
		if pgno == 1 || pgno > u.v.Commit || pgno == u.v.LockPgno() {
			continue
		}
		if pgno > u.f.at.Commit {
			u.write = append(u.write, pgno)
			continue
		}
		if _, err := u.spool.ReadAt(now, bulk.Offset(pgno, size)); err != nil {
			return fmt.Errorf("page %d: %w", pgno, err)
		}
		if _, err := u.f.file.ReadAt(then, bulk.Offset(pgno, size)); err != nil {
			return fmt.Errorf("%s: page %d: %w", u.f.path, pgno, err)
		}
		if string(now) != string(then) {
			u.write, u.save = append(u.write, pgno), append(u.save, pgno)
		}
	}
	for pgno := u.v.Commit + 1; pgno <= u.f.at.Commit; pgno++ {
		if pgno != u.v.LockPgno() {
			u.save = append(u.save, pgno)
		}
	}
	return nil
}

// commit applies the update the way SQLite commits a transaction: the old pages into the journal, the new ones into the file, and the journal
// removed: in that instant it has happened.
func (u *update) commit(ctx context.Context) error {
	f := u.f
	if err := f.recover(ctx); err != nil { // when an earlier attempt could not even be rolled back
		return err
	}
	defer f.unlockAll()
	if err := f.lockReserved(ctx); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.at != u.from {
		return fmt.Errorf("%s is at txid %s and not at %s: an earlier update has happened after all", f.path, f.at.TXID, u.from.TXID)
	}
	st := f.stateFor(u.v, f.at, u.next)
	if err := f.step("state", func() error { return st.write(f.path) }); err != nil {
		return err
	}
	f.st = st
	journal := f.path + journalSuffix
	err := f.step("journal", func() error { return writeJournal(f.file, journal, f.at.Commit, f.st.PageSize, u.save) })
	if err == nil {
		err = f.step("sync directory", func() error { return syncDir(filepath.Dir(f.path)) })
	}
	if err == nil {
		err = f.lockExclusive(ctx)
	}
	if err != nil { // nothing has been overwritten
		return errors.Join(err, remove(journal))
	}
	if err := u.apply(journal); err != nil {
		return errors.Join(err, rollBack(f.file, journal)) // if this fails, whoever opens the file next does it
	}
	f.at = u.next
	return f.step("sync directory", func() error { return syncDir(filepath.Dir(f.path)) })
}

// apply writes the new pages and removes the journal.
func (u *update) apply(journal string) error {
	f, page := u.f, make([]byte, u.v.PageSize)
	for _, pgno := range u.write {
		off := bulk.Offset(pgno, u.v.PageSize)
		if _, err := u.spool.ReadAt(page, off); err != nil {
			return fmt.Errorf("page %d: %w", pgno, err)
		}
		err := f.step("write", func() error {
			_, err := f.file.WriteAt(page, off)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := f.step("truncate", func() error { return f.file.Truncate(sizeOf(u.v)) }); err != nil {
		return err
	}
	if err := f.step("sync", f.file.Sync); err != nil {
		return err
	}
	return f.step("commit", func() error { return os.Remove(journal) })
}

// step does something to files, unless a test wants it to fail.
func (f *follower) step(op string, do func() error) error {
	if err := f.opts.faults.check(op); err != nil {
		return fmt.Errorf("%s: %s: %w", f.path, op, err)
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// lockReserved makes us the one who writes. Readers go on, and take a journal for what it is: the work of a writer who lives.
func (f *follower) lockReserved(ctx context.Context) error { return f.wait(ctx, reservedByte, 1) }

// lockExclusive keeps new readers out, and waits until nobody reads.
func (f *follower) lockExclusive(ctx context.Context) error {
	if err := f.wait(ctx, pendingByte, 1); err != nil {
		return err
	}
	return f.wait(ctx, sharedFirst, sharedSize)
}

// wait takes a lock as soon as it is free.
func (f *follower) wait(ctx context.Context, off, n int64) error {
	for deadline := time.Now().Add(f.opts.lockWait); ; {
		err := lockRange(f.file, lock, off, n)
		if !errors.Is(err, errLocked) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is being read or written by another program for longer than %s; the update waits for it: %w", f.path, f.opts.lockWait, ErrInUse)
		}
		if err := sleep(ctx, lockEvery); err != nil {
			return err
		}
	}
}

// unlockAll gives all of SQLite's locks back.
func (f *follower) unlockAll() {
	_ = lockRange(f.file, unlock, sharedFirst, sharedSize) // an unlock that fails is one of a file that is closed
	_ = lockRange(f.file, unlock, pendingByte, 1)
	_ = lockRange(f.file, unlock, reservedByte, 1)
}
