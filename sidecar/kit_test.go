package sidecar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPrimary returns a replica of two tables, one of them with an index, over so many files of level 0 above a snapshot.
func newPrimary(t testing.TB, rows, changes int) *primary.Primary {
	t.Helper()
	p := primary.New(t, new(memstore.Store), primary.Options{PageSize: 1024})
	p.Exec("CREATE TABLE a(id INTEGER PRIMARY KEY, x TEXT)")
	p.Exec("CREATE TABLE b(y TEXT)")
	p.Exec("CREATE INDEX a_x ON a(x)")
	p.Exec("WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT ?) INSERT INTO a SELECT i, hex(randomblob(40)) FROM n", rows)
	p.Exec("INSERT INTO b SELECT x FROM a LIMIT ?", rows/4)
	p.Sync()
	p.Snapshot()
	p.Expire(0, p.TXID)
	change(p, changes)
	return p
}

// change makes so many transactions.
func change(p *primary.Primary, n int) {
	for i := range n {
		p.Exec("UPDATE a SET x = hex(randomblob(40)) WHERE id IN (?1, ?1 + 37, ?1 + 91)", 1+i*13)
		p.Exec("INSERT INTO b VALUES (hex(randomblob(30)))")
		p.Sync()
	}
}

// opened is a replica that was opened with a sidecar.
type opened struct {
	*index.Tracker
	side *Sidecar
	err  error // why there is none
}

// open opens a replica as the root package does.
func open(ctx context.Context, store objstore.Store) (*opened, error) {
	o := &opened{side: new(Sidecar)}
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1, Layouts: func(ctx context.Context) []*index.Layout {
		side, err := Read(ctx, store)
		if err != nil {
			o.err = err
			return nil
		}
		o.side = side
		return side.Layouts
	}})
	o.Tracker = tracker
	return o, err
}

func mustOpen(t testing.TB, store objstore.Store) *opened {
	t.Helper()
	o, err := open(t.Context(), store)
	must(t, err)
	return o
}

// pageOf is a page as the database had it at a TXID, nil above its size.
func pageOf(p *primary.Primary, txid index.TXID, pgno, size uint32) []byte {
	image := p.Image(txid)
	if int(pgno*size) > len(image) {
		return nil
	}
	return image[(pgno-1)*size : pgno*size]
}

// readPage reads a page of a View by its own bytes, from what the sidecar has packed when it has it.
func readPage(store objstore.RangeReader, v *index.View, packed map[uint32][]byte, pgno uint32) ([]byte, error) {
	p, ok := v.Lookup(pgno)
	if !ok {
		return nil, fmt.Errorf("page %d is not found: %w", pgno, index.ErrCorrupt)
	}
	frame := packed[pgno]
	if frame == nil {
		frame = make([]byte, p.Frame.Size)
		if err := store.ReadAt(context.Background(), p.Frame.File.Ref(), frame, p.Frame.Off); err != nil {
			return nil, err
		}
	}
	page := make([]byte, v.PageSize)
	return page, index.DecodeFrame(frame, pgno, page)
}

// packed are the frames that a View takes from the sidecar.
func (o *opened) packed(v *index.View) map[uint32][]byte {
	frames := map[uint32][]byte{}
	for _, b := range o.side.Blobs {
		for p, frame := range v.Held(b) {
			frames[p.Pgno] = frame
		}
	}
	return frames
}

// check compares every page that is read with the help of the sidecar with the database.
func (o *opened) check(t testing.TB, p *primary.Primary) {
	t.Helper()
	v := o.View()
	if int(v.Commit*v.PageSize) != len(p.Image(v.TXID)) || v.TXID != p.TXID {
		t.Fatalf("%d pages at txid %s, the database has %d bytes at %s", v.Commit, v.TXID, len(p.Image(p.TXID)), p.TXID)
	}
	packed := o.packed(v)
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		got, err := readPage(p.Store, v, packed, pgno)
		if err != nil || !bytes.Equal(got, pageOf(p, v.TXID, pgno, v.PageSize)) {
			t.Fatalf("page %d is not that of txid %s: %v", pgno, v.TXID, err)
		}
	}
}

// bytesOf returns the stored sidecar.
func bytesOf(t testing.TB, store objstore.Store) []byte {
	t.Helper()
	part, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: Key}, maxSize)
	must(t, err)
	return bytes.Clone(part.Data)
}

func put(t testing.TB, store objstore.Store, data []byte) {
	t.Helper()
	_, err := store.Put(t.Context(), Key, bytes.NewReader(data), objstore.PutOptions{})
	must(t, err)
}

// sealed replaces the sum at the end by the right one.
func sealed(data []byte) []byte {
	body := data[:len(data)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func isDamaged(err error) bool { return errors.Is(err, ErrDamaged) }
