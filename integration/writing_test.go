package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/internal/kills"
	"github.com/litefs-s3/litefs-s3/writer"
)

// writerChild makes the test binary commit to a replica as fast as it can, to be killed or stopped while it does: a URL and a directory for the
// commit log, with a space between them.
const writerChild = "INTEGRATION_WRITER_CHILD"

// commitForEver adds one row with each commit. It prints how many rows it found, and then the number of each row whose COMMIT has returned.
func commitForEver(job string) error {
	url, dir, _ := strings.Cut(job, " ")
	_, conn, n, err := beginCommitting(writerConfig(url, dir))
	if err != nil {
		return err
	}
	for {
		n++
		if err := addRow(conn, n); err != nil {
			return fmt.Errorf("row %d: %w, because of: %w", n, err, litefss3.Cause(conn, "main"))
		}
		fmt.Println(n)
	}
}

// beginCommitting opens a database on one connection, and prints how many rows it found.
func beginCommitting(c litefss3.Config) (db *sql.DB, conn *sql.Conn, n int, err error) {
	if db, err = litefss3.OpenDB(c); err != nil {
		return nil, nil, 0, err
	}
	db.SetMaxOpenConns(1)
	if conn, err = db.Conn(context.Background()); err != nil {
		return nil, nil, 0, err
	}
	if n, err = countRows(conn); err != nil {
		return nil, nil, 0, err
	}
	fmt.Println("found", n)
	return db, conn, n, nil
}

// writerConfig uploads often, and loses its lease soon.
func writerConfig(url, dir string) litefss3.Config {
	return litefss3.Config{
		ReplicaURL: url, Write: true, BufferPath: dir, PollInterval: 100 * time.Millisecond,
		SyncInterval: 15 * time.Millisecond, LeaseTTL: 1500 * time.Millisecond,
	}
}

// countRows counts the rows that a writer has added, and checks that each of its transactions is there whole.
func countRows(q interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (n int, err error) {
	ctx := context.Background()
	if _, err := q.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS rows(n INTEGER PRIMARY KEY, filler BLOB)"); err != nil {
		return 0, err
	}
	if _, err := q.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS total(n INTEGER)"); err != nil {
		return 0, err
	}
	var total, highest int
	err = q.QueryRowContext(ctx, "SELECT count(*), coalesce(max(n), 0), (SELECT count(*) FROM total) FROM rows").Scan(&n, &highest, &total)
	if err == nil && (n != highest || n != total) {
		err = fmt.Errorf("not whole transactions: %d rows, the highest is %d, the other table has %d", n, highest, total)
	}
	return n, err
}

// addRow is one transaction over two tables; now and then a large one.
func addRow(conn *sql.Conn, n int) error {
	ctx := context.Background()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	filler := 50
	if n%17 == 0 {
		filler = 60_000
	}
	if _, err := tx.Exec("INSERT INTO rows VALUES (?, randomblob(?))", n, filler); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO total VALUES (?)", n); err != nil {
		return err
	}
	return tx.Commit()
}

// TestW1_KilledWriter kills a process that commits, as often as KILLS says, and looks each time whether what it had said was committed is there, once and whole.
func TestW1_KilledWriter(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	wanted := kills.Count(t, 300)
	each := min(wanted, 20)
	rounds := wanted / each
	setEnv(t, minio)
	total := 0
	for round := range rounds {
		url := minio.URL(bucket, fmt.Sprint("apps/killed-", round))
		job := url + " " + filepath.Join(t.TempDir(), "log")
		acknowledged := 0
		for range each {
			acknowledged = killOnce(t, job, acknowledged)
		}
		total += acknowledged
		c := startChild(t, writerChild, job)
		if n := found(t, c); n < acknowledged {
			t.Fatalf("%d rows were committed, and %d are there", acknowledged, n)
		}
		c.kill()
		checkBucket(t, minio, url, job, acknowledged)
	}
	t.Logf("%d kills, %d commits", rounds*each, total)
}

// killOnce lets a process commit for a while and kills it. It returns how many rows are known to be committed.
func killOnce(t *testing.T, job string, acknowledged int) int {
	t.Helper()
	c := startChild(t, writerChild, job)
	n := found(t, c)
	if n < acknowledged || n > acknowledged+1 {
		t.Fatalf("%d rows were committed, one more may have been, and %d are there", acknowledged, n)
	}
	acknowledged = n
	kill := time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { c.Process.Kill() })
	defer kill.Stop()
	for c.lines.Scan() {
		n, err := strconv.Atoi(c.lines.Text())
		if err != nil {
			t.Fatalf("the writer says: %s", c.lines.Text())
		}
		acknowledged = n
	}
	c.kill()
	return acknowledged
}

// found is how many rows a writer finds when it starts.
func found(t *testing.T, c *child) int {
	t.Helper()
	var n int
	c.lines.Scan()
	if _, err := fmt.Sscanf(c.lines.Text(), "found %d", &n); err != nil {
		t.Fatalf("the writer says: %s", c.lines.Text())
	}
	return n
}

// checkBucket sends what a dead writer has left, and checks that a reader and litestream restore find it.
func checkBucket(t *testing.T, minio *servers.MinIO, url, job string, least int) {
	t.Helper()
	_, dir, _ := strings.Cut(job, " ")
	db, err := litefss3.OpenDB(writerConfig(url, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	n, err := countRows(db)
	if err != nil || n < least {
		t.Fatalf("%d rows of at least %d: %v", n, least, err)
	}
	execute(t, db, "PRAGMA litestream_sync")
	want := primary.Dump(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	reader, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if primary.Dump(t, reader) != want {
		t.Error("a reader finds something else in the bucket")
	}
	if primary.Dump(t, restored(t, minio, url)) != want {
		t.Error("litestream restore makes something else of the bucket")
	}
}

// restored is what unmodified litestream restore makes of a replica.
func restored(t *testing.T, minio *servers.MinIO, url string) *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	if err := servers.LitestreamRestore(t.Context(), minio.S3, url, path, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check of what litestream restored: %q, %v", verdict, err)
	}
	return db
}

// setEnv gives this process and its children the credentials. Unlike MinIO.SetEnv it can be used by tests that run side by side: all of
// them set the same.
func setEnv(t *testing.T, minio *servers.MinIO) {
	t.Helper()
	if minio != servers.StartMinIO(t) {
		t.Fatal("the environment is that of all tests: a server of one's own needs as()")
	}
	for _, v := range minio.Env() {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// TestW3_StoppedWriterIsFenced stops a writer in the middle of what it does, for longer than its lease lasts. Another one takes over and
// commits. When the first one goes on it must not get anything into the bucket any more, and must say so, and keep what it had.
func TestW3_StoppedWriterIsFenced(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	bucket := minio.Bucket(t)
	for round := range scaled(5, 2) {
		url := minio.URL(bucket, fmt.Sprint("apps/fenced-", round))
		firstLog := filepath.Join(t.TempDir(), "log-a")
		a := startChild(t, writerChild, url+" "+firstLog)
		found(t, a)
		pause := time.AfterFunc(time.Duration(50_000+rand.IntN(100_000))*time.Microsecond, func() { a.Process.Signal(syscall.SIGSTOP) })
		said := make(chan string, 1<<16)
		go func() {
			defer close(said)
			for a.lines.Scan() {
				said <- a.lines.Text()
			}
		}()
		db, err := litefss3.OpenDB(writerConfig(url, filepath.Join(t.TempDir(), "log-b")))
		if err != nil {
			t.Fatal(err)
		}
		takeOver(t, db)
		pause.Stop()
		n, err := countRows(db)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := addRow(conn, n+1+i); err != nil {
				t.Fatal(err)
			}
		}
		execute(t, conn, "PRAGMA litestream_sync")
		want := primary.Dump(t, conn)

		if err := a.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		last := ""
		for line := range said {
			last = line
		}
		if !strings.Contains(last, "readonly") || !strings.Contains(last, "lease") && !strings.Contains(last, "writ") {
			t.Errorf("the first writer ended with: %s", last)
		}
		checkAside(t, firstLog, last)
		if primary.Dump(t, conn) != want {
			t.Error("the second writer reads something else after the first one went on")
		}
		conn.Close()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if primary.Dump(t, restored(t, minio, url)) != want {
			t.Error("litestream restore makes something else of the bucket")
		}
	}
}

// takeOver waits until the database can be written.
func takeOver(t *testing.T, db *sql.DB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var is string
		if err := db.QueryRow("PRAGMA litestream_write_enabled").Scan(&is); err != nil {
			t.Fatal(err)
		}
		if is == "1" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the second process did not become the writer")
		}
	}
}

// checkAside looks at what a writer that lost the race has kept: commits that nobody has, readable.
func checkAside(t *testing.T, dir, last string) {
	t.Helper()
	asides, err := filepath.Glob(dir + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range asides {
		if path == dir {
			continue
		}
		aside, err := writer.ReadAside(path)
		if err != nil || len(aside.Commits) == 0 {
			t.Errorf("what was set aside in %s: %v", path, err)
		}
		if !strings.Contains(last, path) {
			t.Errorf("the error does not name %s: %s", path, last)
		}
	}
}

// TestW2_PoolOfEight writes and reads with a pool of eight while it uploads to MinIO, and compares what litestream restores
// with the local copy, page for page.
func TestW2_PoolOfEight(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	url := minio.URL(minio.Bucket(t), "apps/pool")
	local := filepath.Join(t.TempDir(), "local.db")
	c := writerConfig(url, filepath.Join(t.TempDir(), "log"))
	c.SyncInterval, c.LeaseTTL = time.Second, 30*time.Second
	c.Hydration.Path = local
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(8)
	execute(t, db, "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER)", "CREATE TABLE moves(id INTEGER PRIMARY KEY, a, b, n, filler BLOB)",
		"CREATE INDEX moves_a ON moves(a, n)",
		"WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM s WHERE i < 100) INSERT INTO accounts SELECT i, 1000 FROM s")
	ctx, stop := context.WithTimeout(t.Context(), scaled(time.Minute, 10*time.Second))
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	moved, read := 0, 0
	for who := range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				var err error
				if who < 5 {
					err = moveMoney(ctx, db)
				} else {
					err = checkMoney(ctx, db)
				}
				mu.Lock()
				switch {
				case ctx.Err() != nil || errors.Is(err, sqlite3.BUSY): // stale: begin again
				case err != nil:
					t.Error(err)
					stop()
				case who < 5:
					moved++
				default:
					read++
				}
				mu.Unlock()
				if pause := []time.Duration{0, 0, 20 * time.Millisecond, 300 * time.Millisecond, 1300 * time.Millisecond}[rand.IntN(5)]; who%4 == 0 {
					time.Sleep(pause)
				}
			}
		})
	}
	wg.Wait()
	if moved < 10 || read < 10 {
		t.Errorf("%d moves, %d reads", moved, read)
	}
	if err := checkMoney(t.Context(), db); err != nil {
		t.Error(err)
	}
	execute(t, db, "PRAGMA litestream_sync", "PRAGMA litestream_hydrate = 'wait'")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "restored.db")
	if err := servers.LitestreamRestore(t.Context(), minio.S3, url, path, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	checkSameFile(t, path, local)
	t.Logf("%d moves, %d reads", moved, read)
}

func moveMoney(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	a, b, n := 1+rand.IntN(100), 1+rand.IntN(100), rand.IntN(20)
	var balance int
	if err := tx.QueryRowContext(ctx, "SELECT balance FROM accounts WHERE id = ?", a).Scan(&balance); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = ? WHERE id = ?", balance-n, a); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = balance + ? WHERE id = ?", n, b); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO moves(a, b, n, filler) VALUES (?, ?, ?, randomblob(?))", a, b, n, rand.IntN(3000)); err != nil {
		return err
	}
	if rand.IntN(50) == 0 {
		if _, err := tx.ExecContext(ctx, "UPDATE moves SET filler = NULL WHERE id < (SELECT max(id) FROM moves) - 50"); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// checkMoney checks one moment: no money comes or goes, and each account is what the moves say.
func checkMoney(ctx context.Context, db *sql.DB) error {
	var sum, wrong int
	err := db.QueryRowContext(ctx, `SELECT (SELECT sum(balance) FROM accounts),
		(SELECT count(*) FROM accounts WHERE balance <> 1000 + coalesce((SELECT sum(n) FROM moves WHERE b = accounts.id), 0) -
			coalesce((SELECT sum(n) FROM moves WHERE a = accounts.id), 0) AND id = abs(random() % 100))`).Scan(&sum, &wrong)
	if err == nil && (sum != 100_000 || wrong != 0) {
		err = fmt.Errorf("the sum is %d, %d accounts are wrong", sum, wrong)
	}
	return err
}

// checkSameFile compares two database files byte for byte.
func checkSameFile(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(x) != len(y) {
		t.Fatalf("%s has %d bytes, %s has %d", a, len(x), b, len(y))
	}
	for off := 0; off < len(x); off += 4096 {
		if string(x[off:off+4096]) != string(y[off:off+4096]) {
			t.Errorf("page %d differs", off/4096+1)
		}
	}
}

// TestW7_LitestreamTakesOver hands a replica that we wrote to an unmodified Litestream and takes it back.
func TestW7_LitestreamTakesOver(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	bucket := minio.Bucket(t)
	url := minio.URL(bucket, "apps/handed")
	dir := filepath.Join(t.TempDir(), "log")
	write := func(statements ...string) string {
		t.Helper()
		db, err := litefss3.OpenDB(writerConfig(url, dir))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		execute(t, db, statements...)
		dump := primary.Dump(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return dump
	}
	want := write("PRAGMA auto_vacuum = incremental", "CREATE TABLE t(id INTEGER PRIMARY KEY, x)", "INSERT INTO t(x) VALUES ('ours')",
		"BEGIN; INSERT INTO t(x) VALUES (randomblob(200000)); DELETE FROM t WHERE length(x) > 1000; COMMIT")

	path := filepath.Join(t.TempDir(), "source.db")
	if err := servers.LitestreamRestore(t.Context(), minio.S3, url, path, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	source, err := sql.Open("sqlite3", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if primary.Dump(t, source) != want {
		t.Fatal("litestream restore makes something else of what we wrote")
	}
	daemon := servers.StartLitestream(t, servers.FastLitestream(minio.S3, bucket, "apps/handed", path))
	for i := range 10 {
		execute(t, source, fmt.Sprintf("INSERT INTO t(x) VALUES ('theirs %d')", i))
		if _, err := daemon.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	stopDaemon(t, daemon)
	if strings.Contains(daemon.Log(), "prev WAL offset") {
		t.Error("the daemon could not take the replica over")
	}
	want = primary.Dump(t, source)

	reader, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if primary.Dump(t, reader) != want {
		t.Error("what Litestream wrote reads differently")
	}
	reader.Close()
	want = write("INSERT INTO t(x) VALUES ('ours again')", "DELETE FROM t WHERE id % 3 = 0", "PRAGMA incremental_vacuum", "VACUUM")
	if primary.Dump(t, restored(t, minio, url)) != want {
		t.Error("litestream restore makes something else of what we wrote after it")
	}
}

// TestW3_AForeignWriterIsSeen: a running Litestream, which knows of no lease, is seen and stops us.
func TestW3_AForeignWriterIsSeen(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	bucket := minio.Bucket(t)
	path := filepath.Join(t.TempDir(), "source.db")
	source, err := sql.Open("sqlite3", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	execute(t, source, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)", "INSERT INTO t(x) VALUES (1)")
	daemon := servers.StartLitestream(t, servers.FastLitestream(minio.S3, bucket, "apps/foreign", path))
	if _, err := daemon.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := litefss3.OpenDB(writerConfig(daemon.URL(), filepath.Join(t.TempDir(), "log")))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		execute(t, source, "INSERT INTO t(x) VALUES (2)")
		if _, err := daemon.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := conn.ExecContext(t.Context(), "INSERT INTO t(x) VALUES ('ours')")
		cause := litefss3.Cause(conn, "main")
		if errors.Is(err, sqlite3.READONLY) && errors.Is(cause, writer.ErrConflict) {
			break
		}
		if err != nil && !errors.Is(err, sqlite3.BUSY) {
			t.Fatalf("%v, because of: %v", err, cause)
		}
		if time.Now().After(deadline) {
			t.Fatal("the other writer is not seen")
		}
	}
}
