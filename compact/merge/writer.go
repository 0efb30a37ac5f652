package merge

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
)

// writer writes an LTX file from frames that are encoded already, which the encoder of superfly/ltx cannot take. It keeps
// to the rules of that one: pages ascend, the lock page is none, none lies above the commit size, and a file that begins with
// transaction 1 holds every page; here that includes the last ones.
type writer struct {
	out    *bufio.Writer
	header ltx.Header
	sum    checksum
	off    int64
	prev   uint32
	pages  int64
	index  *records
}

// newWriter writes the header to out. The index is kept aside in dir once it is large.
func newWriter(out io.Writer, h ltx.Header, dir string) (*writer, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("header of the new file: %w", err)
	}
	raw, err := h.MarshalBinary()
	if err != nil {
		return nil, err
	}
	w := &writer{out: bufio.NewWriterSize(out, 1<<20), header: h, index: &records{dir: dir}}
	return w, w.write(raw)
}

func (w *writer) close() error { return w.index.close() }

// write writes bytes that count as they are for the checksum.
func (w *writer) write(b []byte) error {
	w.sum.add(b)
	w.off += int64(len(b))
	_, err := w.out.Write(b)
	return err
}

// page writes one frame, whose decoded page is plain.
func (w *writer) page(pgno uint32, frame, plain []byte) error {
	if err := w.checkOrder(pgno); err != nil {
		return err
	}
	if err := w.sum.page(pgno, frame, plain); err != nil {
		return err
	}
	if _, err := w.out.Write(frame); err != nil {
		return err
	}
	entry := index.Entry{Pgno: pgno, Off: w.off, Size: int64(len(frame))}
	w.off += entry.Size
	w.pages++
	w.prev = pgno
	return w.index.add(entry)
}

func (w *writer) checkOrder(pgno uint32) error {
	lock := ltx.LockPgno(w.header.PageSize)
	next := w.prev + 1
	if next == lock {
		next++
	}
	switch {
	case pgno == 0 || pgno == lock || pgno > w.header.Commit || pgno <= w.prev:
		return fmt.Errorf("page %d cannot follow page %d in a file of %d pages: %w", pgno, w.prev, w.header.Commit, index.ErrCorrupt)
	case w.header.MinTXID == 1 && pgno != next:
		return fmt.Errorf("page %d is in no input, and the new file must hold all %d pages: %w", next, w.header.Commit, index.ErrCorrupt)
	}
	return nil
}

// end writes what follows the frames and returns the file's checksum.
func (w *writer) end() (ltx.Checksum, error) {
	last := w.header.Commit
	if last == ltx.LockPgno(w.header.PageSize) {
		last--
	}
	if w.header.MinTXID == 1 && w.prev != last {
		return 0, fmt.Errorf("page %d is in no input, and the new file must hold all %d pages: %w", w.prev+1, w.header.Commit, index.ErrCorrupt)
	}
	if err := w.write(make([]byte, ltx.PageHeaderSize)); err != nil {
		return 0, err
	}
	start := w.off
	if err := w.index.each(w.write); err != nil {
		return 0, err
	}
	if err := w.write([]byte{0}); err != nil {
		return 0, err
	}
	if err := w.write(binary.BigEndian.AppendUint64(nil, uint64(w.off-start))); err != nil {
		return 0, err
	}
	if err := w.write(make([]byte, ltx.ChecksumSize)); err != nil { // no post-apply checksum
		return 0, err
	}
	sum := w.sum.value()
	w.off += ltx.ChecksumSize
	if _, err := w.out.Write(binary.BigEndian.AppendUint64(nil, uint64(sum))); err != nil {
		return 0, err
	}
	return sum, w.out.Flush()
}

// maxRecords is how many bytes of index records are kept in memory before they go to a temporary file.
const maxRecords = 4 << 20

// records are the page index of a file that is being written, as it will be stored.
type records struct {
	dir  string
	buf  []byte
	file *os.File
}

func (r *records) add(e index.Entry) error {
	r.buf = binary.AppendUvarint(r.buf, uint64(e.Pgno))
	r.buf = binary.AppendUvarint(r.buf, uint64(e.Off))
	r.buf = binary.AppendUvarint(r.buf, uint64(e.Size))
	if len(r.buf) < maxRecords {
		return nil
	}
	return r.spill()
}

func (r *records) spill() (err error) {
	if r.file == nil {
		if r.file, err = newTemp(r.dir, "index"); err != nil {
			return err
		}
	}
	_, err = r.file.Write(r.buf)
	r.buf = r.buf[:0]
	return err
}

// each hands on all records, piece by piece.
func (r *records) each(fn func([]byte) error) error {
	if r.file != nil {
		if _, err := r.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		buf := make([]byte, 256<<10)
		for {
			n, err := r.file.Read(buf)
			if err == io.EOF {
				break
			}
			if err == nil {
				err = fn(buf[:n])
			}
			if err != nil {
				return err
			}
		}
	}
	return fn(r.buf)
}

func (r *records) close() error { return removeTemp(r.file) }
