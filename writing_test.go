package litefss3_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/writer"
)

// writing makes a pool that writes, with a commit log of its own.
func writing(t testing.TB) func(*litefss3.Config) {
	dir := filepath.Join(t.TempDir(), "log")
	return func(c *litefss3.Config) {
		c.Write = true
		c.BufferPath = dir
		c.SyncInterval = 20 * time.Millisecond
	}
}

// execute runs statements.
func execute(t testing.TB, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// fresh opens the replica as somebody who has never seen it.
func fresh(t testing.TB, store objstore.Store) *sql.DB {
	t.Helper()
	return open(t, &struct{ objstore.Store }{store}, func(c *litefss3.Config) { c.ReplicaURL += "-fresh" })
}

func TestWriting_ANewDatabase(t *testing.T) {
	t.Parallel()
	for size := 512; size <= 65536; size *= 2 {
		t.Run(fmt.Sprint("page_size=", size), func(t *testing.T) {
			t.Parallel()
			store := new(memstore.Store)
			db := open(t, store, writing(t))
			db.SetMaxOpenConns(1)
			execute(t, db, fmt.Sprintf("PRAGMA page_size = %d", size),
				"CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)",
				"INSERT INTO t(x) VALUES ('one'), ('two')",
				"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 500) INSERT INTO t(x) SELECT hex(randomblob(100)) FROM n",
			)
			if got := value(t, db, "PRAGMA page_size"); got != fmt.Sprint(size) {
				t.Fatalf("page size %s", got)
			}
			want := primary.Dump(t, db)
			execute(t, db, "PRAGMA litestream_sync")
			if got := value(t, db, "PRAGMA litestream_pending"); got != "0" {
				t.Errorf("%s commits pending after a sync", got)
			}
			if got := primary.Dump(t, db); got != want {
				t.Error("the database reads differently after the upload")
			}
			reader := fresh(t, store)
			if got := primary.Dump(t, reader); got != want {
				t.Error("a fresh reader reads something else")
			}
			if got := value(t, reader, "PRAGMA integrity_check"); got != "ok" {
				t.Errorf("integrity_check: %s", got)
			}
		})
	}
}

// TestWriting_ContinuesAReplica writes to what a primary has made, and reads it back.
func TestWriting_ContinuesAReplica(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 1000)
	dir := writing(t)
	db := open(t, p.Store, dir, following)
	execute(t, db, "UPDATE a SET x = 'mine' WHERE id < 10", "DELETE FROM b WHERE id > 100", "PRAGMA incremental_vacuum")
	want := primary.Dump(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := primary.Dump(t, fresh(t, p.Store)); got != want {
		t.Error("a fresh reader reads something else than the writer did")
	}
	again := open(t, p.Store, dir)
	execute(t, again, "INSERT INTO a(x) VALUES ('again')")
	if got := value(t, again, "SELECT count(*) FROM a WHERE x IN ('mine', 'again')"); got != "10" {
		t.Errorf("%s rows, want 10", got)
	}
}

// TestW2_APoolOfEight mixes writers and readers of one pool: no update is lost, whatever the pauses.
func TestW2_APoolOfEight(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			store := new(memstore.Store)
			db := open(t, store, writing(t), following)
			db.SetMaxOpenConns(8)
			execute(t, db, "CREATE TABLE c(id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO c VALUES (1, 0), (2, 0)",
				"CREATE TABLE log(id INTEGER PRIMARY KEY, who INTEGER)")
			var wg sync.WaitGroup
			var done atomic.Int64
			for who := range 6 {
				wg.Go(func() {
					for range 30 {
						if err := transfer(t.Context(), db, who, pause); err != nil {
							t.Error(err)
							return
						}
						done.Add(1)
					}
				})
			}
			for range 2 {
				wg.Go(func() {
					for done.Load() < 180 && !t.Failed() {
						var a, b, n int64
						err := db.QueryRowContext(t.Context(), "SELECT (SELECT n FROM c WHERE id=1), (SELECT n FROM c WHERE id=2), (SELECT count(*) FROM log)").Scan(&a, &b, &n)
						if err != nil || a != -b || a != n {
							t.Errorf("read %d, %d, %d: %v", a, b, n, err)
							return
						}
					}
				})
			}
			wg.Wait()
			if got := value(t, db, "SELECT n FROM c WHERE id = 1"); got != "180" {
				t.Errorf("counted %s, want 180", got)
			}
			execute(t, db, "PRAGMA litestream_sync")
			if primary.Dump(t, fresh(t, store)) != primary.Dump(t, db) {
				t.Error("a fresh reader reads something else")
			}
		})
	}
}

// transfer reads and writes in one transaction. What is stale begins again.
func transfer(ctx context.Context, db *sql.DB, who int, pause time.Duration) error {
	for {
		err := tryTransfer(ctx, db, who, pause)
		if !errors.Is(err, sqlite3.BUSY) {
			return err
		}
	}
}

func tryTransfer(ctx context.Context, db *sql.DB, who int, pause time.Duration) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var n int64
	if err := tx.QueryRowContext(ctx, "SELECT n FROM c WHERE id = 1").Scan(&n); err != nil {
		return err
	}
	if who == 0 {
		time.Sleep(pause)
	}
	for _, q := range []string{
		fmt.Sprintf("UPDATE c SET n = %d WHERE id = 1", n+1), fmt.Sprintf("UPDATE c SET n = %d WHERE id = 2", -n-1),
		fmt.Sprintf("INSERT INTO log(who) VALUES (%d)", who),
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// TestW9_WhatIsTakenBackIsNowhere: rollbacks, savepoints, constraint failures and spilled transactions leave no trace.
func TestW9_WhatIsTakenBackIsNowhere(t *testing.T) {
	t.Parallel()
	for _, synchronous := range []string{"off", "normal", "full"} {
		for _, journal := range []string{"memory", "delete", "truncate", "persist", "off", "wal"} {
			t.Run(synchronous+"/"+journal, func(t *testing.T) {
				t.Parallel()
				store := new(memstore.Store)
				db := open(t, store, writing(t))
				db.SetMaxOpenConns(1)
				execute(t, db, "PRAGMA synchronous = "+synchronous, "PRAGMA cache_size = 10",
					"CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE)", "PRAGMA journal_mode = "+journal,
					"INSERT INTO t(x) VALUES ('keep1'), ('keep2'), ('keep3')")
				want := primary.Dump(t, db)
				many := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) INSERT INTO t(x) SELECT hex(randomblob(200)) FROM n"
				execute(t, db, "BEGIN", many, "UPDATE t SET x = x || 'changed'", "ROLLBACK")
				if primary.Dump(t, db) != want {
					t.Fatal("ROLLBACK left something")
				}
				execute(t, db, "BEGIN", "SAVEPOINT s", many, "ROLLBACK TO s", "RELEASE s", "COMMIT")
				if primary.Dump(t, db) != want {
					t.Fatal("ROLLBACK TO left something")
				}
				if _, err := db.Exec("INSERT INTO t(x) SELECT hex(randomblob(300)) FROM t, t, t, t UNION ALL SELECT 'keep1'"); err == nil {
					t.Fatal("the constraint did not hold")
				}
				if primary.Dump(t, db) != want {
					t.Fatal("a failed statement left something")
				}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				_, err := db.ExecContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) INSERT INTO t(x) SELECT hex(randomblob(200)) FROM n")
				cancel()
				if err == nil {
					t.Fatal("an endless statement ended")
				}
				if primary.Dump(t, db) != want {
					t.Fatal("an interrupted statement left something")
				}
				execute(t, db, "PRAGMA litestream_sync")
				if primary.Dump(t, fresh(t, store)) != want {
					t.Error("a fresh reader reads something else")
				}
			})
		}
	}
}

// TestW6_GrowthAndShrink: pages that come and go in one transaction, shrinks, and growth after it.
func TestW6_GrowthAndShrink(t *testing.T) {
	t.Parallel()
	for _, vacuum := range []string{"none", "full", "incremental"} {
		t.Run(vacuum, func(t *testing.T) {
			t.Parallel()
			store := new(memstore.Store)
			db := open(t, store, writing(t), following)
			db.SetMaxOpenConns(2)
			execute(t, db, "PRAGMA auto_vacuum = "+vacuum, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
			for i, q := range []string{
				"BEGIN; INSERT INTO t(x) VALUES (randomblob(200000)); DELETE FROM t; COMMIT",
				"INSERT INTO t(x) VALUES (randomblob(300000)), (randomblob(100))",
				"DELETE FROM t WHERE id = 1",
				"PRAGMA incremental_vacuum",
				"INSERT INTO t(x) VALUES (zeroblob(50000))",
				"VACUUM",
				"BEGIN; INSERT INTO t(x) VALUES (randomblob(400000)); DELETE FROM t WHERE length(x) > 60000; COMMIT",
				"VACUUM",
				"INSERT INTO t(x) SELECT randomblob(9000) FROM t",
			} {
				execute(t, db, q)
				if i%2 == 0 {
					execute(t, db, "PRAGMA litestream_sync")
				}
				if got := value(t, db, "PRAGMA integrity_check"); got != "ok" {
					t.Fatalf("%s: %s", q, got)
				}
			}
			execute(t, db, "PRAGMA litestream_sync")
			reader := fresh(t, store)
			if primary.Dump(t, reader) != primary.Dump(t, db) {
				t.Error("a fresh reader reads something else")
			}
			if got := value(t, reader, "PRAGMA integrity_check"); got != "ok" {
				t.Errorf("integrity_check: %s", got)
			}
		})
	}
}

func TestW8_ThePageSizeStays(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	db := open(t, store, writing(t))
	db.SetMaxOpenConns(1)
	execute(t, db, "CREATE TABLE t(x)", "INSERT INTO t VALUES (1)", "PRAGMA litestream_sync", "PRAGMA page_size = 4096")
	if _, err := db.Exec("PRAGMA page_size = 8192"); err == nil || !strings.Contains(err.Error(), "page size") {
		t.Errorf("another page size: %v", err)
	}
	execute(t, db, "VACUUM", "INSERT INTO t VALUES (2)", "PRAGMA litestream_sync")
	if got := value(t, fresh(t, store), "SELECT group_concat(x) FROM t"); got != "1,2" {
		t.Errorf("rows %s", got)
	}
}

// TestWriting_OneWriterAtATime: a second process reads, is told who writes, and takes over when that one lets go.
func TestWriting_OneWriterAtATime(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	first := open(t, store, writing(t), func(c *litefss3.Config) { c.Owner = "web-1" })
	execute(t, first, "CREATE TABLE t(x)", "INSERT INTO t VALUES (1)", "PRAGMA litestream_sync")
	second := open(t, struct{ objstore.Store }{store}, writing(t), following, func(c *litefss3.Config) { c.ReplicaURL += "-2"; c.Owner = "web-2" })
	conn, err := second.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.ExecContext(t.Context(), "INSERT INTO t VALUES (2)")
	if !errors.Is(err, sqlite3.READONLY) {
		t.Fatalf("a second writer: %v", err)
	}
	var held *writer.LeaseHeldError
	if cause := litefss3.Cause(conn, "main"); !errors.As(cause, &held) || !strings.Contains(cause.Error(), "web-1") {
		t.Errorf("the cause is %v", cause)
	}
	if _, err := conn.ExecContext(t.Context(), "PRAGMA litestream_acquire_lease"); err == nil || !strings.Contains(err.Error(), "web-1") {
		t.Errorf("acquire: %v", err)
	}
	execute(t, first, "INSERT INTO t VALUES (3)", "PRAGMA litestream_release_lease")
	if got := value(t, first, "PRAGMA litestream_write_enabled"); got != "0" {
		t.Errorf("write_enabled after release: %s", got)
	}
	if _, err := first.Exec("INSERT INTO t VALUES (4)"); !errors.Is(err, sqlite3.READONLY) {
		t.Errorf("a write after release: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); value(t, conn, "PRAGMA litestream_write_enabled") != "1"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second process did not become the writer")
		}
	}
	execute(t, conn, "INSERT INTO t VALUES (5)")
	if got := value(t, conn, "SELECT group_concat(x) FROM t"); got != "1,3,5" {
		t.Errorf("rows %s", got)
	}
}

// TestW1_CloseSaysWhatIsNotUploaded: the bucket refuses everything while the pool is closed; the next open sends it.
func TestW1_CloseSaysWhatIsNotUploaded(t *testing.T) {
	t.Parallel()
	store := &refusing{Store: new(memstore.Store)}
	config := litefss3.Config{Store: store, ReplicaURL: "mem:w1", PollInterval: -1, SyncInterval: time.Hour, CloseTimeout: 300 * time.Millisecond}
	writing(t)(&config)
	config.SyncInterval = time.Hour
	db, err := litefss3.OpenDB(config)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, "CREATE TABLE t(x)", "INSERT INTO t VALUES (1)")
	store.refuses.Store(true)
	err = db.Close()
	var unsynced *writer.UnsyncedError
	if !errors.As(err, &unsynced) || unsynced.Commits != 2 || unsynced.LogPath != config.BufferPath {
		t.Fatalf("Close: %v", err)
	}
	store.refuses.Store(false)
	again, err := litefss3.OpenDB(config)
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, again, "SELECT count(*) FROM t"); got != "1" {
		t.Errorf("%s rows after opening again", got)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if got := value(t, fresh(t, store), "SELECT count(*) FROM t"); got != "1" {
		t.Errorf("%s rows in the bucket", got)
	}
}

// refusing is a store that takes nothing while it refuses.
type refusing struct {
	objstore.Store
	refuses atomic.Bool
}

func (s *refusing) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if s.refuses.Load() {
		return "", &objstore.OpError{Op: "put", Key: key, Err: objstore.ErrTemporary}
	}
	return s.Store.Put(ctx, key, body, opts)
}

// TestWriting_WithALocalCopy: commits land in the copy, and what it has is read there.
func TestWriting_WithALocalCopy(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 1000)
	path := filepath.Join(t.TempDir(), "app.db")
	db := open(t, p.Store, writing(t), hydrated(path), following)
	hydrateNow(t, db)
	for i := range scaled(20, 10) {
		execute(t, db, fmt.Sprintf("UPDATE a SET x = 'round %d' WHERE id %% 20 = %d", i, i), "INSERT INTO b(y) VALUES (hex(randomblob(100)))")
		if i%5 == 4 {
			execute(t, db, "PRAGMA litestream_sync")
		}
	}
	execute(t, db, "PRAGMA litestream_sync", "INSERT INTO b(y) VALUES (hex(randomblob(2000000)))", "PRAGMA litestream_sync")
	hydrateNow(t, db)
	if s := status(t, db); s.Hydration.Fetched > s.Position.Bytes/2 {
		t.Errorf("%d bytes were fetched for the copy of %d: what was committed here was fetched again", s.Hydration.Fetched, s.Position.Bytes)
	}
	want := primary.Dump(t, db)
	db.Close()
	plain, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if primary.Dump(t, plain) != want {
		t.Error("the local copy reads as something else")
	}
}

// TestT3_NoWriteIntoThePast: a connection that reads a past moment cannot write, also when it was opened to.
func TestT3_NoWriteIntoThePast(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 100)
	p.Exec("INSERT INTO a(x) VALUES ('second')")
	p.Sync()
	db := open(t, p.Store, writing(t))
	db.SetMaxOpenConns(1)
	execute(t, db, "PRAGMA litestream_txid = '1'")
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"INSERT INTO a(x) VALUES ('third')", "BEGIN IMMEDIATE", "VACUUM"} {
		if _, err := conn.ExecContext(t.Context(), q); !errors.Is(err, sqlite3.READONLY) {
			t.Errorf("%s with a time set: %v", q, err)
		}
		if cause := litefss3.Cause(conn, "main"); cause == nil || !strings.Contains(cause.Error(), "past") {
			t.Errorf("%s: the cause is %v", q, cause)
		}
	}
	execute(t, conn, "BEGIN")
	if _, err := conn.ExecContext(t.Context(), "PRAGMA litestream_time = 'latest'"); err == nil {
		t.Error("the time was changed inside a transaction")
	}
	execute(t, conn, "ROLLBACK", "PRAGMA litestream_time = 'latest'", "INSERT INTO a(x) VALUES ('third')")
	if got := value(t, conn, "SELECT group_concat(x) FROM a WHERE x IN ('second', 'third')"); got != "second,third" {
		t.Errorf("rows %s", got)
	}
	conn.Close()
}

// TestW5_ABucketThatIsDown: commits go on, the status says what is wrong, and at the limit they have to wait; then all of it is sent.
func TestW5_ABucketThatIsDown(t *testing.T) {
	t.Parallel()
	store := &refusing{Store: new(memstore.Store)}
	db := open(t, store, writing(t), func(c *litefss3.Config) { c.MaxPending = 200_000 })
	db.SetMaxOpenConns(1)
	execute(t, db, "CREATE TABLE t(x)", "PRAGMA litestream_sync", "PRAGMA busy_timeout = 50")
	store.refuses.Store(true)
	var err error
	rows := 0
	for ; err == nil && rows < 1000; rows++ {
		_, err = db.Exec("INSERT INTO t VALUES (randomblob(3000))")
	}
	if !errors.Is(err, sqlite3.BUSY) {
		t.Fatalf("after %d commits: %v, want BUSY", rows, err)
	}
	s := status(t, db)
	for deadline := time.Now().Add(time.Minute); s.Writer.Upload == "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s = status(t, db) // the upload is tried a few times before it counts as failed
	}
	if s.Writer == nil || s.Writer.Pending == 0 || s.Writer.PendingSize < 150_000 || !strings.Contains(s.Writer.Upload, "upload has failed") {
		t.Errorf("the status says %+v, %s", s.Writer, s.Position.LastErr)
	}
	store.refuses.Store(false)
	execute(t, db, "PRAGMA litestream_sync", "INSERT INTO t VALUES (1)", "PRAGMA litestream_sync")
	if got := value(t, fresh(t, store), "SELECT count(*) FROM t"); got != fmt.Sprint(rows) {
		t.Errorf("%s rows in the bucket, want %d", got, rows)
	}
}

// TestW10_NobodyWaitsForAnUpload: while a PUT hangs, others commit and read.
func TestW10_NobodyWaitsForAnUpload(t *testing.T) {
	t.Parallel()
	store := &slowPuts{Store: new(memstore.Store), begun: make(chan struct{}, 100), goOn: make(chan struct{})}
	db := open(t, store, writing(t))
	db.SetMaxOpenConns(2)
	execute(t, db, "CREATE TABLE t(x)", "PRAGMA litestream_sync")
	store.hangs.Store(true)
	execute(t, db, "INSERT INTO t VALUES (1)")
	<-store.begun
	for i := range 50 {
		execute(t, db, "INSERT INTO t VALUES (2)")
		if got := value(t, db, "SELECT count(*) FROM t"); got != fmt.Sprint(i+2) {
			t.Fatalf("%s rows after %d commits", got, i+2)
		}
	}
	if got := value(t, db, "PRAGMA litestream_durable_txid"); got != "0000000000000001" {
		t.Errorf("durable is %s while the second upload hangs", got)
	}
	store.hangs.Store(false)
	close(store.goOn)
	execute(t, db, "PRAGMA litestream_sync")
	if got := value(t, fresh(t, store), "SELECT count(*) FROM t"); got != "51" {
		t.Errorf("%s rows in the bucket", got)
	}
}

// slowPuts is a store whose PUTs of transactions hang.
type slowPuts struct {
	objstore.Store
	hangs atomic.Bool
	begun chan struct{} // gets one for each that hangs
	goOn  chan struct{} // closed to let them end
}

func (s *slowPuts) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if s.hangs.Load() && strings.HasSuffix(key, ".ltx") {
		s.begun <- struct{}{}
		select {
		case <-s.goOn:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return s.Store.Put(ctx, key, body, opts)
}

// TestWriting_Compacts: the writer of a database of its own keeps the replica small; what a Litestream keeps is left alone.
func TestWriting_Compacts(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	db := open(t, store, writing(t))
	execute(t, db, "CREATE TABLE t(x)", "PRAGMA litestream_sync")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		began, err := compact.Began(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		if began {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody compacts")
		}
	}
	p := newPrimary(t, 10)
	other := open(t, p.Store, writing(t), func(c *litefss3.Config) { c.ReplicaURL += "-litestreams" })
	execute(t, other, "INSERT INTO a(x) VALUES (1)", "PRAGMA litestream_sync")
	time.Sleep(100 * time.Millisecond)
	if began, err := compact.Began(t.Context(), p.Store); began || err != nil {
		t.Errorf("a replica that a Litestream keeps is compacted: %v", err)
	}
}

// TestWriting_Attach: one transaction over two replicas and a local file is there in all of them, or in none when it is rolled back.
func TestWriting_Attach(t *testing.T) {
	t.Parallel()
	other := litefss3.Config{Store: new(memstore.Store), ReplicaURL: "mem:attached", PollInterval: -1}
	writing(t)(&other)
	if err := litefss3.Register("attached.db", other); err != nil {
		t.Fatal(err)
	}
	defer litefss3.Unregister("attached.db")
	store := new(memstore.Store)
	db := open(t, store, writing(t))
	db.SetMaxOpenConns(1)
	local := filepath.Join(t.TempDir(), "local.db")
	execute(t, db, "ATTACH 'file:attached.db?vfs=litefs-s3' AS b", "ATTACH 'file:"+local+"?vfs=os' AS c",
		"CREATE TABLE main.t(x)", "CREATE TABLE b.t(x)", "CREATE TABLE c.t(x)",
		"BEGIN; INSERT INTO main.t VALUES (1); INSERT INTO b.t VALUES (1); INSERT INTO c.t VALUES (1); COMMIT",
		"BEGIN; INSERT INTO main.t VALUES (2); INSERT INTO b.t VALUES (2); INSERT INTO c.t VALUES (2); ROLLBACK",
		"PRAGMA main.litestream_sync", "PRAGMA b.litestream_sync")
	const all = "SELECT (SELECT group_concat(x) FROM main.t) || ' ' || (SELECT group_concat(x) FROM b.t) || ' ' || (SELECT group_concat(x) FROM c.t)"
	if got := value(t, db, all); got != "1 1 1" {
		t.Errorf("rows %s", got)
	}
	execute(t, db, "DETACH b", "DETACH c")
	for name, s := range map[string]objstore.Store{"main": store, "attached": other.Store} {
		if got := value(t, fresh(t, s), "SELECT group_concat(x) FROM t"); got != "1" {
			t.Errorf("%s: rows %s in the bucket", name, got)
		}
	}
}

// TestWriting_ReadOnlyIsReadOnly: what is registered to read only cannot be opened to write, and says so.
func TestWriting_ReadOnlyIsReadOnly(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 10)
	if err := litefss3.Register("tool.db", litefss3.Config{Store: p.Store, ReplicaURL: "mem:tool", ReadOnly: true, NoLocalCopy: true, PollInterval: -1}); err != nil {
		t.Fatal(err)
	}
	defer litefss3.Unregister("tool.db")
	for params, want := range map[string]string{"": "", "&write_enabled=1": "ReadOnly", "&hydration_enabled=1": "NoLocalCopy", "&write_enabled=0&hydration_enabled=0": ""} {
		db, err := sql.Open("sqlite3", "file:tool.db?vfs=litefs-s3"+params)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Ping()
		db.Close()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", params, err, want)
		}
	}
}

// TestWriting_WaitsForTheLog: a process that is started while another one on the machine still has the commit log becomes the writer when that
// one ends.
func TestWriting_WaitsForTheLog(t *testing.T) {
	t.Parallel()
	store, log := new(memstore.Store), writing(t)
	first := open(t, store, log)
	execute(t, first, "CREATE TABLE t(x)", "INSERT INTO t VALUES (1)", "PRAGMA litestream_sync")
	second := open(t, struct{ objstore.Store }{store}, log, following, func(c *litefss3.Config) { c.ReplicaURL += "-2" })
	conn, err := second.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "INSERT INTO t VALUES (2)"); !errors.Is(err, sqlite3.READONLY) {
		t.Fatalf("a write while another process has the log: %v", err)
	}
	if cause := litefss3.Cause(conn, "main"); !errors.Is(cause, writer.ErrLogInUse) {
		t.Errorf("the cause is %v", cause)
	}
	if got, want := value(t, conn, "PRAGMA litestream_durable_txid"), value(t, first, "PRAGMA litestream_durable_txid"); got != want {
		t.Errorf("durable is %s, for the writer %s", got, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); value(t, conn, "PRAGMA litestream_write_enabled") != "1"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second process did not become the writer")
		}
	}
	execute(t, conn, "INSERT INTO t VALUES (3)")
	if got := value(t, conn, "SELECT group_concat(x) FROM t"); got != "1,3" {
		t.Errorf("rows %s", got)
	}
}

// TestWriting_OpenedAgainWhileItCloses: a pool that closes its last connection and opens the next one gets its writer and its local copy
// back, however long the last upload takes.
func TestWriting_OpenedAgainWhileItCloses(t *testing.T) {
	t.Parallel()
	store := &slowPuts{Store: new(memstore.Store), begun: make(chan struct{}, 100), goOn: make(chan struct{})}
	config := litefss3.Config{Store: store, ReplicaURL: "mem:again", PollInterval: -1}
	writing(t)(&config)
	config.SyncInterval, config.Hydration.Path = time.Hour, filepath.Join(t.TempDir(), "app.db")
	first, err := litefss3.OpenDB(config)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, first, "CREATE TABLE t(x)", "PRAGMA litestream_sync", "INSERT INTO t VALUES (1)")
	store.hangs.Store(true)
	closed := make(chan error)
	go func() { closed <- first.Close() }()
	<-store.begun
	second, err := litefss3.OpenDB(config)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	opened := make(chan error)
	go func() { opened <- second.Ping() }()
	select {
	case err := <-opened:
		t.Errorf("opened while the log and the copy are in use: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	store.hangs.Store(false)
	close(store.goOn)
	if err := errors.Join(<-closed, <-opened); err != nil {
		t.Fatal(err)
	}
	execute(t, second, "INSERT INTO t VALUES (2)")
	if got := value(t, second, "SELECT group_concat(x) FROM t"); got != "1,2" {
		t.Errorf("rows %s", got)
	}
	if h := status(t, second).Hydration; h == nil || h.Temporary {
		t.Errorf("the local copy is %+v", h)
	}
}

// TestWriting_RemoteTakesBack: with durability remote a COMMIT that does not reach the bucket is an error, and SQLite takes it back: nothing of it
// is there, here or in the bucket, also when that works again.
func TestWriting_RemoteTakesBack(t *testing.T) {
	t.Parallel()
	store := &refusing{Store: new(memstore.Store)}
	db := open(t, store, writing(t), func(c *litefss3.Config) { c.Durability = writer.Remote })
	db.SetMaxOpenConns(2)
	execute(t, db, "CREATE TABLE t(x)", "INSERT INTO t VALUES (1)")
	if got := value(t, fresh(t, store), "SELECT group_concat(x) FROM t"); got != "1" {
		t.Fatalf("a commit that returned is not in the bucket: %s", got)
	}
	store.refuses.Store(true)
	if _, err := db.Exec("INSERT INTO t VALUES (2)"); err == nil {
		t.Fatal("a commit returned that is not in the bucket")
	}
	if got := value(t, db, "SELECT group_concat(x) FROM t"); got != "1" {
		t.Errorf("rows %s after a COMMIT that failed", got)
	}
	store.refuses.Store(false)
	execute(t, db, "INSERT INTO t VALUES (3)", "PRAGMA litestream_sync")
	for name, d := range map[string]*sql.DB{"the writer": db, "a fresh reader": fresh(t, store)} {
		if got := value(t, d, "SELECT group_concat(x) FROM t"); got != "1,3" {
			t.Errorf("%s: rows %s", name, got)
		}
		if got := value(t, d, "PRAGMA integrity_check"); got != "ok" {
			t.Errorf("%s: integrity_check: %s", name, got)
		}
	}
}
