package integration

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// TestOtherStore_Litestream: on a store that is not MinIO, what an unmodified Litestream writes is followed and read as its restore makes it.
func TestOtherStore_Litestream(t *testing.T) {
	t.Parallel()
	store := servers.StartVersityGW(t)
	path := filepath.Join(t.TempDir(), "source.db")
	source := openBank(t, path)
	daemon := servers.StartLitestream(t, servers.FastLitestream(store.S3, store.Bucket(t), "apps/bank", path))
	first, err := daemon.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.WaitTXID(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	db := openAs(t, as(store.S3, reading(daemon.URL())))
	for range 100 {
		if err := source.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := check(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	head := stopDaemon(t, daemon)
	execute(t, db, "PRAGMA litestream_wait_txid = '"+head.String()+"'")
	if want, got := primary.Dump(t, source.db), primary.Dump(t, db); want != got {
		t.Error("the replica does not read as the source does")
	}
	checkRestore(t, daemon, db)
}

// TestOtherStore_Writers: on a store that is not MinIO, of two writers one writes, what it committed is there for the next and for readers of the past, level 0 is
// merged and removed, and litestream restore makes the same of it.
func TestOtherStore_Writers(t *testing.T) {
	t.Parallel()
	store := servers.StartVersityGW(t)
	bucket := store.Bucket(t)
	url := store.URL(bucket, "apps/ours")
	config := func(who string) litefss3.Config {
		c := writerConfig(url, filepath.Join(t.TempDir(), who))
		c.LeaseTTL, c.Owner = 30*time.Second, who
		return as(store.S3, c)
	}
	one := openAs(t, config("one"))
	execute(t, one, "CREATE TABLE t(n INTEGER PRIMARY KEY, x BLOB)", "PRAGMA litestream_sync")
	two := openAs(t, config("two"))
	for range 40 {
		execute(t, one, "INSERT INTO t(x) VALUES (randomblob(3000))", "PRAGMA litestream_sync")
	}
	if _, err := two.Exec("INSERT INTO t(x) VALUES ('second')"); !errors.Is(err, sqlite3.READONLY) {
		t.Errorf("a second writer: %v, want READONLY", err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // until it sees that the lease is free
		_, err := two.Exec("INSERT INTO t(x) VALUES ('second')")
		if err == nil {
			break
		}
		if !errors.Is(err, sqlite3.READONLY) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}

	keys := openBucket(t, store.S3, bucket, "apps/ours")
	for hours := range 3 {
		if _, err := newCompactor(t, keys, time.Duration(1+hours)*time.Hour).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	files, err := index.ListAll(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	level := map[int]int{}
	for _, f := range files.Files {
		level[f.Level]++
	}
	if level[0] > 2 || level[1] == 0 {
		t.Errorf("files by level: %v", level)
	}
	db := openAs(t, as(store.S3, reading(url)))
	var n int
	if err := db.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil || n != 41 {
		t.Errorf("%d rows, %v", n, err)
	}
	restored := filepath.Join(t.TempDir(), "restored.db")
	if err := servers.LitestreamRestore(t.Context(), store.S3, url, restored, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	checkSame(t, db, restored)
}
