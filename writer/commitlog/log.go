package commitlog

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/litefs-s3/litefs-s3/internal/filelock"
)

// Policy says when the log is brought to the disk.
type Policy int

const (
	// EveryCommit: before Append returns. Nothing that returned is lost, whatever happens to the machine.
	EveryCommit Policy = iota
	// EverySeal: before Seal returns. What is not in the bucket survives the process, not a loss of power.
	EverySeal
	// Never: the system writes it when it likes.
	Never
)

// Options of a Log.
type Options struct {
	// Replica is whose log it is. A log with transactions of another one is not opened.
	Replica string
	// Policy says when the log is brought to the disk.
	Policy Policy
	// SegmentSize is how long a segment grows, in bytes, before the next one begins. Zero means 16 MiB. A transaction is never cut.
	SegmentSize int64
	// Faults, when not nil, is asked before each write, sync and truncation, for tests.
	Faults func(op string) error
}

const defaultSegmentSize = 16 << 20

// Log is a commit log that this process has. Its methods are safe for concurrent use. Each takes the log's turn, which it
// keeps while it writes: nobody but those who write waits for it.
type Log struct {
	dir  string
	opts Options
	lock *os.File
	turn chan struct{} // holds one token: whoever has it owns what follows

	id       uint64
	segs     []*segment // oldest first; the last one is written to
	seq      uint64     // of the last transaction
	trimmed  uint64     // of the last one that was confirmed
	pageSize uint32
	base     Base
	seal     *Seal
	failed   error
	buffer   *bufio.Writer // of the last record
}

// Base is the state of the bucket that the log goes on from.
func (l *Log) Base() Base {
	l.turn <- struct{}{}
	defer l.give()
	return l.base
}

// Dir is the log's directory.
func (l *Log) Dir() string { return l.dir }

// The log's directory holds the lock, the directory of the segments, and logs that were set aside.
const (
	lockName     = "lock"
	segmentsName = "log"
)

func (l *Log) segmentDir() string { return filepath.Join(l.dir, segmentsName) }

// Found is what was in a log when it was opened.
type Found struct {
	PageSize uint32
	Base     Base // where the bucket was
	Seal     *Seal
	Pending  []Recorded // what was not confirmed, oldest first
	Torn     int64      // bytes cut off at the end: a commit that never returned
}

// Open takes the log in a directory, makes one if there is none, and reads what it holds.
func Open(dir string, opts Options) (_ *Log, _ *Found, err error) {
	if opts.SegmentSize <= 0 {
		opts.SegmentSize = defaultSegmentSize
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, nil, fmt.Errorf("commit log: %w", err)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, nil, fmt.Errorf("commit log %s: it is a file, and must be a directory; choose another buffer_path", dir)
	}
	l := &Log{dir: dir, opts: opts, turn: make(chan struct{}, 1)}
	if err := os.MkdirAll(l.segmentDir(), 0o700); err != nil {
		return nil, nil, fmt.Errorf("commit log %s: %w", dir, err)
	}
	if l.lock, err = takeLock(filepath.Join(dir, lockName)); err != nil {
		return nil, nil, fmt.Errorf("commit log %s: %w", dir, err)
	}
	found, err := l.replay()
	if err != nil {
		l.closeFiles()
		return nil, nil, fmt.Errorf("commit log %s: %w", dir, err)
	}
	return l, found, nil
}

// takeLock makes a log this process's until the file is closed.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := filelock.Lock(f); errors.Is(err, filelock.ErrLocked) {
		return nil, errors.Join(ErrInUse, f.Close())
	} else if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func closeLock(f *os.File) {
	filelock.Unlock(f)
	_ = f.Close() // nothing was written to it
}

// replay reads all segments and puts the end where the last whole record ends.
func (l *Log) replay() (*Found, error) {
	segs, err := segmentPaths(l.segmentDir())
	if err != nil {
		return nil, err
	}
	r := &replayer{segs: segs}
	if err := r.run(); err != nil {
		r.close()
		return nil, err
	}
	if r.foreign(l.opts.Replica) {
		r.close()
		return nil, fmt.Errorf("it holds %d transactions of %s that are not uploaded; open that replica, or choose another buffer_path: %w",
			len(r.pending), r.first.Replica, ErrOther)
	}
	l.segs, l.id, l.seq = r.segs, r.id, r.seq
	l.trimmed, l.pageSize, l.base, l.seal = r.trimmed, r.pageSize, r.base, r.seal
	if len(l.segs) > 0 {
		if err := l.current().cut(r.torn, l.opts); err != nil {
			return nil, err
		}
	}
	if len(l.segs) > 0 && r.first.Replica != l.opts.Replica {
		l.forget(Base{}, 0) // nothing in it is pending
	}
	if len(l.segs) == 0 || r.policy != l.opts.Policy {
		if err := l.rotate(); err != nil {
			return nil, err
		}
	}
	found := &Found{PageSize: l.pageSize, Base: l.base, Seal: l.seal, Pending: r.pending, Torn: r.torn}
	return found, l.trim()
}

// cut removes what lies behind the end.
func (s *segment) cut(torn int64, opts Options) error {
	if torn == 0 {
		return nil
	}
	if err := opts.fault("truncate"); err != nil {
		return err
	}
	if err := s.file.Truncate(s.end); err != nil {
		return err
	}
	s.room = s.end
	return syncFile(s.file)
}

func (o Options) fault(op string) error {
	if o.Faults == nil {
		return nil
	}
	return o.Faults(op)
}

func (l *Log) current() *segment { return l.segs[len(l.segs)-1] }

// forget removes segments that hold nothing of worth. Who still has transactions from them can read on.
func (l *Log) forget(base Base, pageSize uint32) {
	removeAll(l.segs)
	l.segs, l.trimmed = nil, l.seq
	l.base, l.pageSize, l.seal = base, pageSize, nil
}

func removeAll(segs []*segment) {
	for _, s := range segs {
		_ = os.Remove(s.path) // what is left is found confirmed the next time
	}
}

// Begin says that the bucket is at base, with pages of that size, or 0 when nobody knows. Nothing may be pending, unless it was
// set aside.
func (l *Log) Begin(base Base, pageSize uint32) error {
	l.turn <- struct{}{}
	defer l.give()
	aside := errors.Is(l.failed, ErrSetAside)
	switch {
	case l.failed != nil && !aside:
		return l.failed
	case !aside && l.trimmed != l.seq:
		return fmt.Errorf("commit log %s: %d transactions are not uploaded", l.dir, l.seq-l.trimmed)
	case aside:
		l.segs, l.failed = nil, nil
	}
	next := uint64(1)
	if len(l.segs) > 0 {
		next = l.current().number + 1
	}
	old := l.segs
	l.forget(base, pageSize)
	if err := l.rotateTo(next); err != nil {
		l.failed = fmt.Errorf("commit log %s: begin again: %w: %w", l.dir, err, ErrFailed)
		l.segs = old
		return l.failed
	}
	return nil
}

// rotate begins the next segment. When it returns, the file, its first record and its name are on the disk.
func (l *Log) rotate() error {
	if len(l.segs) > 0 {
		return l.rotateTo(l.current().number + 1)
	}
	return l.rotateTo(1)
}

func (l *Log) rotateTo(number uint64) error {
	if l.id == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		l.id = binary.BigEndian.Uint64(b[:]) | 1
	}
	if err := l.opts.fault("create"); err != nil {
		return err
	}
	s := &segment{number: number, path: filepath.Join(l.segmentDir(), segmentName(number)), last: l.seq}
	var err error
	if s.file, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return err
	}
	if err = l.beginSegment(s); err != nil {
		return errors.Join(err, s.file.Close(), os.Remove(s.path))
	}
	if len(l.segs) > 0 {
		if err := l.syncNow(); err != nil { // so that only the last segment can have a torn end
			return errors.Join(err, s.file.Close(), os.Remove(s.path))
		}
	}
	l.segs = append(l.segs, s)
	return nil
}

func (l *Log) beginSegment(s *segment) error {
	b := begin{
		Format: format, Replica: l.opts.Replica, PageSize: l.pageSize, Base: l.base, Trimmed: l.trimmed, Seal: l.seal, Policy: l.opts.Policy,
	}
	record, chain, err := metaRecord(head{kind: kindBegin, seq: l.seq, log: l.id}, b)
	if err != nil {
		return err
	}
	if _, err := s.file.WriteAt(record, 0); err != nil {
		return err
	}
	s.end, s.room, s.chain = int64(len(record)), int64(len(record)), chain
	if l.opts.Policy == Never {
		return nil
	}
	if err := syncFile(s.file); err != nil {
		return err
	}
	return syncDirs(l.segmentDir(), l.dir, filepath.Dir(l.dir))
}

// syncNow brings the current segment to the disk. When that fails nobody knows what is there.
func (l *Log) syncNow() error {
	if l.opts.Policy == Never {
		return nil
	}
	err := l.opts.fault("sync")
	if err == nil {
		err = syncFile(l.current().file)
	}
	if err != nil {
		l.failed = fmt.Errorf("commit log %s: sync: %w: %w", l.current().path, err, ErrFailed)
		return l.failed
	}
	return nil
}

// take waits for the turn. give gives it back.
func (l *Log) take() error {
	l.turn <- struct{}{}
	if l.failed != nil {
		err := l.failed
		l.give()
		return err
	}
	return nil
}

func (l *Log) give() { <-l.turn }

// Close lets go of the log. Segments are removed when nothing in them is left to upload. Transactions from it cannot be read any more.
func (l *Log) Close() error {
	l.turn <- struct{}{}
	defer l.give()
	if errors.Is(l.failed, ErrClosed) {
		return nil
	}
	var err error
	var done []*segment
	switch {
	case errors.Is(l.failed, ErrSetAside):
		l.segs = nil // they have other names now, and their files are closed when nobody reads them
	case l.failed != nil:
	case l.trimmed == l.seq:
		done = l.segs
	default:
		err = l.syncNow()
	}
	l.failed = fmt.Errorf("commit log %s: %w", l.dir, ErrClosed)
	l.closeFiles()
	removeAll(done)
	return err
}

func (l *Log) closeFiles() {
	for _, s := range l.segs {
		if s.file != nil {
			_ = s.file.Close() // which was synced if it had to be
		}
	}
	l.segs = nil
	closeLock(l.lock)
}

// syncDirs makes the names in directories survive a loss of power, where that can be asked for.
func syncDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := syncDir(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}
