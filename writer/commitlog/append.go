package commitlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/superfly/ltx"
)

// Source gives the pages of a transaction that is to be appended: numbers ascending, without the lock page.
type Source interface {
	// Len is the number of pages.
	Len() int
	// Page is the number and the content of the i-th one. The bytes are good until the next call.
	Page(i int) (pgno uint32, data []byte, err error)
}

// Append writes a transaction: it is in the log, as the Policy says, when it returns, and not at all when that is with an error. Only
// ErrFailed means that nobody knows; then the log takes nothing more.
func (l *Log) Append(commit, pageSize uint32, pages Source) (Recorded, error) {
	if err := l.take(); err != nil {
		return Recorded{}, err
	}
	defer l.give()
	if l.pageSize != 0 && l.pageSize != pageSize {
		return Recorded{}, fmt.Errorf("commit log %s: pages of %d bytes among those of %d", l.dir, pageSize, l.pageSize)
	}
	if l.current().end >= l.opts.SegmentSize {
		if err := l.rotate(); err != nil {
			return Recorded{}, fmt.Errorf("commit log %s: begin a segment: %w", l.dir, err)
		}
	}
	rec, chain, err := l.write(commit, pageSize, pages)
	if err == nil && l.opts.Policy == EveryCommit {
		err = l.syncNow()
	}
	if err != nil {
		return Recorded{}, l.undo(fmt.Errorf("commit log %s: %w", l.current().path, err))
	}
	s := l.current()
	s.end += rec.Bytes()
	s.room = max(s.room, s.end)
	s.last, s.chain, l.seq, l.pageSize = rec.Seq, chain, rec.Seq, pageSize
	return rec, nil
}

// undo removes a record that was not written to its end. A log that cannot do that has failed: what is there might be
// taken for a commit by the next one who opens it.
func (l *Log) undo(cause error) error {
	s := l.current()
	err := l.opts.fault("truncate")
	if err == nil {
		err = s.file.Truncate(s.end)
	}
	if err == nil && l.opts.Policy != Never && l.failed == nil {
		err = syncFile(s.file)
	}
	s.room = s.end
	if err != nil && l.failed == nil {
		l.failed = fmt.Errorf("%w; and the rest could not be removed: %w: %w", cause, err, ErrFailed)
		return l.failed
	}
	return cause
}

// write puts the record of a transaction behind the end.
func (l *Log) write(commit, pageSize uint32, pages Source) (Recorded, uint32, error) {
	s := l.current()
	t := txHead{commit, pageSize, uint32(pages.Len())}
	if !t.valid(t.bodySize()) {
		return Recorded{}, 0, fmt.Errorf("a database of %d pages of %d bytes cannot be", commit, pageSize)
	}
	h := head{kind: kindTx, seq: l.seq + 1, body: t.bodySize(), log: l.id, chain: s.chain}
	rec := Recorded{
		Tx:      &Tx{Seq: h.seq, Commit: commit, PageSize: pageSize, Pages: pages.Len(), seg: s, off: s.end + headerSize + txHeadSize},
		Entries: make([]Entry, 0, pages.Len()),
	}
	if l.opts.Policy != Never { // it makes flushes cheap, and there are none
		if err := s.grow(rec.Bytes()); err != nil {
			return Recorded{}, 0, err
		}
	}
	w := l.bufferFor(rec.Bytes(), &faultyWriter{io.NewOffsetWriter(s.file, s.end), l.opts})
	top := t.append(h.append(nil))
	if _, err := w.Write(top); err != nil {
		return Recorded{}, 0, err
	}
	if err := rec.writePages(w, pages); err != nil {
		return Recorded{}, 0, err
	}
	chain := sum(top)
	for _, e := range rec.Entries {
		b := e.append(nil)
		chain = update(chain, b)
		if _, err := w.Write(b); err != nil {
			return Recorded{}, 0, err
		}
	}
	if _, err := w.Write(binary.BigEndian.AppendUint32(nil, chain)); err != nil {
		return Recorded{}, 0, err
	}
	return rec, chain, w.Flush()
}

// writeBuffer is how much of a record is written at once, in bytes.
const writeBuffer = 128 << 10

// bufferFor collects what goes to to.
func (l *Log) bufferFor(n int64, to io.Writer) *bufio.Writer {
	if l.buffer == nil || l.buffer.Size() < int(min(n, writeBuffer)) {
		l.buffer = bufio.NewWriterSize(to, int(min(2*n, writeBuffer)))
	}
	l.buffer.Reset(to)
	return l.buffer
}

// writePages copies the pages and notes their entries.
func (r *Recorded) writePages(w io.Writer, pages Source) error {
	last := uint32(0)
	for i := range pages.Len() {
		pgno, data, err := pages.Page(i)
		switch {
		case err != nil:
			return err
		case pgno <= last || pgno > r.Commit || pgno == ltx.LockPgno(r.PageSize) || uint32(len(data)) != r.PageSize:
			return fmt.Errorf("page %d of %d bytes after page %d cannot be in a database of %d pages of %d bytes",
				pgno, len(data), last, r.Commit, r.PageSize)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		r.Entries = append(r.Entries, Entry{pgno, pageSum(pgno, data)})
		last = pgno
	}
	return nil
}

// faultyWriter asks Options.Faults before each write.
type faultyWriter struct {
	w    io.Writer
	opts Options
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if err := w.opts.fault("write"); err != nil {
		n, werr := w.w.Write(p[:len(p)/2])
		return n, errors.Join(err, werr)
	}
	return w.w.Write(p)
}

// Seal says that all transactions up to s.Seq will be s.TXID. It must have returned before that file is put for the first time.
func (l *Log) Seal(s Seal) error {
	if err := l.take(); err != nil {
		return err
	}
	defer l.give()
	if err := l.writeMeta(kindSeal, s, l.opts.Policy != Never); err != nil {
		return err
	}
	l.seal = &s
	return nil
}

// Confirm says that all transactions up to seq are in the bucket, which is at base now. What is not needed any more is removed.
func (l *Log) Confirm(base Base, seq uint64) error {
	if err := l.take(); err != nil {
		return err
	}
	defer l.give()
	// EveryCommit promises that a record is on the disk before the next one is written: that is how damage is told from a torn end.
	// Otherwise the seal would tell what is lost with this record, unless the segment with the seal is removed.
	durable := l.opts.Policy == EveryCommit || l.removable(seq) > 0
	if err := l.writeMeta(kindConfirm, confirm{base, seq}, durable); err != nil {
		return err
	}
	l.base, l.trimmed = base, max(l.trimmed, seq)
	if l.seal != nil && l.seal.Seq <= l.trimmed {
		l.seal = nil
	}
	return l.trim()
}

func (l *Log) writeMeta(k kind, body any, durable bool) error {
	s := l.current()
	record, chain, err := metaRecord(head{kind: k, seq: l.seq, log: l.id, chain: s.chain}, body)
	if err == nil {
		err = s.grow(int64(len(record)))
	}
	if err == nil {
		_, err = (&faultyWriter{io.NewOffsetWriter(s.file, s.end), l.opts}).Write(record)
	}
	if err == nil && durable {
		err = l.syncNow()
	}
	if err != nil {
		return l.undo(fmt.Errorf("commit log %s: %w", s.path, err))
	}
	s.end += int64(len(record))
	s.room, s.chain = max(s.room, s.end), chain
	return nil
}

// removable is the number of segments that nobody needs when everything up to seq is confirmed.
func (l *Log) removable(seq uint64) int {
	n := 0
	for n < len(l.segs)-1 && l.segs[n].last <= seq {
		n++
	}
	return n
}

// trim removes segments that are confirmed. Their files stay open for who still reads from them. What cannot be removed now is found
// confirmed when the log is opened again.
func (l *Log) trim() error {
	n := l.removable(l.trimmed)
	for _, s := range l.segs[:n] {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) && !removeLater(err) {
			return fmt.Errorf("commit log: %w", err)
		}
	}
	l.segs = append([]*segment(nil), l.segs[n:]...)
	return nil
}
