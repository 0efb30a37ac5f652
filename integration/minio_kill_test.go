package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
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
	refused := 0
	for range min(kills.Count(t, 6), 40) {
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
	t.Logf("%d rows committed, %d commits refused", rows, refused)
	if err := errors.Join(conn.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, minio.S3, url); got != rows {
		t.Errorf("the bucket has %d rows, %d were committed", got, rows)
	}
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
	if err := db.QueryRow("SELECT count(*), max(n) FROM rows").Scan(&n, &highest); err != nil {
		t.Fatal(err)
	}
	if n != highest {
		t.Fatal(fmt.Errorf("%d rows, the highest is %d", n, highest))
	}
	return n
}
