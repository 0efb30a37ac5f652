package integration

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// madeUp is a bucket with one snapshot of a database that nobody wrote. Its pages come into being as they are read: a table with one row on
// each leaf page, so that every page of it can be asked for by its key. All frames are of one size, so that the index says where they lie.
//
// Page 1 is the schema, 2 the root; then come the pages below the root, those below them, and the leaves. The lock page is left out.
type madeUp struct {
	memstore.Store // empty, for what is asked besides

	leaves, inner int64 // pages of each kind
	marks         []int64
	indexSize     int64
	bytes         atomic.Int64 // that were read
}

const (
	madeUpSize   = 4096 // of a page
	madeUpFrame  = ltx.PageHeaderSize + 4 + madeUpSize + 18
	madeUpFanOut = 330 // pages below an interior one
	madeUpMark   = 4096
)

// newMadeUp has as many leaves.
func newMadeUp(leaves int64) *madeUp {
	m := &madeUp{leaves: leaves, inner: (leaves + madeUpFanOut - 1) / madeUpFanOut}
	var buf []byte
	for i := range m.frames() {
		if i%madeUpMark == 0 {
			m.marks = append(m.marks, m.indexSize)
		}
		buf = m.record(buf[:0], i)
		m.indexSize += int64(len(buf))
	}
	m.indexSize++ // the zero at its end
	return m
}

// middle is the pages between the root and the interior pages above the leaves.
func (m *madeUp) middle() int64 { return (m.inner + madeUpFanOut - 1) / madeUpFanOut }

// frames is how many pages there are, the lock page not counted.
func (m *madeUp) frames() int64 { return 2 + m.middle() + m.inner + m.leaves }

func (m *madeUp) commit() uint32 { return m.pgno(m.frames() - 1) }

// pgno is the number of the i-th page from 0.
func (m *madeUp) pgno(i int64) uint32 {
	if pgno := uint32(i + 1); pgno < ltx.LockPgno(madeUpSize) {
		return pgno
	}
	return uint32(i + 2)
}

// page is the content of the i-th page.
func (m *madeUp) page(i int64) []byte {
	middle, inner := int64(2), 2+m.middle()
	leaf := inner + m.inner
	switch {
	case i == 0:
		return m.schema()
	case i == 1:
		return m.interior(middle, m.middle(), 0, madeUpFanOut*madeUpFanOut)
	case i < inner:
		first := (i - middle) * madeUpFanOut
		return m.interior(inner+first, min(madeUpFanOut, m.inner-first), first*madeUpFanOut, madeUpFanOut)
	case i < leaf:
		first := (i - inner) * madeUpFanOut
		return m.interior(leaf+first, min(madeUpFanOut, m.leaves-first), first, 1)
	}
	return leafPage(i - leaf + 1)
}

// schema is page 1: the file's header, and one table.
func (m *madeUp) schema() []byte {
	p := make([]byte, madeUpSize)
	copy(p, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(p[16:], madeUpSize)
	p[18], p[19], p[21], p[22], p[23] = 1, 1, 64, 32, 32
	binary.BigEndian.PutUint32(p[24:], 1)          // change counter
	binary.BigEndian.PutUint32(p[28:], m.commit()) // size in pages
	binary.BigEndian.PutUint32(p[40:], 1)          // schema cookie
	binary.BigEndian.PutUint32(p[44:], 4)          // schema format
	binary.BigEndian.PutUint32(p[56:], 1)          // UTF-8
	binary.BigEndian.PutUint32(p[92:], 1)          // counter for which the next is valid
	binary.BigEndian.PutUint32(p[96:], 3_046_000)  // SQLite's version
	const create = "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)"
	record := []byte{6, 23, 15, 15, 1, byte(13 + 2*len(create))} // 6 bytes say what follows: type, name, tbl_name, rootpage, sql
	record = append(record, "tablett\x02"+create...)
	putLeaf(p, 100, 1, record)
	return p
}

// leafPage holds the row with a key: a blob of random bytes that follow from the key.
func leafPage(key int64) []byte {
	p := make([]byte, madeUpSize)
	x := rowOf(key)
	serial := sqliteVarint(nil, uint64(12+2*len(x)))
	record := append([]byte{byte(2 + len(serial)), 0}, serial...) // the key stands for id
	putLeaf(p, 0, key, append(record, x...))
	return p
}

// rowOf is the content of a row: 3000 bytes that nobody can guess.
func rowOf(key int64) []byte {
	x := make([]byte, 3000)
	r := rand.NewPCG(uint64(key), 7)
	for i := 0; i < len(x); i += 8 {
		binary.LittleEndian.PutUint64(x[i:], r.Uint64())
	}
	return x
}

// putLeaf makes p a leaf page of a table with one row.
func putLeaf(p []byte, header int, key int64, record []byte) {
	cell := sqliteVarint(nil, uint64(len(record)))
	cell = sqliteVarint(cell, uint64(key))
	cell = append(cell, record...)
	at := len(p) - len(cell)
	copy(p[at:], cell)
	p[header] = 13
	binary.BigEndian.PutUint16(p[header+3:], 1)
	binary.BigEndian.PutUint16(p[header+5:], uint16(at))
	binary.BigEndian.PutUint16(p[header+8:], uint16(at))
}

// interior is a page above n others, the first of which is the i-th page. They hold the keys after key, each so many; the last one the rest.
func (m *madeUp) interior(i, n, key, each int64) []byte {
	p := make([]byte, madeUpSize)
	p[0] = 5
	binary.BigEndian.PutUint16(p[3:], uint16(n-1))
	at := len(p)
	for c := range n - 1 {
		cell := binary.BigEndian.AppendUint32(nil, m.pgno(i+c))
		cell = sqliteVarint(cell, uint64(key+(c+1)*each))
		at -= len(cell)
		copy(p[at:], cell)
		binary.BigEndian.PutUint16(p[12+2*c:], uint16(at))
	}
	binary.BigEndian.PutUint16(p[5:], uint16(at))
	binary.BigEndian.PutUint32(p[8:], m.pgno(i+n-1))
	return p
}

// sqliteVarint appends a number below 1<<56 as SQLite does: seven bits a byte, the highest first.
func sqliteVarint(b []byte, n uint64) []byte {
	for shift := 49; shift > 0; shift -= 7 {
		if n>>shift > 0 {
			b = append(b, byte(n>>shift)|0x80)
		}
	}
	return append(b, byte(n)&0x7f)
}

// frame is the i-th frame: an LZ4 block that holds the page as it is.
func (m *madeUp) frame(i int64) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, madeUpFrame), m.pgno(i))
	b = binary.BigEndian.AppendUint16(b, ltx.PageHeaderFlagSize)
	b = binary.BigEndian.AppendUint32(b, madeUpFrame-ltx.PageHeaderSize-4)
	b = append(b, 0xf0) // literals only: 15, and what the next bytes add up to
	rest := madeUpSize - 15
	for ; rest >= 255; rest -= 255 {
		b = append(b, 255)
	}
	b = append(b, byte(rest))
	return append(b, m.page(i)...)
}

func (m *madeUp) record(b []byte, i int64) []byte {
	b = binary.AppendUvarint(b, uint64(m.pgno(i)))
	b = binary.AppendUvarint(b, uint64(ltx.HeaderSize+i*madeUpFrame))
	return binary.AppendUvarint(b, madeUpFrame)
}

// indexStart is where the index begins: behind the frames and an empty page header.
func (m *madeUp) indexStart() int64 {
	return ltx.HeaderSize + m.frames()*madeUpFrame + ltx.PageHeaderSize
}

func (m *madeUp) size() int64 { return m.indexStart() + m.indexSize + 8 + ltx.TrailerSize }

func (m *madeUp) info() objstore.Info {
	f := index.File{Level: index.SnapshotLevel, Min: 1, Max: 1}
	return objstore.Info{Key: f.Key(), Size: m.size(), ETag: "made-up"}
}

func (m *madeUp) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	switch {
	case ref.Key != m.info().Key:
		return m.Store.ReadAt(ctx, ref, p, off)
	case off+int64(len(p)) > m.size():
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: objstore.ErrShortObject}
	}
	m.bytes.Add(int64(len(p)))
	put := func(b []byte, at int64) { // the part of b, which lies at byte at, that was asked for
		if from := max(at, off); from < at+int64(len(b)) && from < off+int64(len(p)) {
			copy(p[from-off:], b[from-at:])
		}
	}
	h := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: madeUpSize, Commit: m.commit(), MinTXID: 1, MaxTXID: 1,
		Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli(),
	}
	head, err := h.MarshalBinary()
	if err != nil {
		return err
	}
	put(head, 0)
	last := min((off+int64(len(p))-ltx.HeaderSize)/madeUpFrame, m.frames()-1)
	for i := max(off-ltx.HeaderSize, 0) / madeUpFrame; i <= last; i++ {
		put(m.frame(i), ltx.HeaderSize+i*madeUpFrame)
	}
	put(make([]byte, ltx.PageHeaderSize), m.indexStart()-ltx.PageHeaderSize)
	m.putIndex(put, off, off+int64(len(p)))
	tail := binary.BigEndian.AppendUint64(make([]byte, 1), uint64(m.indexSize))
	put(append(tail, make([]byte, ltx.TrailerSize)...), m.indexStart()+m.indexSize-1)
	return nil
}

// putIndex puts the records that lie between two bytes of the file.
func (m *madeUp) putIndex(put func([]byte, int64), from, to int64) {
	if to <= m.indexStart() {
		return
	}
	mark := 0
	for mark+1 < len(m.marks) && m.indexStart()+m.marks[mark+1] <= from {
		mark++
	}
	at := m.indexStart() + m.marks[mark]
	var buf []byte
	for i := int64(mark) * madeUpMark; i < m.frames() && at < to; i++ {
		buf = m.record(buf[:0], i)
		put(buf, at)
		at += int64(len(buf))
	}
}

func (m *madeUp) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return m.part(ctx, ref, max(m.size()-n, 0), m.size())
}

func (m *madeUp) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return m.part(ctx, ref, 0, min(n, m.size()))
}

func (m *madeUp) part(ctx context.Context, ref objstore.Ref, from, to int64) (objstore.Part, error) {
	if ref.Key != m.info().Key {
		return m.Store.ReadPrefix(ctx, ref, 1) // there is none
	}
	p := make([]byte, to-from)
	return objstore.Part{Data: p, Off: from, Size: m.size(), ETag: m.info().ETag}, m.ReadAt(ctx, ref, p, from)
}

func (m *madeUp) List(_ context.Context, prefix, startAfter string) (page objstore.Page, err error) {
	if o := m.info(); strings.HasPrefix(o.Key, prefix) && o.Key > startAfter {
		page.Objects = append(page.Objects, o)
	}
	return page, nil
}

// TestLoad_TenMillionPages opens a database of ten million pages, 40 GB with the lock page within, and asks it for rows from everywhere, with
// many connections at once. Not parallel: it weighs the process.
func TestLoad_TenMillionPages(t *testing.T) {
	room := watchLeaks(t)
	store := newMadeUp(scaled[int64](10_000_000, 1_000_000))
	begin := time.Now()
	db, err := litefss3.OpenDB(litefss3.Config{Store: store, ReplicaURL: "mem:ten-million-pages", PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var pages int64
	if err := db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil || pages != int64(store.commit()) {
		t.Fatalf("%d pages, want %d: %v", pages, store.commit(), err)
	}
	opened := time.Since(begin)
	ctx, stop := context.WithTimeout(t.Context(), *loadTime/2)
	defer stop()
	var asked, scanned atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for first := true; first || ctx.Err() == nil && !t.Failed(); first = false {
				store.askRow(t, db, 1+rand.Int64N(store.leaves))
				asked.Add(1)
				scanned.Add(store.askRange(t, db, 1+rand.Int64N(store.leaves), 50))
			}
		})
	}
	wg.Wait()
	lock := int64(ltx.LockPgno(madeUpSize)) - 2 - store.middle() - store.inner // the row on the page before, or the one behind it
	for _, key := range []int64{1, lock - 1, lock, lock + 1, store.leaves} {
		if key > 0 {
			store.askRow(t, db, key)
		}
	}
	s := readStatus(t, db)
	memory := holdingsNow()
	t.Logf("%d pages, opened in %s; %d rows asked for, %d in ranges; page table %.2f bytes a page; heap %d MiB; %d MiB read",
		pages, opened.Round(time.Millisecond), asked.Load(), scanned.Load(), float64(s.Position.Table)/float64(pages), memory.heap>>20, store.bytes.Load()>>20)
	if most := 3*pages + spareHeap; memory.heap > room.heap+most {
		t.Errorf("heap of %d MiB, %d at most were expected", memory.heap>>20, most>>20)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	room.check(t)
}

// askRow reads one row.
func (m *madeUp) askRow(t *testing.T, db *sql.DB, key int64) {
	var x []byte
	if err := db.QueryRow("SELECT x FROM t WHERE id = ?", key).Scan(&x); err != nil || !bytes.Equal(x, rowOf(key)) {
		t.Errorf("row %d: %d bytes, not those that were written: %v", key, len(x), err)
	}
}

// askRange reads the rows from a key on, n at most, and returns how many there were.
func (m *madeUp) askRange(t *testing.T, db *sql.DB, first, n int64) (count int64) {
	rows, err := db.Query("SELECT id, x FROM t WHERE id >= ? ORDER BY id LIMIT ?", first, n)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer rows.Close()
	for ; rows.Next(); count++ {
		var key int64
		var x []byte
		if err := rows.Scan(&key, &x); err != nil || key != first+count || !bytes.Equal(x, rowOf(key)) {
			t.Errorf("row %d is read as row %d: %v", first+count, key, err)
		}
	}
	if want := min(n, m.leaves-first+1); rows.Err() != nil || count != want {
		t.Errorf("%d rows from %d on, want %d: %v", count, first, want, rows.Err())
	}
	return count
}
