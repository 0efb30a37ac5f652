package replicagen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/superfly/ltx"
)

// writer writes the chain from its oldest file to its newest.
type writer struct {
	put    objstore.Putter
	opts   Options
	src    *source
	dir    string // for temporary files
	txid   ltx.TXID
	commit uint32
	merge  [topLevel + 1]delta // what each level has gathered for its next file
	out    Replica
}

// writeBase applies the transactions of the first file and writes the whole database as that file.
func (w *writer) writeBase(ctx context.Context) error {
	txns := w.opts.Spans[topLevel]
	if err := sample.Touch(ctx, w.src.DB, txns-1, 0); err != nil {
		return err
	}
	all, err := w.src.wal.next()
	if err != nil {
		return err
	}
	if err := w.src.checkpoint(ctx); err != nil {
		return err
	}
	w.txid, w.commit = ltx.TXID(txns), all.commit
	hdr := w.header(w.opts.Base, 1, all)
	if w.opts.Base == SnapshotLevel {
		hdr.WALOffset, hdr.WALSize = all.walOffset+all.walSize-w.src.wal.frameSize(), 0
	}
	f, err := os.Open(w.src.path)
	if err != nil {
		return err
	}
	defer f.Close()
	file, err := w.store(ctx, w.opts.Base, hdr, func(enc *ltx.Encoder) error { return encodeDatabase(enc, f, hdr) })
	if err != nil {
		return err
	}
	return w.planned(ctx, file)
}

// writeNext applies as many transactions as a file of the level holds and writes the file, and those it was merged
// from if they are wanted.
func (w *writer) writeNext(ctx context.Context, level int) error {
	for range w.opts.Spans[level] {
		if err := sample.Touch(ctx, w.src.DB, 1, 0); err != nil {
			return err
		}
		txn, err := w.src.wal.next()
		if err != nil {
			return err
		}
		if err := txn.checkGrowth(w.commit, w.src.wal.pageSize); err != nil {
			return err
		}
		w.txid, w.commit = w.txid+1, txn.commit
		for l := range level + 1 {
			w.merge[l].add(txn)
			if w.merge[l].txns < w.opts.Spans[l] {
				continue
			}
			if err := w.writeMerged(ctx, l, l == level); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeMerged writes what the level has gathered, if it is part of the plan or inputs are wanted, and starts afresh.
func (w *writer) writeMerged(ctx context.Context, level int, planned bool) error {
	d := w.merge[level]
	w.merge[level] = delta{}
	if !planned && !w.opts.Inputs {
		return nil
	}
	hdr := w.header(level, w.txid-ltx.TXID(d.txns)+1, d)
	file, err := w.store(ctx, level, hdr, func(enc *ltx.Encoder) error { return encodePages(enc, d.pages, d.commit) })
	if err != nil {
		return err
	}
	if !planned {
		w.out.Inputs = append(w.out.Inputs, file)
		return nil
	}
	return w.planned(ctx, file)
}

// planned adds a file to the plan and writes the image that goes with it.
func (w *writer) planned(ctx context.Context, file File) error {
	w.out.Plan = append(w.out.Plan, file)
	if w.opts.Image == nil {
		return nil
	}
	if name := w.opts.Image(file.Max); name != "" {
		return sample.Image(ctx, w.src.path, name)
	}
	return nil
}

// header is the header of a file that ends at the current TXID.
func (w *writer) header(level int, minTXID ltx.TXID, d delta) ltx.Header {
	hdr := ltx.Header{
		Version:   ltx.Version,
		Flags:     ltx.HeaderFlagNoChecksum,
		PageSize:  w.src.wal.pageSize,
		Commit:    d.commit,
		MinTXID:   minTXID,
		MaxTXID:   w.txid,
		Timestamp: w.opts.time(w.txid).UnixMilli(),
	}
	if level == 0 || level == SnapshotLevel { // merged files have no place in a WAL
		hdr.WALOffset, hdr.WALSize = d.walOffset, d.walSize
		hdr.WALSalt1, hdr.WALSalt2 = d.salt1, d.salt2
	}
	return hdr
}

// store encodes one file, by way of a temporary one, and puts it where Litestream puts it.
func (w *writer) store(
	ctx context.Context, level int, hdr ltx.Header, encode func(*ltx.Encoder) error,
) (_ File, err error) {
	tmp, err := os.Create(filepath.Join(w.dir, "file.ltx"))
	if err != nil {
		return File{}, err
	}
	defer func() { err = errors.Join(err, tmp.Close()) }()
	if err := encodeFile(tmp, hdr, encode); err != nil {
		return File{}, err
	}
	size, err := tmp.Seek(0, io.SeekEnd)
	if err != nil {
		return File{}, err
	}
	file := File{
		Level: level, Min: hdr.MinTXID, Max: hdr.MaxTXID, Size: size, Time: w.opts.time(hdr.MaxTXID),
		Key: path.Join(w.opts.Prefix, fmt.Sprintf("%04x", level), ltx.FormatFilename(hdr.MinTXID, hdr.MaxTXID)),
	}
	_, err = w.put.Put(ctx, file.Key, tmp, objstore.PutOptions{Timestamp: file.Time})
	return file, err
}

// encodeFile writes a whole LTX file whose pages come from encode.
func encodeFile(w io.Writer, hdr ltx.Header, encode func(*ltx.Encoder) error) error {
	buf := bufio.NewWriterSize(w, 1<<20)
	enc, err := ltx.NewEncoder(buf)
	if err != nil {
		return err
	}
	if err := enc.EncodeHeader(hdr); err != nil {
		return err
	}
	if err := encode(enc); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	return buf.Flush()
}

// encodeDatabase encodes every page of a database file.
func encodeDatabase(enc *ltx.Encoder, r io.Reader, hdr ltx.Header) error {
	r = bufio.NewReaderSize(r, 1<<20)
	page := make([]byte, hdr.PageSize)
	for pgno := uint32(1); pgno <= hdr.Commit; pgno++ {
		if _, err := io.ReadFull(r, page); err != nil {
			return fmt.Errorf("read page %d: %w", pgno, err)
		}
		if pgno == ltx.LockPgno(hdr.PageSize) {
			continue
		}
		if err := enc.EncodePage(ltx.PageHeader{Pgno: pgno}, page); err != nil {
			return fmt.Errorf("encode page %d: %w", pgno, err)
		}
	}
	return nil
}

// encodePages encodes the pages that are still within the database.
func encodePages(enc *ltx.Encoder, pages map[uint32][]byte, commit uint32) error {
	for _, pgno := range slices.Sorted(maps.Keys(pages)) {
		if pgno > commit {
			continue
		}
		if err := enc.EncodePage(ltx.PageHeader{Pgno: pgno}, pages[pgno]); err != nil {
			return fmt.Errorf("encode page %d: %w", pgno, err)
		}
	}
	return nil
}
