package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

const (
	accounts = 400
	balance  = 1000
)

// bank is a source database whose every transaction keeps three promises, so that a reader can tell a moment of the database from
// a mixture of two: the sum of all balances never changes, and the ledger's newest entry and its length both equal
// the counter.
type bank struct {
	db      *sql.DB
	counter atomic.Int64
	mu      sync.Mutex
	commits []commit // guarded by mu
}

type commit struct {
	counter int64
	at      time.Time // after the commit returned
}

func openBank(t *testing.T, path string) *bank {
	t.Helper()
	db, err := sample.OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return newBank(t, db)
}

// newBank fills an empty database.
func newBank(t *testing.T, db *sql.DB) *bank {
	t.Helper()
	b := &bank{db: db}
	for _, q := range []string{
		"PRAGMA auto_vacuum = incremental", "VACUUM",
		"CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note TEXT)",
		"CREATE INDEX accounts_balance ON accounts(balance)",
		"CREATE TABLE ledger(entry INTEGER PRIMARY KEY, from_id, to_id, amount, filler BLOB)",
		"CREATE TABLE counter(n INTEGER)",
		"INSERT INTO counter VALUES (0)",
		fmt.Sprintf("WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM s WHERE i < %d) INSERT INTO accounts SELECT i, %d, hex(randomblob(200)) FROM s", accounts, balance),
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	return b
}

// transfer commits one transaction. Now and then one is large, or deletes and vacuums, so that the database grows and shrinks.
func (b *bank) transfer(ctx context.Context) error {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	n := b.counter.Load() + 1
	from, to, amount := 1+rand.IntN(accounts), 1+rand.IntN(accounts), 1+rand.IntN(50)
	filler := 100
	if n%40 == 0 {
		filler = 200_000
	}
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{"UPDATE accounts SET balance = balance - ? WHERE id = ?", []any{amount, from}},
		{"UPDATE accounts SET balance = balance + ? WHERE id = ?", []any{amount, to}},
		{"INSERT INTO ledger VALUES (?, ?, ?, ?, randomblob(?))", []any{n, from, to, amount, filler}},
		{"UPDATE counter SET n = ?", []any{n}},
	} {
		if _, err := tx.ExecContext(ctx, q.sql, q.args...); err != nil {
			return err
		}
	}
	if n%60 == 0 {
		if _, err := tx.ExecContext(ctx, "UPDATE ledger SET filler = NULL WHERE entry < ?", n-5); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	b.counter.Store(n)
	b.mu.Lock()
	b.commits = append(b.commits, commit{n, time.Now()})
	b.mu.Unlock()
	if n%60 == 0 {
		_, err = b.db.ExecContext(ctx, "PRAGMA incremental_vacuum")
	}
	return err
}

// check reads one moment through q and returns its counter.
func check(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (int64, error) {
	var sum, viaIndex, counter, newest, entries int64
	for query, to := range map[string]*int64{
		"SELECT sum(balance) FROM accounts": &sum,
		"SELECT sum(balance) FROM accounts INDEXED BY accounts_balance WHERE balance > -1000000": &viaIndex,
		"SELECT n FROM counter":                      &counter,
		"SELECT coalesce(max(entry), 0) FROM ledger": &newest,
		"SELECT count(*) FROM ledger":                &entries,
	} {
		if err := q.QueryRowContext(ctx, query).Scan(to); err != nil {
			return 0, fmt.Errorf("%s: %w", query, err)
		}
	}
	if sum != accounts*balance || viaIndex != sum || newest != counter || entries != counter {
		return counter, fmt.Errorf("not one moment of the database: sum %d, by index %d, counter %d, newest entry %d, entries %d",
			sum, viaIndex, counter, newest, entries)
	}
	return counter, nil
}

// TestLitestream_LiveReplica is the main job on real input: a pool of 16 connections reads consistently while an unmodified Litestream
// replicates to MinIO, compacts, snapshots and expires files beside it; new rows are seen soon, the past can be read, and what is read
// is what the source and litestream restore say.
func TestLitestream_LiveReplica(t *testing.T) {
	minio := servers.StartMinIO(t)
	minio.SetEnv(t)
	path := filepath.Join(t.TempDir(), "source.db")
	source := openBank(t, path)
	opts := servers.FastLitestream(minio.S3, minio.Bucket(t), "apps/bank", path)
	daemon := servers.StartLitestream(t, opts)
	first, err := daemon.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.WaitTXID(t.Context(), first); err != nil {
		t.Fatal(err)
	}

	db, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: daemon.URL(), PollInterval: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithTimeout(t.Context(), 25*time.Second)
	defer stop()
	var wg sync.WaitGroup
	var moments, expired atomic.Int64
	for i := range 16 {
		wg.Go(func() { readMoments(ctx, t, db, i%4 == 3, &moments, &expired) })
	}
	for ctx.Err() == nil {
		if err := source.transfer(ctx); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(40 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	wg.Wait()
	if moments.Load() < 100 {
		t.Errorf("only %d moments were read", moments.Load())
	}

	head := stopDaemon(t, daemon)
	if _, err := db.Exec(fmt.Sprintf("PRAGMA litestream_wait_txid = '%s'", head)); err != nil {
		t.Fatal(err)
	}
	if want, got := primary.Dump(t, source.db), primary.Dump(t, db); want != got {
		t.Error("the replica does not read as the source does")
	}
	checkPast(t, db, source)
	checkRestore(t, daemon, db)
	t.Logf("%d moments read by 16 connections, %d expired under a slow reader; %d commits, head %s", moments.Load(), expired.Load(), source.counter.Load(), head)
}

// stopDaemon makes the daemon upload the last commits and end, so that its own bookkeeping in the database does not go on while what it wrote
// is compared. It returns the last TXID in the bucket.
func stopDaemon(t *testing.T, daemon *servers.Litestream) index.TXID {
	t.Helper()
	if _, err := daemon.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := daemon.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last index.TXID
	for _, f := range files {
		last = max(last, f.Max)
	}
	return last
}

// readMoments reads one moment after another. A slow reader stays in its transaction while files are merged away; its View may expire
// then, but it must never see anything else.
func readMoments(ctx context.Context, t *testing.T, db *sql.DB, slow bool, moments, expired *atomic.Int64) {
	var last int64
	for ctx.Err() == nil {
		conn, err := db.Conn(ctx)
		if err != nil {
			return
		}
		counter, err := readMoment(ctx, conn, slow)
		cause := litefss3.Cause(conn, "main")
		conn.Close()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && isExpired(cause):
			expired.Add(1)
			continue
		case err != nil:
			t.Errorf("read: %v, because of: %v", err, cause)
			return
		case counter < last:
			t.Errorf("went back from transaction %d to %d", last, counter)
		}
		last = counter
		moments.Add(1)
	}
}

func readMoment(ctx context.Context, conn *sql.Conn, slow bool) (int64, error) {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	counter, err := check(ctx, tx)
	if err != nil || !slow {
		return counter, err
	}
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return counter, nil
	}
	again, err := check(ctx, tx)
	if err == nil && again != counter {
		err = fmt.Errorf("a transaction saw %d and then %d", counter, again)
	}
	return counter, err
}

// checkPast goes back to some moments and compares what is there with when the source committed what.
func checkPast(t *testing.T, db *sql.DB, source *bank) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, ago := range []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 18 * time.Second} {
		when := time.Now().Add(-ago)
		if _, err := conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA litestream_time = '%s'", when.UTC().Format(time.RFC3339Nano))); err != nil {
			t.Fatalf("%v ago: %v", ago, err)
		}
		counter, err := check(t.Context(), conn)
		if err != nil {
			t.Fatalf("%v ago: %v", ago, err)
		}
		// No transaction after the time; and none missing that is older than the coarsest level's interval of ten seconds.
		lowest, highest := source.between(when.Add(-13*time.Second), when)
		if counter < lowest || counter > highest {
			t.Errorf("%v ago: transaction %d, want %d to %d", ago, counter, lowest, highest)
		}
	}
	if _, err := conn.ExecContext(t.Context(), "PRAGMA litestream_time = 'latest'"); err != nil {
		t.Fatal(err)
	}
}

// between returns the last commits before each of two times.
func (b *bank) between(from, to time.Time) (lowest, highest int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.commits {
		if c.at.Before(from) {
			lowest = c.counter
		}
		if c.at.Before(to.Add(100 * time.Millisecond)) { // noted a little after it was committed
			highest = c.counter
		}
	}
	return lowest, highest
}

// checkRestore compares with what unmodified litestream restore makes of the bucket.
func checkRestore(t *testing.T, daemon *servers.Litestream, db *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	if err := daemon.Restore(t.Context(), path, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	restored, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if primary.Dump(t, restored) != primary.Dump(t, db) {
		t.Error("the replica does not read as what litestream restore makes of it")
	}
}

func isExpired(cause error) bool { return errors.Is(cause, index.ErrViewExpired) }
