package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/internal/kills"
)

// TestW5_KilledMinIO kills the server itself, again and again, while a process commits and another one reads. What was committed is in
// the bucket in the end, once and whole, and the reader sees it.
func TestW5_KilledMinIO(t *testing.T) {
	t.Parallel()
	minio := servers.NewMinIO(t, t.TempDir())
	bucket := minio.Bucket(t)
	url := minio.URL(bucket, "apps/server-killed")

	db, err := litefss3.OpenDB(as(minio.S3, writerConfig(url, filepath.Join(t.TempDir(), "log"))))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := countRows(conn)
	if err != nil {
		t.Fatal(err)
	}
	watch := watchRows(t, as(minio.S3, litefss3.Config{ReplicaURL: url, PollInterval: 50 * time.Millisecond}))
	refused, times := 0, kills.Count(t, 6)
	for range times {
		down := time.After(time.Duration(rand.IntN(400)) * time.Millisecond)
		commitUntil(t, conn, &rows, &refused, down)
		if err := minio.Kill(); err != nil {
			t.Fatal(err)
		}
		commitUntil(t, conn, &rows, &refused, time.After(time.Duration(rand.IntN(1000))*time.Millisecond))
		if err := minio.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	syncNow(t, conn)
	seen := watch.until(rows)
	t.Logf("%d kills, %d rows committed, %d commits refused; a reader saw %s", times, rows, refused, seen)
	if err := errors.Join(conn.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, minio.S3, url); got != rows {
		t.Errorf("the bucket has %d rows, %d were committed", got, rows)
	}
}

// rowWatch is a reader that looks at the rows all the time.
type rowWatch struct {
	t                       *testing.T
	db                      *sql.DB
	done                    chan struct{}
	stop                    context.CancelFunc
	last, moments, failures atomic.Int64
}

func watchRows(t *testing.T, c litefss3.Config) *rowWatch {
	t.Helper()
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	ctx, stop := context.WithCancel(t.Context())
	w := &rowWatch{t: t, db: db, stop: stop, done: make(chan struct{})}
	go w.run(ctx)
	t.Cleanup(func() {
		stop()
		<-w.done
		db.Close()
	})
	return w
}

// run reads moments: each is whole transactions, and none is earlier than the one before. What cannot be read is an error, never something else.
func (w *rowWatch) run(ctx context.Context) {
	defer close(w.done)
	for ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
		n, err := sumRows(ctx, w.db)
		switch {
		case errors.Is(err, errNotWhole), err == nil && n < w.last.Load():
			w.t.Errorf("the reader saw %d rows and then %d: %v", w.last.Load(), n, err)
			return
		case err != nil:
			w.failures.Add(1)
		default:
			w.last.Store(n)
			w.moments.Add(1)
		}
	}
}

// until waits until the reader has seen n rows, and ends it.
func (w *rowWatch) until(n int) string {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); w.last.Load() < int64(n) && !w.t.Failed(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Errorf("the reader sees %d rows of %d", w.last.Load(), n)
		}
	}
	w.stop()
	<-w.done
	if w.last.Load() > int64(n) {
		w.t.Errorf("the reader sees %d rows, %d were committed", w.last.Load(), n)
	}
	return fmt.Sprintf("%d moments, and failed %d times", w.moments.Load(), w.failures.Load())
}

var errNotWhole = errors.New("not whole transactions")

// sumRows is how many rows a reader sees, if what it sees is whole transactions.
func sumRows(ctx context.Context, db *sql.DB) (n int64, err error) {
	var total, highest int64
	err = db.QueryRowContext(ctx, "SELECT count(*), coalesce(max(n), 0), (SELECT count(*) FROM total) FROM rows").Scan(&n, &highest, &total)
	if err == nil && (n != highest || n != total) {
		err = fmt.Errorf("%d rows, the highest is %d, the other table has %d: %w", n, highest, total, errNotWhole)
	}
	return n, err
}

// commitUntil commits row after row. One that is refused, because the lease could not be renewed, did not happen.
func commitUntil(t *testing.T, conn *sql.Conn, rows, refused *int, end <-chan time.Time) {
	t.Helper()
	for {
		select {
		case <-end:
			return
		default:
		}
		if err := addRow(conn, *rows+1); err != nil {
			*refused++
			time.Sleep(5 * time.Millisecond)
			continue
		}
		*rows++
	}
}

// sync uploads until that works.
func syncNow(t *testing.T, conn *sql.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for {
		var answer any
		err := conn.QueryRowContext(ctx, "PRAGMA litestream_sync").Scan(&answer)
		if err == nil || errors.Is(err, sql.ErrNoRows) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("not uploaded: %v, because of %v", err, litefss3.Cause(conn, "main"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// rowsOf counts the rows that a reader finds who opens the replica now, and checks the database.
func rowsOf(t *testing.T, s servers.S3, url string) (n int) {
	t.Helper()
	db, err := litefss3.OpenDB(as(s, litefss3.Config{ReplicaURL: url}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var check string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		t.Fatalf("integrity: %s, %v", check, err)
	}
	var highest int
	if err := db.QueryRow("SELECT count(*), coalesce(max(n), 0) FROM rows").Scan(&n, &highest); err != nil {
		t.Fatal(err)
	}
	if n != highest {
		t.Fatal(fmt.Errorf("%d rows, the highest is %d", n, highest))
	}
	return n
}
