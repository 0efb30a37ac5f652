package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// litestreamWriter goes on with a replica as Litestream does: each transaction of a local database becomes one L0 file, made of
// what SQLite put into the WAL.
type litestreamWriter struct {
	store objstore.Putter
	db    *sql.DB
	wal   string // path
	off   int64  // of the first frame that is in no file yet
	txid  ltx.TXID
}

const (
	walHeader   = 32 // bytes
	frameHeader = 24
)

// openWriter opens the database at path, which is what the replica in store holds at txid.
func openWriter(store objstore.Putter, path string, txid ltx.TXID) (*litestreamWriter, error) {
	db, err := sample.OpenSource(path)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &litestreamWriter{store: store, db: db, wal: path + "-wal", off: walHeader, txid: txid}, nil
}

func (w *litestreamWriter) close() error { return w.db.Close() }

// write commits a small transaction and stores its file. It returns when the file is in the bucket.
func (w *litestreamWriter) write(ctx context.Context) error {
	if err := sample.Touch(ctx, w.db, 1, 0); err != nil {
		return err
	}
	log, err := os.ReadFile(w.wal)
	if err != nil {
		return err
	}
	hdr, pages, err := w.transaction(log)
	if err != nil {
		return err
	}
	file, err := primary.Encode(hdr, pages)
	if err != nil {
		return err
	}
	f := index.File{Level: 0, Min: hdr.MinTXID, Max: hdr.MaxTXID}
	if _, err := w.store.Put(ctx, f.Key(), bytes.NewReader(file), objstore.PutOptions{Timestamp: time.Now()}); err != nil {
		return err
	}
	w.txid, w.off = hdr.MaxTXID, hdr.WALOffset+hdr.WALSize
	return nil
}

// transaction is what has been added to the WAL. Nobody else writes, so all of it is whole.
func (w *litestreamWriter) transaction(log []byte) (ltx.Header, map[uint32][]byte, error) {
	if int64(len(log)) <= w.off {
		return ltx.Header{}, nil, errors.New("the transaction is not in the WAL")
	}
	size := int(binary.BigEndian.Uint32(log[8:]))
	hdr := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: uint32(size),
		MinTXID: w.txid + 1, MaxTXID: w.txid + 1, Timestamp: time.Now().UnixMilli(),
		WALOffset: w.off, WALSize: int64(len(log)) - w.off,
		WALSalt1: binary.BigEndian.Uint32(log[16:]), WALSalt2: binary.BigEndian.Uint32(log[20:]),
	}
	pages := map[uint32][]byte{}
	for frames := log[w.off:]; len(frames) > 0; frames = frames[frameHeader+size:] {
		if len(frames) < frameHeader+size {
			return hdr, nil, fmt.Errorf("%d bytes are left at the end of the WAL", len(frames))
		}
		pages[binary.BigEndian.Uint32(frames)] = frames[frameHeader : frameHeader+size]
		hdr.Commit = binary.BigEndian.Uint32(frames[4:])
	}
	return hdr, pages, nil
}
