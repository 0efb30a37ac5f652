package integration

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/sidecar"
)

// useForTemporaryFiles makes the disk this process's place for them.
func (d smallDisk) useForTemporaryFiles() error { return os.Setenv("TMPDIR", d.dir) }

// spillOnFullDisk begins a transaction whose pages do not fit on the disk for temporary files, which is refused; smaller ones are not. With room
// the large one is committed.
func spillOnFullDisk(d smallDisk, url string) error {
	logs, err := os.MkdirTemp("", "litefs-s3-test-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(logs)
	if err := d.useForTemporaryFiles(); err != nil {
		return err
	}
	db, conn, n, err := beginCommitting(writerConfig(url, logs))
	if err != nil {
		return err
	}
	if err := d.fill(2 << 20); err != nil {
		return err
	}
	for range 3 {
		if err := addLargeRow(conn, n+1); err == nil || !errors.Is(litefss3.Cause(conn, "main"), d.errFull()) {
			return fmt.Errorf("a large transaction on a full disk: %w, because of: %w", err, litefss3.Cause(conn, "main"))
		}
		n++
		if err := addRow(conn, n); err != nil {
			return fmt.Errorf("a small transaction after a large one that was refused, row %d: %w, because of: %w", n, err, litefss3.Cause(conn, "main"))
		}
		if there, err := countRows(conn); err != nil || there != n {
			return fmt.Errorf("%d rows are committed, and %d are read: %w", n, there, err)
		}
	}
	if err := d.makeRoom(); err != nil {
		return err
	}
	n++
	if err := addLargeRow(conn, n); err != nil {
		return fmt.Errorf("a large transaction with room again: %w, because of: %w", err, litefss3.Cause(conn, "main"))
	}
	if err := errors.Join(conn.Close(), db.Close()); err != nil {
		return err
	}
	fmt.Println(n)
	return nil
}

// addLargeRow adds one in a transaction that does not fit in memory.
func addLargeRow(conn *sql.Conn, n int) error {
	ctx := context.Background()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const pieces = 16 // of a MiB
	if _, err := tx.Exec("CREATE TABLE IF NOT EXISTS large(x)"); err != nil {
		return err
	}
	for range pieces {
		if _, err := tx.Exec("INSERT INTO large VALUES (randomblob(1<<20))"); err != nil {
			return err
		}
	}
	if _, err := tx.Exec("INSERT INTO rows VALUES (?, NULL)", n); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO total VALUES (?)", n); err != nil {
		return err
	}
	return tx.Commit()
}

// TestDiskFull_LargeTransaction fills the disk for temporary files below a transaction that is too large for memory.
func TestDiskFull_LargeTransaction(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	url := minio.URL(minio.Bucket(t), "apps/full-spill")
	disk := newSmallDisk(t, 64<<20)
	c := startOnDisk(t, "spill", disk, url)
	n := found(t, c)
	if n, said := c.rows(n); said != "" || n == 0 {
		t.Fatalf("the writer says: %s", said)
	} else if got := rowsOf(t, minio.S3, url); got != n {
		t.Errorf("%d rows were committed, %d are there", n, got)
	}
	checkNothingLeft(t, disk)
}

// checkNothingLeft checks that no temporary file is left on the disk.
func checkNothingLeft(t *testing.T, disk smallDisk) {
	t.Helper()
	entries, err := os.ReadDir(disk.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !disk.isBallast(e.Name()) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// compactOnFullDisk compacts with too little room for temporary files, and with enough of it.
func compactOnFullDisk(d smallDisk, url string) error {
	store, _, err := trackReplica(url)
	if err != nil {
		return err
	}
	opts := soakLevels
	opts.TempDir = d.dir
	c, err := compact.New(store, opts)
	if err != nil {
		return err
	}
	if err := d.fill(1 << 20); err != nil {
		return err
	}
	_, err = c.Once(context.Background())
	fmt.Println("refused:", err)
	if err := errors.Join(awaitGoOn(), d.makeRoom()); err != nil {
		return err
	}
	report, err := c.Once(context.Background())
	if err != nil {
		return err
	}
	fmt.Println("made:", len(report.Made))
	return nil
}

// TestDiskFull_Compactor: a compactor without room for the file that it makes says so, and the bucket is as it was. With room it makes it.
func TestDiskFull_Compactor(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	url := minio.URL(minio.Bucket(t), "apps/full-compactor")
	p := fullReplica(t, url)
	grow(p)
	before := keysOf(t, url)
	disk := newSmallDisk(t, fullDisk)
	c := startOnDisk(t, "compact", disk, url)
	c.saysFull(t, "refused:", disk)
	if after := keysOf(t, url); after != before {
		t.Errorf("the bucket has\n%s\nand had\n%s", after, before)
	}
	checkNothingLeft(t, disk)
	c.goOn(t)
	if made := c.says(t, "made: "); made == "0" {
		t.Error("with room nothing was made either")
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	checkNothingLeft(t, disk)
	db, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: url, PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p.CheckSame(p.TXID, db)
}

// keysOf are the LTX files of a replica, a line each.
func keysOf(t *testing.T, url string) string {
	t.Helper()
	var text bytes.Buffer
	for level := range 10 {
		page, err := openReplica(t, url).List(t.Context(), fmt.Sprintf("%04x/", level), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			fmt.Fprintln(&text, o.Key, o.Size)
		}
	}
	return text.String()
}

// keepOnFullDisk keeps a sidecar in a file, again and again while the disk is full.
func keepOnFullDisk(d smallDisk, url string) error {
	_, tracker, err := trackReplica(url)
	if err != nil {
		return err
	}
	v := tracker.View()
	large := &sidecar.Sidecar{TXID: v.TXID, Layouts: v.Layouts()}
	path := d.path("tables")
	if _, err := sidecar.Load(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("before anything was kept: %w", err)
	}
	if err := large.Save(path); err != nil {
		return err
	}
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	room := int64(0)
	if !d.real { // the limit is above the largest file
		room = -1
	}
	if err := d.fill(room); err != nil {
		return err
	}
	for range 3 {
		if err := large.Save(path); !errors.Is(err, d.errFull()) {
			return fmt.Errorf("on a full disk: %w", err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
			return fmt.Errorf("what was kept is another: %w", err)
		}
	}
	if err := errors.Join(d.makeRoom(), large.Save(path), os.Remove(path)); err != nil {
		return fmt.Errorf("with room: %w", err)
	}
	fmt.Println("kept")
	return nil
}

// TestDiskFull_Sidecar: a copy of page tables for which there is no room leaves the one before as it is.
func TestDiskFull_Sidecar(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	url := minio.URL(minio.Bucket(t), "apps/full-sidecar")
	fullReplica(t, url)
	disk := newSmallDisk(t, 1<<20)
	startOnDisk(t, "keep", disk, url).says(t, "kept")
	checkNothingLeft(t, disk)
}
