package litefss3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/sidecar"
)

// asked counts requests by what they are for.
type asked struct {
	objstore.Store
	mu                   sync.Mutex
	lists, sides, ranges int            // ranges are those that pages and page tables take
	news                 int            // asking for the next file
	keys                 map[string]int // of ranges; all guarded by mu
}

func (s *asked) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	s.count(func() { s.lists++ })
	return s.Store.List(ctx, prefix, startAfter)
}

func (s *asked) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	s.count(func() {
		if ref.Key == sidecar.Key {
			s.sides++
		} else {
			s.news++
		}
	})
	return s.Store.ReadPrefix(ctx, ref, n)
}

func (s *asked) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.count(func() {
		s.ranges++
		if s.keys == nil {
			s.keys = map[string]int{}
		}
		s.keys[ref.Key]++
	})
	return s.Store.ReadAt(ctx, ref, p, off)
}

func (s *asked) count(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// take returns the counts since the last call.
func (s *asked) take() (lists, sides, ranges int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lists, sides, ranges = s.lists, s.sides, s.ranges
	s.lists, s.sides, s.ranges, s.keys = 0, 0, 0, nil
	return lists, sides, ranges
}

func updateSidecar(t testing.TB, store objstore.Store, opts sidecar.Options) {
	t.Helper()
	if _, err := sidecar.Update(t.Context(), store, opts); err != nil {
		t.Fatal(err)
	}
}

// chained returns a primary whose replica is a large snapshot and so many small files.
func chained(t testing.TB, files int) *primary.Primary {
	t.Helper()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fillLarge(p)
	p.Sync()
	p.Snapshot()
	p.Expire(0, p.TXID)
	for i := range files {
		p.Exec("UPDATE a SET x = hex(randomblob(900)) WHERE id = ?", 1+i*7)
		p.Sync()
	}
	return p
}

// With a sidecar the first row costs a listing and a GET at once, and then the leaf alone.
func TestSidecar_FirstRow(t *testing.T) {
	t.Parallel()
	p := chained(t, 30)
	store := &asked{Store: p.Store}
	first := func(change ...func(*litefss3.Config)) (lists, sides, ranges int) {
		t.Helper()
		store.take()
		db := open(t, store, change...)
		value(t, db, "SELECT length(x) FROM a WHERE id = 1200")
		lists, sides, ranges = store.take()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return lists, sides, ranges
	}
	if l, s, r := first(); l != 1 || s != 1 || r < 31 {
		t.Errorf("without a sidecar: %d lists, %d of the sidecar, %d ranges", l, s, r)
	}
	updateSidecar(t, p.Store, sidecar.Options{})
	if l, s, r := first(); l != 1 || s != 1 || r != 1 {
		t.Errorf("with a sidecar: %d lists, %d of the sidecar, %d ranges; want one of each", l, s, r)
	}
	if l, s, r := first(func(c *litefss3.Config) { c.Sidecar = litefss3.NoSidecar }); l != 1 || s != 0 || r < 31 {
		t.Errorf("sidecar=off: %d lists, %d of the sidecar, %d ranges", l, s, r)
	}
	db := open(t, store)
	p.CheckSame(p.TXID, db)
	if got := value(t, db, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %s", got)
	}
}

// What one process reads first is fetched at once by those that open the replica later.
func TestSidecar_Profile(t *testing.T) {
	t.Parallel()
	p := chained(t, 5)
	queries := func(db *sql.DB) {
		t.Helper()
		for id := range 20 {
			value(t, db, fmt.Sprintf("SELECT length(x) FROM a WHERE id = %d", 1+id*61))
		}
	}
	writer := open(t, p.Store, func(c *litefss3.Config) { c.Sidecar = litefss3.WriteSidecar })
	queries(writer)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	side, err := sidecar.Read(t.Context(), p.Store)
	if err != nil || len(side.Profile) < 20 {
		t.Fatalf("profile %+v, %v", side, err)
	}
	store := &asked{Store: p.Store}
	db := open(t, store)
	queries(db)
	_, _, ranges := store.take()
	if ranges > 3 {
		t.Errorf("%d ranges for 20 rows that were foreseen", ranges)
	}
	if s := status(t, db); s.Cache.Ahead == 0 {
		t.Error("nothing was fetched ahead")
	}
	p.CheckSame(p.TXID, db)
}

// Touched tells which pages are read.
func TestTouched(t *testing.T) {
	t.Parallel()
	p := chained(t, 1)
	db := open(t, p.Store)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	few, err := litefss3.Touched(conn, "main", func() error {
		return conn.QueryRowContext(t.Context(), "SELECT x FROM a WHERE id = 700").Scan(new(string))
	})
	if err != nil || len(few) == 0 || len(few) > 6 {
		t.Errorf("a lookup touches %v, %v", few, err)
	}
	many, err := litefss3.Touched(conn, "main", func() error {
		return conn.QueryRowContext(t.Context(), "SELECT max(y) FROM b").Scan(new(string))
	})
	if err != nil || len(many) < 100 {
		t.Errorf("a scan touches %d pages, %v", len(many), err)
	}
	if _, err := litefss3.Touched(conn, "temp", func() error { return nil }); err == nil {
		t.Error("a schema that is none of ours was accepted")
	}
}

// A sidecar that lies on purpose ends the transaction that meets it, and the next one reads what is there. A writer never relies on one.
func TestSidecar_Liar(t *testing.T) {
	t.Parallel()
	p := chained(t, 5)
	updateSidecar(t, p.Store, sidecar.Options{})
	forge(t, p)
	db := open(t, p.Store)
	_, err := db.ExecContext(t.Context(), "SELECT sum(length(x)) FROM a; SELECT sum(length(y)) FROM b")
	if err == nil {
		t.Fatal("nothing was noticed")
	}
	p.CheckSame(p.TXID, db)
	if s := status(t, db); s.Following.Histories != 1 {
		t.Errorf("opened anew %d times, want once", s.Following.Histories)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	store := &asked{Store: p.Store}
	w := open(t, store, func(c *litefss3.Config) {
		c.Write, c.BufferPath, c.Compaction = true, filepath.Join(t.TempDir(), "log"), litefss3.CompactionOff
	})
	p.CheckSame(p.TXID, w)
	if _, sides, _ := store.take(); sides != 0 {
		t.Errorf("a writer has read the sidecar %d times", sides)
	}
}

// forge makes two neighbouring frames of the newest file's table each other's length apart, which no check of the sidecar alone can see: the last
// page's number becomes another one.
func forge(t *testing.T, p *primary.Primary) {
	t.Helper()
	part, err := p.Store.ReadPrefix(t.Context(), objstore.Ref{Key: sidecar.Key}, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Clone(part.Data[:len(part.Data)-sha256.Size])
	for i := range body {
		bent := bytes.Clone(body)
		bent[i] ^= 1
		sum := sha256.Sum256(bent)
		s, err := sidecar.Decode(append(bent, sum[:]...))
		if err != nil || len(s.Layouts) == 0 || !points(t, p, s) {
			continue
		}
		if _, err := p.Store.Put(t.Context(), sidecar.Key, bytes.NewReader(append(bent, sum[:]...)), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("no change makes a table that leads to another page")
}

// points reports whether a page table of a sidecar leads to a frame of another page.
func points(t *testing.T, p *primary.Primary, s *sidecar.Sidecar) bool {
	t.Helper()
	for _, l := range s.Layouts[1:] {
		part, err := p.Store.ReadPrefix(t.Context(), l.File().Ref(), l.File().Size)
		if err != nil || part.Size != l.File().Size {
			return false
		}
		data := part.Data
		for pgno, f := range l.Frames() {
			err := index.DecodeFrame(data[f.Off:f.Off+f.Size], pgno, make([]byte, l.PageSize()))
			if errors.Is(err, index.ErrCorrupt) && pgno > 5 && pgno < l.Commit() {
				return true
			}
		}
	}
	return false
}

// A connection that only reads opens the replica with the help of a sidecar; one that writes, in the same process, makes it rest on the files.
func TestSidecar_WriterBesideReader(t *testing.T) {
	t.Parallel()
	p := chained(t, 5)
	updateSidecar(t, p.Store, sidecar.Options{})
	store := &asked{Store: p.Store}
	reader := open(t, store)
	value(t, reader, "SELECT count(*) FROM sqlite_schema")
	store.take()
	w := open(t, store, func(c *litefss3.Config) {
		c.Write, c.BufferPath, c.Compaction = true, filepath.Join(t.TempDir(), "log"), litefss3.CompactionOff
	})
	if _, err := w.Exec("UPDATE a SET x = 'new' WHERE id = 9"); err != nil {
		t.Fatal(err)
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	if len(store.keys) < 6 {
		t.Errorf("only %v were read before something was written", store.keys)
	}
}

// TestSidecar_UnderALiveReplica: readers that come at any moment, with a sidecar of any age, read what is there.
func TestSidecar_UnderALiveReplica(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{PageSize: 1024, Pragmas: []string{"auto_vacuum=incremental"}})
	fill(p, 400)
	p.Sync()
	p.Snapshot()
	from := p.TXID
	rounds := 40
	if testing.Short() {
		rounds = 12
	}
	for i := range rounds {
		p.Exec("UPDATE a SET x = hex(randomblob(50)) WHERE id % 40 = ?", i%40)
		if i%9 == 5 {
			p.Exec("DELETE FROM b WHERE id % 3 = 0")
			p.Exec("PRAGMA incremental_vacuum")
		}
		p.Sync()
		switch i % 8 {
		case 2:
			updateSidecar(t, p.Store, sidecar.Options{})
		case 4:
			p.Compact(1, from+1, p.TXID)
			p.Expire(0, p.TXID-1)
			from = p.TXID
		case 7:
			p.Snapshot()
			p.Expire(index.SnapshotLevel, p.TXID-1)
			p.Expire(1, p.TXID)
		}
		db, err := litefss3.OpenDB(litefss3.Config{Store: p.Store, ReplicaURL: "mem:" + t.Name(), PollInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		p.CheckSame(p.TXID, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWarmRestart: a second process on the same host asks for no page that the first one has read, and for no page table it has seen; also after
// transactions, merges and snapshots came in between.
func TestWarmRestart(t *testing.T) {
	t.Parallel()
	for _, side := range []litefss3.SidecarMode{litefss3.NoSidecar, litefss3.ReadSidecar} {
		t.Run("sidecar="+side.String(), func(t *testing.T) {
			t.Parallel()
			p := chained(t, 10)
			updateSidecar(t, p.Store, sidecar.Options{})
			store := &asked{Store: p.Store}
			path := filepath.Join(t.TempDir(), "app.db")
			visit := func() (lists, sides, ranges int, fetches int64) {
				t.Helper()
				store.take()
				db, err := litefss3.OpenDB(litefss3.Config{
					Store: store, ReplicaURL: "mem:warm-" + side.String(), PollInterval: -1, Sidecar: side,
					Hydration: hydrate.Options{Path: path, Mode: hydrate.Lazy},
				})
				if err != nil {
					t.Fatal(err)
				}
				for id := range 20 {
					value(t, db, fmt.Sprintf("SELECT length(x) FROM a WHERE id = %d", 2+id*63))
				}
				lists, sides, ranges = store.take()
				fetches = status(t, db).Cache.Fetches
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				return lists, sides, ranges, fetches
			}
			if _, _, ranges, _ := visit(); ranges == 0 {
				t.Fatal("the first process needed nothing")
			}
			expect := func(what string, mostLists, mostRanges int) { // ranges are those of page tables, for no page is fetched
				t.Helper()
				lists, sides, ranges, fetches := visit()
				if lists > mostLists || sides != 0 || ranges > mostRanges || fetches != 0 {
					t.Errorf("%s: %d lists, %d of the sidecar, %d ranges, %d fetches of pages; want at most %d, 0, %d, 0",
						what, lists, sides, ranges, fetches, mostLists, mostRanges)
				}
			}
			expect("nothing happened", 1, 0)
			p.Exec("UPDATE b SET y = 'new' WHERE id = 1000") // not of the working set
			p.Sync()
			expect("a transaction", 1, 1)
			expect("and again", 1, 0)
			last := p.TXID
			p.Compact(1, 2, last)
			p.Expire(0, last-1)
			expect("merged", 1, 1) // the merged file, whole
			expect("and again", 1, 0)
			p.Snapshot()
			expect("a snapshot beside the old one", 1, 2)
			p.Expire(index.SnapshotLevel, 1)
			p.Expire(0, last)
			expect("the old snapshot gone", 1, 3)
			expect("and again", 1, 0)
			begin := p.TXID
			for range 30 { // days pass: single transactions and the old snapshot are gone, merged files are kept as long as promised
				p.Exec("UPDATE b SET y = hex(randomblob(900)) WHERE id = 1000")
				p.Sync()
			}
			p.Compact(1, begin+1, begin+15)
			p.Compact(1, begin+16, p.TXID)
			p.Compact(2, begin+1, p.TXID)
			p.Expire(0, p.TXID)
			p.Snapshot()
			p.Expire(index.SnapshotLevel, begin)
			expect("days", 2, 3)
			expect("and again", 1, 0)
			p.Exec("UPDATE a SET x = 'new' WHERE id % 2 = 1")
			p.Sync()
			p.Snapshot()
			for level := range index.SnapshotLevel {
				p.Expire(level, p.TXID)
			}
			p.Expire(index.SnapshotLevel, p.TXID-1)
			if _, _, ranges, _ := visit(); ranges < 20 { // nothing tells what is still right
				t.Errorf("after longer than anything is kept %d ranges: pages of a history that nobody can know again were used", ranges)
			}
		})
	}
}

// A file of page tables that is damaged, or of another replica, costs requests and nothing else.
func TestWarmRestart_DamagedTables(t *testing.T) {
	t.Parallel()
	p := chained(t, 3)
	path := filepath.Join(t.TempDir(), "app.db")
	hydrated := func(c *litefss3.Config) {
		c.Hydration.Path, c.Hydration.Mode = path, hydrate.Lazy
		c.Sidecar = litefss3.NoSidecar
	}
	db := open(t, p.Store, hydrated)
	p.CheckSame(p.TXID, db)
	db.Close()
	damage(t, path+"-index")
	db = open(t, p.Store, hydrated)
	p.CheckSame(p.TXID, db)
	db.Close()
	other := chained(t, 3)
	db = open(t, other.Store, hydrated)
	other.CheckSame(other.TXID, db)
}

// TestSidecar_Settings: a reader cannot be told to write.
func TestSidecar_Settings(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 10)
	db := open(t, p.Store, func(c *litefss3.Config) { c.ReadOnly, c.Sidecar = true, litefss3.WriteSidecar })
	if err := db.Ping(); err == nil {
		t.Error("a reader was told to write")
	}
}

// damage changes a byte of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
