package integration

import (
	"context"
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

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// loadTime is how long the tests of load run at least.
var loadTime = flag.Duration("load", 4*time.Second, "how long the tests of load run at least")

// load is a bank in a bucket that many use at once.
type load struct {
	t     *testing.T
	url   string
	store objstore.Store

	acked, begun                           atomic.Int64 // commits that returned, and that may have come about
	busy, read, followed, held, gone, slow atomic.Int64
}

// TestLoad_ManyConnections writes with 8 connections and reads with 64, half of them in the pool of the writers and half as another process
// would, while 6 more keep a View for long, and a compactor merges and removes files beneath them. Every moment that anybody reads is one of
// the database, and in the end nothing is left. Not parallel: it counts what the process holds.
func TestLoad_ManyConnections(t *testing.T) {
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	room := watchLeaks(t)
	l := &load{t: t, url: minio.URL(minio.Bucket(t), "apps/load")}
	l.store = openReplica(t, l.url)
	l.run(minio)
	room.check(t)
	t.Logf("%d commits of 8 connections, %d told to begin again; %d moments read beside them, %d by followers; %d Views kept for long, read %d times, %d of them gone",
		l.acked.Load(), l.busy.Load(), l.read.Load(), l.followed.Load(), l.held.Load(), l.slow.Load(), l.gone.Load())
}

func (l *load) run(minio *servers.MinIO) {
	t := l.t
	c := writerConfig(l.url, filepath.Join(t.TempDir(), "log"))
	c.Compaction, c.LeaseTTL, c.SyncInterval = litefss3.CompactionOff, 30*time.Second, 100*time.Millisecond
	c.CacheSize = 4 << 20 // so that much is read from the bucket
	writers, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	defer writers.Close()
	writers.SetMaxOpenConns(1)
	newBank(t, writers)
	execute(t, writers, "PRAGMA litestream_sync")
	writers.SetMaxOpenConns(8 + 32)
	writers.SetMaxIdleConns(8 + 32)
	followers := l.follow()
	defer followers.Close()
	compactor, err := compact.New(l.store, soakLevels)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { compactor.Watch(ctx) })
	for range 8 {
		wg.Go(func() { l.write(ctx, writers) })
	}
	for range 32 {
		wg.Go(func() { l.readOwn(ctx, writers) })
		wg.Go(func() { l.readMonotone(ctx, followers) })
	}
	for range 6 {
		wg.Go(func() { l.hold(ctx, followers) })
	}
	for begin := time.Now(); !t.Failed() && (time.Since(begin) < *loadTime || !l.enough()); {
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	wg.Wait()
	if n, err := check(t.Context(), writers); err != nil || n < l.acked.Load() || n > l.begun.Load() {
		t.Errorf("%d commits returned of %d, the database has %d: %v", l.acked.Load(), l.begun.Load(), n, err)
	}
	execute(t, writers, "PRAGMA litestream_sync")
	want := primary.Dump(t, writers)
	if err := errors.Join(followers.Close(), writers.Close()); err != nil {
		t.Fatal(err)
	}
	theirs := restored(t, minio, l.url)
	if primary.Dump(t, theirs) != want {
		t.Error("litestream restore makes something else of the bucket")
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
}

// enough reports whether everybody has done something.
func (l *load) enough() bool {
	some := scaled[int64](100, 20)
	return l.acked.Load() >= some && l.read.Load() >= some && l.followed.Load() >= some && l.held.Load() >= 6
}

// follow is a pool that reads as a process of its own would.
func (l *load) follow() *sql.DB {
	db, err := litefss3.OpenDB(litefss3.Config{
		Store: struct{ objstore.Store }{l.store}, ReplicaURL: fmt.Sprint("load-followers-", rand.Uint64()), PollInterval: 50 * time.Millisecond,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	db.SetMaxIdleConns(32 + 6)
	return db
}

// write moves money. A transaction whose read was overtaken begins again.
func (l *load) write(ctx context.Context, db *sql.DB) {
	for ctx.Err() == nil {
		time.Sleep(rand.N(200 * time.Millisecond))
		l.begun.Add(1)
		switch err := transferBeside(db); {
		case err == nil:
			l.acked.Add(1)
		case errors.Is(err, sqlite3.BUSY):
			l.begun.Add(-1)
			l.busy.Add(1)
		default:
			l.t.Error(err)
			return
		}
	}
}

// transferBeside is one transaction of a bank that others write to as well.
func transferBeside(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var n int64
	if err := tx.QueryRow("UPDATE counter SET n = n + 1 RETURNING n").Scan(&n); err != nil {
		return err
	}
	from, to, amount, filler := 1+rand.IntN(accounts), 1+rand.IntN(accounts), 1+rand.IntN(50), 100
	if n%100 == 0 {
		filler = 100_000
	}
	for _, q := range []string{
		fmt.Sprintf("UPDATE accounts SET balance = balance - %d WHERE id = %d", amount, from),
		fmt.Sprintf("UPDATE accounts SET balance = balance + %d WHERE id = %d", amount, to),
		fmt.Sprintf("INSERT INTO ledger VALUES (%d, %d, %d, %d, randomblob(%d))", n, from, to, amount, filler),
	} {
		if _, err := tx.Exec(q); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// moment reads one moment of the bank.
func moment(ctx context.Context, db *sql.DB) (n int64, err error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	return check(ctx, tx)
}

// readOwn reads in the process that writes: what has returned is seen.
func (l *load) readOwn(ctx context.Context, db *sql.DB) {
	for ctx.Err() == nil {
		least := l.acked.Load()
		n, err := moment(ctx, db)
		if most := l.begun.Load(); l.stands(ctx, err, n >= least && n <= most, "%d commits had returned, %d begun, %d are read", least, most, n) {
			l.read.Add(1)
		}
		time.Sleep(rand.N(100 * time.Millisecond))
	}
}

// readMonotone reads as a follower: what was seen stays seen.
func (l *load) readMonotone(ctx context.Context, db *sql.DB) {
	last := int64(0)
	for ctx.Err() == nil {
		n, err := moment(ctx, db)
		if l.stands(ctx, err, n >= last && n <= l.begun.Load(), "%d commits were read, and then %d of %d", last, n, l.begun.Load()) {
			last = n
			l.followed.Add(1)
		}
		time.Sleep(rand.N(100 * time.Millisecond))
	}
}

// stands reports whether a moment was read, and complains if it is a wrong one.
func (l *load) stands(ctx context.Context, err error, ok bool, complaint string, args ...any) bool {
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		l.t.Error(err)
		return false
	case !ok:
		l.t.Errorf(complaint, args...)
	}
	return ok
}

// hold keeps a View for longer than its files, and reads it again and again: always the same, until it is said to be gone.
func (l *load) hold(ctx context.Context, db *sql.DB) {
	for ctx.Err() == nil {
		if err := l.holdOne(ctx, db); err != nil && ctx.Err() == nil {
			l.t.Error(err)
			return
		}
		l.held.Add(1)
	}
}

func (l *load) holdOne(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "PRAGMA cache_size = 8"); err != nil { // SQLite is not to keep it
		return err
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	length := min(*loadTime/3, 2*soakLevels.Retention)
	first := int64(-1)
	for begin := time.Now(); time.Since(begin) < length && ctx.Err() == nil; time.Sleep(rand.N(length / 4)) {
		n, err := check(ctx, tx)
		if err != nil {
			if cause := litefss3.Cause(conn, "main"); isExpired(cause) {
				l.gone.Add(1)
				return nil
			}
			return err
		}
		if first < 0 {
			first = n
		}
		if n != first {
			return fmt.Errorf("a transaction that began at commit %d reads commit %d", first, n)
		}
		l.slow.Add(1)
	}
	return nil
}
