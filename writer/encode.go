package writer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/superfly/ltx"
)

// maxInMemory is up to which size of its pages a file is made in memory, in bytes.
const maxInMemory = 8 << 20

// body is an encoded file.
type body struct {
	io.ReaderAt
	size   int64
	digest []byte // SHA-256
	tail   []byte // the last bytes, which hold the checksum
	file   *os.File
}

// tailSize is how much of an object is read back after a put.
const tailSize = ltx.TrailerSize

func (b *body) reader() io.ReadSeeker { return io.NewSectionReader(b, 0, b.size) }

func (b *body) close() error {
	if b.file == nil {
		return nil
	}
	return dropTemp(b.file)
}

// header is the LTX header as Litestream needs it: without WALOffset 32 a daemon that adopts the replica later fails on every sync.
func (b *batch) header() ltx.Header {
	return ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: b.pageSize, Commit: b.seal.Commit,
		MinTXID: b.seal.TXID, MaxTXID: b.seal.TXID, Timestamp: b.seal.Time.UnixMilli(), WALOffset: 32,
	}
}

// encode makes the file, in memory when it is small, and checks what was made.
func (b *batch) encode(tempDir string) (err error) {
	out := &body{}
	var w io.Writer
	var buf bytes.Buffer
	if int64(b.pages.len())*int64(b.pageSize) <= maxInMemory {
		w = &buf
	} else {
		if out.file, err = newTemp(tempDir, "litefs-s3-upload-*"); err != nil {
			return fmt.Errorf("temporary file for an upload: %w", err)
		}
		w = out.file
	}
	if out.size, err = b.encodeTo(w, tempDir); err != nil {
		return errors.Join(err, out.close())
	}
	if out.file != nil {
		out.ReaderAt = out.file
	} else {
		out.ReaderAt = bytes.NewReader(buf.Bytes())
	}
	if err := b.check(out); err != nil {
		return errors.Join(err, out.close())
	}
	b.body = out
	return nil
}

func (b *batch) encodeTo(w io.Writer, tempDir string) (int64, error) {
	out := bufio.NewWriterSize(w, 256<<10)
	enc, err := ltx.NewEncoder(out)
	if err != nil {
		return 0, err
	}
	if tempDir == "" {
		tempDir = os.TempDir()
	}
	enc.SetSpillDir(tempDir)
	if err := b.encodePages(enc); err != nil {
		return 0, errors.Join(fmt.Errorf("encode txid %s: %w", b.seal.TXID, err), enc.Cleanup())
	}
	if err := enc.Close(); err != nil {
		return 0, fmt.Errorf("encode txid %s: %w", b.seal.TXID, err)
	}
	if err := out.Flush(); err != nil {
		return 0, fmt.Errorf("encode txid %s: %w", b.seal.TXID, err)
	}
	return enc.N(), nil
}

func (b *batch) encodePages(enc *ltx.Encoder) error {
	if err := enc.EncodeHeader(b.header()); err != nil {
		return err
	}
	page := make([]byte, b.pageSize)
	for e := range b.pages.all() {
		if err := e.read(page); err != nil {
			return err
		}
		if err := enc.EncodePage(ltx.PageHeader{Pgno: e.pgno}, page); err != nil {
			return err
		}
	}
	return nil
}

// check reads the file as somebody who restores it would, before anybody can: order, sizes, every page, the checksum. It fills in the
// digest.
func (b *batch) check(out *body) error {
	sum := sha256.New()
	in := io.TeeReader(io.NewSectionReader(out, 0, out.size), sum)
	dec := ltx.NewDecoder(bufio.NewReaderSize(in, 256<<10))
	dec.SetRetainPageIndex(false)
	if err := b.checkPages(dec); err != nil {
		return fmt.Errorf("txid %s: %w: %w", b.seal.TXID, ErrInvalid, err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	out.digest = sum.Sum(nil)
	out.tail = make([]byte, tailSize)
	_, err := out.ReadAt(out.tail, out.size-tailSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (b *batch) checkPages(dec *ltx.Decoder) error {
	if err := dec.DecodeHeader(); err != nil {
		return err
	}
	if dec.Header() != b.header() {
		return fmt.Errorf("header %+v is not %+v", dec.Header(), b.header())
	}
	lock := ltx.LockPgno(b.pageSize)
	next := b.low + 1 // above it no page may be missing
	got, want := make([]byte, b.pageSize), make([]byte, b.pageSize)
	last := uint32(0)
	for {
		var h ltx.PageHeader
		err := dec.DecodePage(&h, got)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if next == lock {
			next++
		}
		switch {
		case h.Pgno <= last || h.Pgno > b.seal.Commit || h.Pgno == lock:
			return fmt.Errorf("page %d after page %d in a database of %d", h.Pgno, last, b.seal.Commit)
		case h.Pgno > next:
			return fmt.Errorf("page %d is missing, although the database has grown over it", next)
		case h.Pgno == next:
			next++
		}
		last = h.Pgno
		e, ok := b.pages.get(h.Pgno)
		if !ok {
			return fmt.Errorf("page %d was not written", h.Pgno)
		}
		if err := e.read(want); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("page %d decodes to something else", h.Pgno)
		}
	}
	if next == lock {
		next++
	}
	if next <= b.seal.Commit {
		return fmt.Errorf("page %d is missing, although the database has grown over it", next)
	}
	if n := b.pages.len(); dec.PageN() != n {
		return fmt.Errorf("%d pages instead of %d", dec.PageN(), n)
	}
	return dec.Close()
}
