package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
)

// follower is a file that is kept up to date. It is used by one goroutine.
type follower struct {
	src  bulk.Source
	head Head
	opts FollowOptions
	path string

	file *os.File    // locked at ownerByte
	st   state       // as on disk
	at   moment      // that the file holds
	view *index.View // of that moment; nil after a restart, until the file has moved
}

// openFollower opens the file at path, or restores it first.
func openFollower(ctx context.Context, src bulk.Source, head Head, path string, opts FollowOptions) (*follower, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f := &follower{src: src, head: head, opts: opts, path: path}
	if err := canLock(path); err != nil {
		return nil, err
	}
	st, serr := readState(path)
	_, ferr := os.Lstat(path)
	switch {
	case ferr == nil && serr == nil:
		err = f.resume(ctx, st)
	case isNotExist(ferr), opts.Existing == Replace:
		err = f.begin(ctx)
	case ferr != nil:
		err = ferr
	case isNotExist(serr):
		err = fmt.Errorf("%s is already there, and was not made by following; give another path, or say that it may be replaced: %w", path, ErrExists)
	default:
		err = serr
	}
	if err == nil {
		return f, nil
	}
	f.close()
	if errors.Is(err, ErrNotOurs) && opts.Existing == Replace {
		f = &follower{src: src, head: head, opts: opts, path: path}
		if err = f.begin(ctx); err != nil {
			f.close()
			return nil, err
		}
		return f, nil
	}
	return nil, err
}

// canLock returns ErrNoLocks when following cannot work here: better before a long restore than after it.
func canLock(path string) error {
	probe, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".lock-*")
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	if err := lockRange(probe, lock, pendingByte, 1); err != nil {
		return fmt.Errorf("follow into %s: %w", filepath.Dir(path), err)
	}
	return nil
}

// begin restores the head to the path.
func (f *follower) begin(ctx context.Context) error {
	opts := Options{
		Existing: f.opts.Existing, Concurrency: f.opts.Concurrency, OnProgress: f.opts.OnProgress, Log: f.opts.Log, faults: f.opts.faults,
		Newer: func(ctx context.Context) (*index.View, error) {
			err := f.head.Poll(ctx)
			return f.head.View(), err
		},
	}
	var of *index.View
	report, err := restoreTo(ctx, f.src, f.head.View(), f.path, opts, func(file *os.File, v *index.View) error {
		of = v
		return f.adopt(file, v)
	})
	if err != nil {
		return err
	}
	if err := f.open(); err != nil {
		return err
	}
	f.at, f.view = f.st.Moments[0], of
	f.tell(Update{TXID: of.TXID, Time: of.Time, Pages: int64(of.Commit), Fetched: report.Fetched, Took: report.Took})
	return nil
}

// adopt makes a restored file one that is followed, before it gets its name.
func (f *follower) adopt(file *os.File, v *index.View) error {
	page := make([]byte, v.PageSize)
	if _, err := file.ReadAt(page, 0); err != nil {
		return err
	}
	counter, err := readCounter(file)
	if err != nil {
		return err
	}
	adapt(page, counter, v.Commit)
	if _, err := file.WriteAt(page, 0); err != nil {
		return err
	}
	f.st = f.stateFor(v, moment{v.TXID, counter, v.Commit})
	return f.st.write(f.path)
}

// stateFor is the state of a file that is at one of the moments, the last of which is that of v.
func (f *follower) stateFor(v *index.View, moments ...moment) state {
	tags := tagsOf(v)
	for _, mark := range f.head.Landmarks() {
		tags = append(tags, fileTag{mark.Key(), mark.Size, mark.ETag})
	}
	return state{Format: stateFormat, PageSize: v.PageSize, Moments: moments, Files: tags}
}

// open opens and locks the file.
func (f *follower) open() (err error) {
	if f.file, err = os.OpenFile(f.path, os.O_RDWR, 0); err != nil {
		return err
	}
	return lockOwner(f.file)
}

// resume goes on with a file that an earlier Follow has made.
func (f *follower) resume(ctx context.Context, st state) error {
	if err := f.open(); err != nil {
		return err
	}
	if err := f.recover(ctx); err != nil {
		return err
	}
	if again, err := readState(f.path); err == nil {
		st = again // by the one who has just ended and given the lock back
	}
	f.st = st
	return f.check()
}

// recover rolls back what was begun and not ended, by a process that was killed or with a disk that failed.
func (f *follower) recover(ctx context.Context) error {
	if _, err := os.Lstat(f.path + journalSuffix); isNotExist(err) {
		return nil
	}
	defer f.unlockAll()
	if err := f.lockReserved(ctx); err != nil {
		return err
	}
	if err := f.lockExclusive(ctx); err != nil {
		return err
	}
	return rollBack(f.file, f.path+journalSuffix)
}

// check finds the moment that the file holds, or returns ErrNotOurs.
func (f *follower) check() error {
	if info, err := os.Lstat(f.path + "-wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("%s has a write-ahead log, so somebody has written to it; restore to another path, or replace it: %w", f.path, ErrNotOurs)
	}
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	counter, err := readCounter(f.file)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", f.path, err, ErrNotOurs)
	}
	at, ok := f.st.of(counter, info.Size())
	if !ok {
		return fmt.Errorf("%s, of %d bytes and with change counter %d, is not at a moment that following left it at; "+
			"restore to another path, or replace it: %w", f.path, info.Size(), counter, ErrNotOurs)
	}
	f.at = at
	return nil
}

// changed returns the pages in which the file and v may differ.
func (f *follower) changed(ctx context.Context, v *index.View) (iter.Seq[uint32], error) {
	switch {
	case v.PageSize != f.st.PageSize:
		return nil, fmt.Errorf("the replica has pages of %d bytes now, %s has %d; replace the file: %w", v.PageSize, f.path, f.st.PageSize, ErrNotOurs)
	case f.view != nil && f.view.History == v.History && f.at.TXID <= v.TXID:
		return newer(v, f.at), nil
	case f.view != nil:
		return bulk.All(v), nil
	}
	var files []index.File
	for _, tag := range f.st.Files {
		if level, lo, hi, ok := index.ParseKey(tag.Key); ok {
			files = append(files, index.File{Level: level, Min: lo, Max: hi, Size: tag.Size, ETag: tag.ETag})
		}
	}
	pgnos, ok, err := f.head.Since(ctx, v, f.at.TXID, files)
	if err != nil {
		return nil, err
	}
	if !ok {
		return bulk.All(v), nil
	}
	return pgnos, nil
}

// newer yields the pages of v that have changed after a moment of the same history.
func newer(v *index.View, at moment) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for pgno := range bulk.All(v) {
			version, ok := v.Version(pgno)
			if (!ok || version > at.TXID || pgno > at.Commit) && !yield(pgno) {
				return
			}
		}
	}
}

func (f *follower) tell(u Update) {
	if f.opts.OnUpdate != nil {
		f.opts.OnUpdate(u)
	}
}

func (f *follower) close() {
	if f.file != nil {
		_ = closeOwned(f.file) // nothing was written that is not on disk
	}
}
