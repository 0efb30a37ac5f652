package writer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/page1"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// live opens a Writer whose replica polls by itself, and runs both until the test ends.
func live(t *testing.T, store, mem objstore.Store, opts Options, poll time.Duration) *database {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(cancel)
	opts.OpenReplica = func(ctx2 context.Context) (Replica, error) {
		tr, err := index.Open(ctx2, mem, index.Options{PollInterval: poll})
		if err != nil {
			return nil, err
		}
		wg.Go(func() { tr.Run(ctx) })
		return tr, nil
	}
	d := &database{t: t, store: store, mem: mem, opts: opts, pageSize: testPageSize, rng: rand.New(rand.NewPCG(1, 2)), now: image{}}
	d.open()
	wg.Go(func() { d.Run(ctx) })
	must(t, d.Acquire(t.Context()))
	return d
}

// TestW12_OwnUploads: thousands of uploads while polls and listings, early and late, meet the same files: what is read is always what was
// committed, by the same process and by a fresh follower.
func TestW12_OwnUploads(t *testing.T) {
	t.Parallel()
	for _, poll := range []time.Duration{time.Millisecond, 20 * time.Millisecond} {
		mem := new(memstore.Store)
		late := faultstore.ListLate(mem, 30*time.Millisecond)
		opts := testOptions(t)
		opts.SyncInterval, opts.Durability = time.Millisecond, Memory // so that it does not wait for the disk
		d := live(t, late, late, opts, poll)
		d.commit(5, 2)
		for err := d.Sync(t.Context()); errors.Is(err, index.ErrNoReplica) || d.replica.Load() == nil; err = d.Sync(t.Context()) {
			time.Sleep(time.Millisecond) // until the listing shows the new database
		}
		for n := range 1000 {
			must(t, d.commitSome())
			d.check()
			if n%5 == 0 {
				time.Sleep(time.Duration(d.rng.IntN(2)) * time.Millisecond)
				if f := d.replica.Load(); f != nil && n%50 == 0 {
					must(t, f.Refresh(t.Context()))
				}
				d.check()
			}
			if n%100 == 99 {
				d.sync()
				now, size := mapHead(t, mem)
				if size != d.size {
					t.Fatalf("a fresh follower has %d pages, want %d", size, d.size)
				}
				for pgno, p := range now {
					if !bytes.Equal(p, d.now[pgno]) {
						t.Fatalf("a fresh follower has another page %d", pgno)
					}
				}
			}
		}
		d.sync()
		d.check()
		checkBucket(t, mem, d.now, d.size)
		if n := d.Status().Uploads; n < 20 {
			t.Errorf("only %d uploads", n)
		}
	}
}

// TestConcurrent: writers that compete, readers that stay, uploads that fail, all at once. Each page holds the same number, so a
// reader that sees two has seen half a commit; and no increment may be lost.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	for _, durability := range []Durability{Local, Remote, Memory} {
		t.Run(durability.String(), func(t *testing.T) {
			t.Parallel()
			concurrent(t, durability)
		})
	}
}

func concurrent(t *testing.T, durability Durability) {
	mem := new(memstore.Store)
	var bad atomic.Bool
	store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
		if bad.Load() && strings.HasSuffix(c.Key, ".ltx") && c.N%4 == 0 {
			return faultstore.Action{Mode: faultstore.LoseReply, Delay: 100 * time.Microsecond}
		}
		return faultstore.Action{}
	})
	opts := testOptions(t)
	opts.Durability, opts.SyncInterval, opts.segmentSize = durability, 2*time.Millisecond, 64<<10
	d := live(t, store, mem, opts, 3*time.Millisecond)
	const pages = 8
	d.commit(pages, 2, 3, 4, 5, 6, 7, 8)
	for pgno := range d.now {
		clear(d.now[pgno][200:])
	}
	writeAll(t, d.Writer, pages, 0)
	bad.Store(true)

	var committed atomic.Int64
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		writers.Go(func() {
			for range 60 {
				for !increment(t, d.Writer, mem, pages) {
					runtime.Gosched()
				}
				committed.Add(1)
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			var old []*Snapshot
			for {
				select {
				case <-stop:
					return
				default:
				}
				old = append(old, d.Snapshot())
				readAll(t, mem, old[len(old)-1], pages)
				readAll(t, mem, old[rand.IntN(len(old))], pages)
				d.Status()
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	bad.Store(false)
	d.sync()
	if n := readAll(t, mem, d.Snapshot(), pages); int64(n) != committed.Load() {
		t.Errorf("%d increments, the sum is %d", committed.Load(), n)
	}
	file, _ := restore(t, mem)
	if n := binary.BigEndian.Uint64(file[200:]); int64(n) != committed.Load() {
		t.Errorf("%d increments, the bucket has %d", committed.Load(), n)
	}
}

// writeAll commits the number n to all pages.
func writeAll(t *testing.T, w *Writer, pages uint32, n uint64) {
	t.Helper()
	tx, err := w.Begin(context.Background(), w.Snapshot())
	must(t, err)
	must(t, fill(tx, pages, n))
	_, err = tx.Commit(context.Background(), pages)
	must(t, err)
}

func fill(tx *Tx, pages uint32, n uint64) error {
	for pgno := uint32(1); pgno <= pages; pgno++ {
		p := make([]byte, testPageSize)
		if pgno == 1 {
			copy(p, "SQLite format 3\x00")
			binary.BigEndian.PutUint16(p[page1.PageSize:], testPageSize)
		}
		binary.BigEndian.PutUint64(p[200:], n)
		if err := tx.WritePage(pgno, p); err != nil {
			return err
		}
	}
	return nil
}

// increment adds one to the number in all pages. false: somebody else was faster.
func increment(t *testing.T, w *Writer, mem objstore.Store, pages uint32) bool {
	s := w.Snapshot()
	n := readAll(t, mem, s, pages)
	tx, err := w.Begin(context.Background(), s)
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrStale) {
		return false
	}
	if err != nil {
		t.Error(err)
		return true
	}
	defer tx.Rollback()
	if err := fill(tx, pages, n+1); err != nil {
		t.Error(err)
	}
	if rand.IntN(5) == 0 { // changes its mind
		return false
	}
	if _, err := tx.Commit(context.Background(), pages); err != nil && !errors.Is(err, ErrNotUploaded) {
		t.Error(err)
	}
	return true
}

// readAll returns the number that all pages hold.
func readAll(t *testing.T, mem objstore.Store, s *Snapshot, pages uint32) uint64 {
	var first uint64
	for pgno := uint32(1); pgno <= pages; pgno++ {
		p, err := readPage(mem, s, pgno)
		if err != nil {
			t.Error(err)
			return 0
		}
		n := binary.BigEndian.Uint64(p[200:])
		if pgno == 1 {
			first = n
		}
		if n != first {
			t.Errorf("commit %d: page %d says %d, page 1 says %d", s.Seq(), pgno, n, first)
		}
	}
	return first
}

// TestLarge: a transaction larger than what is kept in memory, and a file larger than that, take little memory.
func TestLarge(t *testing.T) {
	mem := new(memstore.Store)
	var peak atomic.Uint64
	d := newDatabase(t, mem, testOptions(t))
	d.pageSize = 4096
	d.commit(2, 2)
	d.sync()
	const pages = 8000 // 32 MB
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	watch := func() {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > before.HeapAlloc {
			peak.Store(max(peak.Load(), now.HeapAlloc-before.HeapAlloc))
		}
	}
	page := make([]byte, d.pageSize)
	content := func(pgno uint32) []byte { // compresses well, for the bucket is in memory too
		clear(page)
		binary.BigEndian.PutUint32(page[64:], pgno)
		if pgno == 1 {
			copy(page, d.now[1][:100])
		}
		return page
	}
	tx, err := d.Begin(context.Background(), d.Snapshot())
	must(t, err)
	for pgno := uint32(pages); pgno >= 1; pgno-- {
		must(t, tx.WritePage(pgno, page)) // written twice
		must(t, tx.WritePage(pgno, content(pgno)))
	}
	watch()
	for pgno := uint32(1); pgno <= pages; pgno += 777 {
		got := make([]byte, d.pageSize)
		if ok, err := tx.ReadPage(pgno, got); !ok || err != nil || !bytes.Equal(got, content(pgno)) {
			t.Fatalf("page %d in the transaction: %v %v", pgno, ok, err)
		}
	}
	s, err := tx.Commit(t.Context(), pages)
	must(t, err)
	watch()
	d.sync()
	watch()
	for _, s := range []*Snapshot{s, d.Snapshot()} {
		for pgno := uint32(1); pgno <= pages; pgno += 77 {
			got, err := readPage(mem, s, pgno)
			must(t, err)
			if !bytes.Equal(got, content(pgno)) {
				t.Fatalf("page %d", pgno)
			}
		}
	}
	if mb := peak.Load() >> 20; mb > 26 {
		t.Errorf("a transaction of %d MB took %d MB of memory", pages*d.pageSize>>20, mb)
	} else {
		t.Logf("a transaction of %d MB took %d MB of memory", pages*d.pageSize>>20, mb)
	}
}

// TestW6_GrowthHoles: pages that a transaction grows over and never writes are zeros in the log, in the file, and when restored. Those
// that were cut off and come again are zeros too, and not what they were.
func TestW6_GrowthHoles(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	d := newDatabase(t, mem, testOptions(t))
	d.commit(40, 7, 40)
	d.commit(50)
	d.sync()
	d.commit(20, 3)
	d.commit(45, 44)
	d.check()
	d.sync()
	d.check()
	checkBucket(t, mem, d.now, d.size)
	for pgno := uint32(21); pgno <= 45; pgno++ {
		if pgno != 44 && !bytes.Equal(d.now[pgno], make([]byte, testPageSize)) {
			t.Fatalf("the oracle itself: page %d", pgno)
		}
	}
	// Cut off and grown again within one transaction.
	d.commit(60, 55, 60)
	tx, next, err := d.write(70, 65)
	must(t, err)
	tx.Truncate(50)
	if ok, _ := tx.ReadPage(65, make([]byte, testPageSize)); ok {
		t.Fatal("page 65 was cut off")
	}
	for pgno := uint32(51); pgno <= 70; pgno++ {
		next[pgno] = make([]byte, testPageSize)
	}
	_, err = tx.Commit(t.Context(), 70)
	must(t, err)
	d.now, d.size = next, 70
	d.check()
	d.sync()
	d.check()
	checkBucket(t, mem, d.now, d.size)
}

// TestLockPage: the database grows over the page that no file may hold, at 1 GiB.
func TestLockPage(t *testing.T) {
	t.Parallel()
	const pageSize = 65536
	lock := ltx.LockPgno(pageSize)
	mem := new(memstore.Store)
	f := index.File{Min: 1, Max: 1}
	_, err := mem.Put(t.Context(), f.Key(), bytes.NewReader(zeroDatabase(t, pageSize, lock-2)), objstore.PutOptions{})
	must(t, err)
	page := make([]byte, pageSize)

	d := newDatabase(t, mem, testOptions(t))
	d.pageSize = pageSize
	for _, size := range []uint32{lock - 1, lock, lock + 1, lock - 3, lock + 4} {
		tx, err := d.Begin(context.Background(), d.Snapshot())
		must(t, err)
		must(t, tx.WritePage(1, d.page(1)))
		must(t, tx.WritePage(lock, page))
		s, err := tx.Commit(t.Context(), size)
		must(t, err)
		if s.Has(lock) || s.Commit() != size {
			t.Fatal("the lock page was committed")
		}
		d.sync()
		v := d.Snapshot().Base()
		for pgno := lock - 3; pgno <= size; pgno++ {
			if _, ok := v.Lookup(pgno); ok != (pgno != lock) {
				t.Fatalf("size %d: page %d there: %v", size, pgno, ok)
			}
		}
	}
}

// zeroDatabase is TXID 1 of a database of zeros, by hand: to encode a GiB takes too long. It lacks the checksum.
func zeroDatabase(t *testing.T, pageSize, commit uint32) []byte {
	t.Helper()
	h := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: 1, MinTXID: 1, MaxTXID: 1, Timestamp: 1, WALOffset: 32,
	}
	var one bytes.Buffer
	enc, err := ltx.NewEncoder(&one)
	must(t, err)
	must(t, enc.EncodeHeader(h))
	must(t, enc.EncodePage(ltx.PageHeader{Pgno: 1}, make([]byte, pageSize)))
	size := enc.N() - ltx.HeaderSize
	must(t, enc.Close())
	frame := bytes.Clone(one.Bytes()[ltx.HeaderSize:][:size])
	h.Commit = commit
	file, err := h.MarshalBinary()
	must(t, err)
	var table []byte
	for pgno := uint32(1); pgno <= commit; pgno++ {
		table = binary.AppendUvarint(table, uint64(pgno))
		table = binary.AppendUvarint(table, uint64(len(file)))
		table = binary.AppendUvarint(table, uint64(len(frame)))
		binary.BigEndian.PutUint32(frame, pgno)
		file = append(file, frame...)
	}
	table = append(table, 0)
	file = append(append(file, make([]byte, ltx.PageHeaderSize)...), table...)
	file = binary.BigEndian.AppendUint64(file, uint64(len(table)))
	return append(file, make([]byte, ltx.TrailerSize)...)
}

// TestPage1 is what SQLite was shown otherwise than it is: bytes 18 and 19 are again what they were in the bucket, with the checksum
// that the driver's checksum VFS keeps when it does.
func TestPage1(t *testing.T) {
	t.Parallel()
	for _, reserved := range []byte{0, page1.ChecksumSize} {
		mem := new(memstore.Store)
		first := newDatabase(t, mem, testOptions(t))
		wal := first.page(1)
		seal := func(p []byte) []byte {
			p[page1.Reserved] = reserved
			if reserved == page1.ChecksumSize {
				page1.Seal(p)
			}
			return p
		}
		wal[page1.WriteVersion], wal[page1.ReadVersion] = 2, 2
		commitPage1 := func(d *database, p []byte) {
			t.Helper()
			tx, err := d.Begin(context.Background(), d.Snapshot())
			must(t, err)
			must(t, tx.WritePage(1, seal(p)))
			_, err = tx.Commit(t.Context(), 1)
			must(t, err)
		}
		commitPage1(first, wal)
		must(t, first.Close(t.Context()))
		d := newDatabase(t, mem, testOptions(t))
		shown := d.page(1)
		for range 2 { // the second time it comes from the log
			commitPage1(d, bytes.Clone(shown))
			got, err := readPage(mem, d.Snapshot(), 1)
			must(t, err)
			want := bytes.Clone(shown)
			want[page1.WriteVersion], want[page1.ReadVersion] = 2, 2
			if !bytes.Equal(got, seal(want)) {
				t.Fatalf("reserved %d: page 1 is %x", reserved, got[:32])
			}
		}
		d.sync()
		got, err := readPage(mem, d.Snapshot(), 1)
		must(t, err)
		if got[page1.WriteVersion] != 2 || reserved == page1.ChecksumSize && !page1.Intact(got) {
			t.Fatalf("reserved %d: page 1 in the bucket is %x", reserved, got[:32])
		}
	}
}

// TestRemote: a commit has returned when the bucket has it, and those that wait share a put.
func TestRemote(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	broken := new(breaker)
	opts := testOptions(t)
	opts.Durability = Remote
	d := newDatabase(t, broken.wrap(mem), opts)
	d.mem = mem
	d.commit(3, 2)
	if d.DurableTXID() != 1 || d.Pending().Commits != 0 {
		t.Fatalf("after a commit: txid %s, %+v", d.DurableTXID(), d.Pending())
	}
	checkBucket(t, mem, d.now, d.size)
	broken.down.Store(true)
	err := d.try(3, 2)
	wantErr(t, err, ErrNotUploaded)
	wantErr(t, err, ErrStoreDown)
	d.check() // it stands
	broken.down.Store(false)
	d.commit(3, 3)
	d.check()
	if checkBucket(t, mem, d.now, d.size) != 3 {
		t.Error("the two commits should be two files: the first was tried alone")
	}
}

// TestMemory: without a path the log is temporary, and Close says what is lost.
func TestMemory(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	broken := new(breaker)
	opts := testOptions(t)
	opts.Durability, opts.LogPath = Memory, ""
	d := newDatabase(t, broken.wrap(mem), opts)
	d.mem = mem
	d.commit(3, 2)
	d.sync()
	d.commit(3, 2)
	broken.down.Store(true)
	var unsynced *UnsyncedError
	if err := d.Close(t.Context()); !errors.As(err, &unsynced) || unsynced.LogPath != "" || unsynced.Commits != 1 {
		t.Fatalf("Close: %v", err)
	}
	if _, err := Open(t.Context(), mem, nil, Options{OpenReplica: opts.OpenReplica}); err == nil {
		t.Error("neither a path nor a replica, and no error")
	}
}
