package integration

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/verify"
)

// soakTime is how long TestSoak runs at least. Its compactor's clock is 3,600 times as fast as Litestream's in what it keeps and merges: a
// minute is a day of snapshots and two and a half of merges.
var soakTime = flag.Duration("soak", 20*time.Second, "how long TestSoak runs at least")

var soakLevels = compact.Options{
	Levels:           []time.Duration{time.Second, 3 * time.Second, 9 * time.Second},
	SnapshotInterval: 12 * time.Second, Retention: 15 * time.Second, L0Retention: 3 * time.Second, Grace: 2 * time.Second,
	Settle: 200 * time.Millisecond,
}

// soak is a replica with a writer, and what the database was at each TXID.
type soak struct {
	t     *testing.T
	minio *servers.MinIO
	url   string
	store objstore.Store
	begin time.Time

	mu    sync.Mutex
	dumps map[index.TXID]digest // guarded by mu

	reads, travels, restores, expired atomic.Int64
}

// digest stands for what a database holds: hours of them fit into memory.
type digest [sha256.Size]byte

func digestOf(dump string) digest { return sha256.Sum256([]byte(dump)) }

// enough reports whether everybody has done something, and most of what was tried. On a slow machine that takes longer than the time given.
func (s *soak) enough() bool {
	return s.reads.Load() >= 50 && s.travels.Load() >= 20 && s.restores.Load() >= 5 && s.expired.Load() <= s.travels.Load()
}

// last ends the returned context when the time is over and enough was done.
func (s *soak) last(ctx context.Context, d time.Duration) context.Context {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		for ctx.Err() == nil && (time.Since(s.begin) < d || !s.enough()) && !s.t.Failed() {
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return ctx
}

// TestSoak lets a writer, a compactor with retention, readers, time travellers and restores work on one replica at once. Whatever anybody reads
// is the database as of some moment, and the right one; in the end the replica is small, sound, and what litestream restores.
func TestSoak(t *testing.T) {
	t.Parallel()
	s, db := openSoak(t, "apps/soak")
	compactor, err := compact.New(s.store, soakLevels)
	if err != nil {
		t.Fatal(err)
	}
	length := *soakTime
	if testing.Short() {
		length /= 2
	}
	ctx := s.last(t.Context(), length)
	var wg sync.WaitGroup
	for _, work := range []func(context.Context){
		func(ctx context.Context) { s.write(ctx, db) }, compactor.Watch, s.read, s.read, s.travel, s.travel, s.restore,
	} {
		wg.Go(func() { work(ctx) })
	}
	wg.Wait()
	s.end(db, compactor)
	t.Logf("%s: %d transactions, %d reads, %d travels, %d restores, %d expired", time.Since(s.begin).Round(time.Second),
		len(s.dumps), s.reads.Load(), s.travels.Load(), s.restores.Load(), s.expired.Load())
}

// openSoak begins a replica, whose writer is db.
func openSoak(t *testing.T, prefix string) (*soak, *sql.DB) {
	t.Helper()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	s := &soak{t: t, minio: minio, url: minio.URL(minio.Bucket(t), prefix), dumps: map[index.TXID]digest{}}
	s.store = openReplica(t, s.url)
	c := writerConfig(s.url, filepath.Join(t.TempDir(), "log"))
	c.Compaction, c.LeaseTTL = litefss3.CompactionOff, 30*time.Second
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	execute(t, db, "PRAGMA auto_vacuum = incremental", "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, x BLOB)", "CREATE INDEX t_n ON t(n)")
	s.commit(db)
	s.begin = time.Now()
	return s, db
}

// end closes the writer. The replica must be what it has written, small and sound.
func (s *soak) end(db *sql.DB, compactor *compact.Compactor) {
	want := s.commit(db)
	if err := db.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.settle(compactor)
	if primary.Dump(s.t, restored(s.t, s.minio, s.url)) != want {
		s.t.Error("litestream restore makes something else of the bucket")
	}
}

// commit brings everything to the bucket, and notes what the database is then.
func (s *soak) commit(db *sql.DB) string {
	var txid string
	if err := db.QueryRow("PRAGMA litestream_sync").Scan(&txid); err != nil {
		s.t.Error(err)
		return ""
	}
	var n index.TXID
	if _, err := fmt.Sscanf(txid, "%x", &n); err != nil {
		s.t.Error(err)
	}
	dump := primary.Dump(s.t, db)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dumps[n] = digestOf(dump)
	return dump
}

// at is the database as of a TXID; ok is false when nobody has looked at it then.
func (s *soak) at(txid index.TXID) (d digest, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok = s.dumps[txid]
	return d, ok
}

func (s *soak) write(ctx context.Context, db *sql.DB) {
	for n := 0; ctx.Err() == nil; n++ {
		for _, q := range []string{
			fmt.Sprintf("INSERT OR REPLACE INTO t VALUES (%d, %d, randomblob(%d))", rand.IntN(300), n, rand.IntN(1500)),
			fmt.Sprintf("UPDATE t SET n = n + 1 WHERE id %% 10 = %d", rand.IntN(10)),
		} {
			if _, err := db.Exec(q); err != nil {
				s.t.Error(err)
				return
			}
		}
		if n%40 == 39 {
			if _, err := db.Exec("DELETE FROM t WHERE id > 150; PRAGMA incremental_vacuum"); err != nil {
				s.t.Error(err)
			}
		}
		s.commit(db)
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
	}
}

// open opens the replica as a process of its own would.
func (s *soak) open(name string) *sql.DB {
	db, err := litefss3.OpenDB(litefss3.Config{Store: struct{ objstore.Store }{s.store}, ReplicaURL: name, PollInterval: 50 * time.Millisecond})
	if err != nil {
		s.t.Error(err)
		return nil
	}
	db.SetMaxOpenConns(1)
	return db
}

// read reads the newest state again and again.
func (s *soak) read(ctx context.Context) {
	db := s.open(fmt.Sprint("soak-reader-", rand.Uint64()))
	defer db.Close()
	for ctx.Err() == nil {
		conn, err := db.Conn(s.t.Context())
		if err != nil {
			s.t.Error(err)
			return
		}
		if s.compare(conn, "the newest state") {
			s.reads.Add(1)
		}
		conn.Close()
		time.Sleep(20 * time.Millisecond)
	}
}

// compare reads all of one moment in a transaction. It is false when that has expired, or when nobody knows what it should be.
func (s *soak) compare(conn *sql.Conn, what string) bool {
	ctx := s.t.Context()
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		s.t.Error(err)
		return false
	}
	defer tx.Rollback()
	var rows int64
	var text string
	if err = tx.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&rows); err == nil {
		err = tx.QueryRowContext(ctx, "PRAGMA litestream_txid").Scan(&text)
	}
	if err != nil {
		return s.expires(conn, what, err)
	}
	var txid index.TXID
	if _, err := fmt.Sscanf(text, "%x", &txid); err != nil {
		s.t.Error(err)
	}
	want, ok := s.at(txid)
	if !ok {
		return false // the writer has not noted it yet
	}
	dump, err := primary.TryDump(tx)
	if err != nil {
		return s.expires(conn, what, err)
	}
	if digestOf(dump) != want {
		s.t.Errorf("%s at txid %s is not the database of that moment", what, txid)
	}
	return true
}

// expires counts a moment that has expired while it was read. It is false, and any other error is one of the test.
func (s *soak) expires(conn *sql.Conn, what string, err error) bool {
	if cause := litefss3.Cause(conn, "main"); !isExpired(cause) {
		s.t.Errorf("%s: %v, because of: %v", what, err, cause)
	}
	s.expired.Add(1)
	return false
}

// travel goes back to moments that can be opened.
func (s *soak) travel(ctx context.Context) {
	db := s.open(fmt.Sprint("soak-traveller-", rand.Uint64()))
	defer db.Close()
	for ctx.Err() == nil {
		conn, err := db.Conn(s.t.Context())
		if err != nil {
			s.t.Error(err)
			return
		}
		ago := rand.N(min(8*time.Second, time.Since(s.begin)))
		_, err = conn.ExecContext(s.t.Context(), fmt.Sprintf("PRAGMA litestream_time = '%s'", time.Now().Add(-ago).UTC().Format(time.RFC3339Nano)))
		switch {
		case err != nil: // before the beginning, or gone
			s.expired.Add(1)
		case s.compare(conn, fmt.Sprintf("the state %s ago", ago)):
			s.travels.Add(1)
		}
		execute(s.t, conn, "PRAGMA litestream_time = 'latest'")
		conn.Close()
		time.Sleep(50 * time.Millisecond)
	}
}

// restore restores the newest state, and compares the file.
func (s *soak) restore(ctx context.Context) {
	dir := s.t.TempDir()
	for n := 0; ctx.Err() == nil; n++ {
		held := new(bulk.Held)
		tracker, err := index.Open(ctx, s.store, index.Options{PollInterval: -1, OnLoad: held.Keep})
		if err != nil {
			s.mayEnd(ctx, err)
			continue
		}
		path := filepath.Join(dir, fmt.Sprint(n, ".db"))
		newer := func(ctx context.Context) (*index.View, error) { return tracker.View(), tracker.Refresh(ctx) }
		report, err := restore.File(ctx, bulk.Source{Store: s.store, Mover: tracker, Held: held}, tracker.View(), path, restore.Options{Newer: newer})
		if err != nil {
			s.mayEnd(ctx, err)
			continue
		}
		if want, ok := s.at(report.TXID); ok {
			plain, err := sql.Open("sqlite3", "file:"+path)
			if err != nil {
				s.t.Error(err)
				return
			}
			if digestOf(primary.Dump(s.t, plain)) != want {
				s.t.Errorf("what was restored at txid %s is not the database of that moment", report.TXID)
			}
			plain.Close()
			s.restores.Add(1)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// mayEnd is for errors that are none when the test is over.
func (s *soak) mayEnd(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, objstore.ErrNotFound) {
		s.t.Error(err)
	}
}

// settle compacts what is left, and checks that the replica is small and sound.
func (s *soak) settle(c *compact.Compactor) {
	for range 3 {
		time.Sleep(2 * time.Second)
		if _, err := c.Once(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	}
	catalog, err := index.ListAll(s.t.Context(), s.store)
	if err != nil {
		s.t.Fatal(err)
	}
	files := map[int]int{}
	for i := range catalog.Files {
		files[catalog.Files[i].Level]++
	}
	// About what the retention times and intervals allow: 10 transactions a second for the oldest that wait, then one file an interval.
	for level, most := range map[int]int{0: 150, 1: 60, 2: 25, 3: 15, index.SnapshotLevel: 5} {
		if files[level] > most {
			s.t.Errorf("level %d has %d files, %d at most were expected", level, files[level], most)
		}
	}
	if files[0] >= len(s.dumps) || files[index.SnapshotLevel] == 0 {
		s.t.Errorf("%d transactions, and files by level: %v", len(s.dumps), files)
	}
	s.t.Logf("files by level: %v", files)
	if r := verify.Run(s.t.Context(), s.store, verify.Options{}); r.Outcome != verify.Good {
		s.t.Errorf("verify: %s, %v", r.Outcome, r.Problems)
	}
}
