package servers_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/superfly/ltx"
)

// source makes a small sample in WAL mode and opens it. It is closed at the end of the test.
func source(t *testing.T, posts int) (db *sql.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app.db")
	if err := sample.Build(t.Context(), path, sample.Options{Posts: posts}); err != nil {
		t.Fatal(err)
	}
	db, err := sample.OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, path
}

func TestLitestreamWritesARealReplica(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), servers.StartMinIO(t)
	bucket := store.Bucket(t)
	db, path := source(t, 1000)
	daemon := servers.StartLitestream(t, servers.FastLitestream(store.S3, bucket, "tenants/app", path))

	levels := func(files []servers.LTXFile) map[int]int {
		n := make(map[int]int)
		for _, f := range files {
			n[f.Level]++
		}
		return n
	}
	eventually(t, "files at levels 0, 1, 2 and 9", func() error {
		if err := sample.Touch(ctx, db, 5, 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		files, err := daemon.Files(ctx)
		if n := levels(files); err == nil && (n[0] < 2 || n[1] < 3 || n[2] < 2 || n[9] < 1) {
			return fmt.Errorf("files by level: %v", n)
		}
		return err
	})
	before, err := daemon.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	checkLTXFiles(t, store.S3, bucket, daemon)
	if err := sample.Touch(ctx, db, 1, 0); err != nil {
		t.Fatal(err)
	}
	if after, err := daemon.Sync(ctx); err != nil || after <= before {
		t.Errorf("one transaction later: txid %s, %v; before %s", after, err, before)
	}
	checkRestored(t, daemon, path)
}

// checkLTXFiles decodes every file of the replica and compares Litestream's listing with ours.
func checkLTXFiles(t *testing.T, store servers.S3, bucket string, daemon *servers.Litestream) {
	t.Helper()
	files, err := daemon.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := store.Get(t.Context(), bucket, f.Key)
		if err != nil && strings.Contains(err.Error(), "NoSuchKey") && f.Level == 0 {
			continue // retention was faster
		}
		if err != nil {
			t.Fatal(err)
		}
		dec := ltx.NewDecoder(bytes.NewReader(data))
		if err := dec.Verify(); err != nil {
			t.Errorf("%s: %v", f.Key, err)
		}
		if h := dec.Header(); h.Flags != ltx.HeaderFlagNoChecksum || h.MinTXID != f.Min || h.MaxTXID != f.Max {
			t.Errorf("%s: header %+v", f.Key, h)
		}
	}
	listed, err := daemon.LTX(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		same := func(l servers.LTXFile) bool {
			return l.Level == f.Level && l.Min == f.Min && l.Max == f.Max && l.Size == f.Size
		}
		if f.Level > 0 && !slices.ContainsFunc(listed, same) {
			t.Errorf("%s is not in the output of litestream ltx", f.Key)
		}
	}
}

// checkRestored stops the daemon and compares the source with what litestream restore makes of the replica.
func checkRestored(t *testing.T, daemon *servers.Litestream, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := daemon.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	truth, restored := filepath.Join(dir, "truth.db"), filepath.Join(dir, "restored.db")
	if err := sample.Image(ctx, path, truth); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Restore(ctx, restored, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	sample.EqualDatabases(t, truth, restored)
	sample.IntegrityCheck(t, path)
	sample.IntegrityCheck(t, restored)
}

func TestLitestreamRestore_ToATXIDAndATime(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), servers.StartMinIO(t)
	db, path := source(t, 100)
	opts := servers.FastLitestream(store.S3, store.Bucket(t), "app", path)
	opts.L0Retention = time.Hour // every TXID stays restorable
	daemon := servers.StartLitestream(t, opts)
	posts := func(path string) (n int) {
		t.Helper()
		db, err := sample.OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.QueryRow("SELECT count(*) FROM posts").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var then time.Time
	txids := make([]ltx.TXID, 3)
	for i := range txids {
		if err := sample.Touch(ctx, db, 1, 0); err != nil {
			t.Fatal(err)
		}
		var err error
		if txids[i], err = daemon.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			then = nextMillisecond(t)
		}
	}
	for i, txid := range txids {
		out := filepath.Join(t.TempDir(), "out.db")
		if err := daemon.Restore(ctx, out, servers.RestoreOptions{TXID: txid}); err != nil {
			t.Fatal(err)
		}
		if got, want := posts(out), 101+i; got != want {
			t.Errorf("at txid %s: %d posts, want %d", txid, got, want)
		}
	}
	out := filepath.Join(t.TempDir(), "out.db")
	if err := daemon.Restore(ctx, out, servers.RestoreOptions{Timestamp: then}); err != nil {
		t.Fatal(err)
	}
	if got := posts(out); got != 102 {
		t.Errorf("at %s: %d posts, want 102", then, got)
	}
	if err := daemon.Restore(ctx, filepath.Join(t.TempDir(), "x"), servers.RestoreOptions{TXID: 9999}); err == nil {
		t.Error("a TXID that never was could be restored")
	}
}

// nextMillisecond waits for the clock to show another millisecond, which is how exact LTX timestamps are.
func nextMillisecond(t *testing.T) time.Time {
	now := time.Now().Truncate(time.Millisecond)
	for {
		if next := time.Now().Truncate(time.Millisecond); next.After(now) {
			return next
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(100 * time.Microsecond):
		}
	}
}

func TestLitestream_KilledAndRestartedLosesNothing(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), servers.StartMinIO(t)
	db, path := source(t, 200)
	daemon := servers.StartLitestream(t, servers.FastLitestream(store.S3, store.Bucket(t), "app", path))
	if _, err := daemon.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := sample.Touch(ctx, db, 10, 0); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(daemon.Log(), "initialized db") {
		t.Errorf("the log is %q", daemon.Log())
	}
	checkRestored(t, daemon, path)
}

func TestLitestream_PausedUploadsNothing(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), servers.StartMinIO(t)
	db, path := source(t, 200)
	daemon := servers.StartLitestream(t, servers.FastLitestream(store.S3, store.Bucket(t), "app", path))
	before, err := daemon.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Pause(); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err) // Windows
	} else if err != nil {
		t.Fatal(err)
	}
	if err := sample.Touch(ctx, db, 1, 0); err != nil { // a frozen daemon's read lock stops no writer
		t.Errorf("write beside a frozen daemon: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if err := daemon.WaitTXID(short, before+1); err == nil {
		t.Error("a frozen daemon uploaded something")
	}
	if err := daemon.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := daemon.WaitTXID(ctx, before+1); err != nil {
		t.Error(err)
	}
}

// TestLitestream_SharesTheDatabaseWithOurDriver puts load on what the two SQLite builds share: the WAL, the memory
// mapped WAL index, and locks, which are OFD locks in ncruces/go-sqlite3 and POSIX locks in modernc.org/sqlite, which
// Litestream uses. Money moves between accounts; every reader must see the same sum, whatever the daemon checkpoints
// meanwhile.
func TestLitestream_SharesTheDatabaseWithOurDriver(t *testing.T) {
	t.Parallel()
	const accounts, total = 500, 500 * 1000
	runFor := 20 * time.Second
	if testing.Short() {
		runFor = 3 * time.Second
	}
	store := servers.StartMinIO(t)
	db, path := source(t, 1000)
	for _, stmt := range []string{
		"CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note BLOB)",
		fmt.Sprintf(`WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < %d)
			INSERT INTO account SELECT i, %d, zeroblob(1500) FROM n`, accounts, total/accounts),
	} {
		if _, err := db.Exec(stmt); err != nil {
			t.Fatal(err)
		}
	}
	opts := servers.FastLitestream(store.S3, store.Bucket(t), "app", path)
	opts.CheckpointInterval = 200 * time.Millisecond // the daemon fights for locks all the time
	opts.MinCheckpointPages, opts.TruncatePages = 50, 500
	opts.LogLevel = "debug" // tells of checkpoints
	daemon := servers.StartLitestream(t, opts)

	ctx, cancel := context.WithTimeout(t.Context(), runFor)
	defer cancel()
	var wg sync.WaitGroup
	var moves, looks atomic.Int64
	for n := range 3 {
		wg.Go(func() { moves.Add(moveMoney(ctx, t, db, rand.New(rand.NewPCG(1, uint64(n))), accounts)) })
		wg.Go(func() { looks.Add(countMoney(ctx, t, db, total)) })
	}
	wg.Wait()
	if moves.Load() == 0 || looks.Load() == 0 {
		t.Errorf("%d transfers and %d sums: somebody starved", moves.Load(), looks.Load())
	}
	checkpoints := strings.Count(daemon.Log(), "msg=checkpoint")
	t.Logf("%d transfers, %d sums, at least %d checkpoints", moves.Load(), looks.Load(), checkpoints)
	if checkpoints == 0 {
		t.Error("the daemon never made a checkpoint: nothing was contested")
	}
	checkRestored(t, daemon, path)
}

// moveMoney makes transfers until ctx ends and returns how many.
func moveMoney(ctx context.Context, t *testing.T, db *sql.DB, rng *rand.Rand, accounts int) (n int64) {
	for ctx.Err() == nil {
		err := transfer(ctx, db, 1+rng.IntN(accounts), 1+rng.IntN(accounts), rng.IntN(50))
		if err == nil {
			n++
		} else if ctx.Err() == nil {
			t.Errorf("transfer: %v", err)
			return n
		}
	}
	return n
}

func transfer(ctx context.Context, db *sql.DB, from, to, amount int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const move = "UPDATE account SET balance = balance + ?, note = randomblob(1500) WHERE id = ?"
	if _, err := tx.ExecContext(ctx, move, -amount, from); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, move, amount, to); err != nil {
		return err
	}
	return tx.Commit()
}

// countMoney sums up all accounts until ctx ends and returns how often.
func countMoney(ctx context.Context, t *testing.T, db *sql.DB, want int) (n int64) {
	for ctx.Err() == nil {
		var sum int
		err := db.QueryRowContext(ctx, "SELECT sum(balance) FROM account").Scan(&sum)
		if ctx.Err() != nil {
			return n
		}
		if err != nil || sum != want {
			t.Errorf("sum is %d, %v; want %d", sum, err, want)
			return n
		}
		n++
	}
	return n
}
