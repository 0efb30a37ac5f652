package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/internal/kills"
	"github.com/litefs-s3/litefs-s3/restore"
)

// fullChild makes the test binary meet a full disk: what it does, a URL and a path, with spaces between them. No file may grow beyond a
// limit then, which needs no rights and works in every container: a write stops in its middle, as on a disk that is full, with EFBIG.
const fullChild = "INTEGRATION_FULL_CHILD"

func meetFullDisk(job string) error {
	signal.Ignore(syscall.SIGXFSZ)
	what, rest, _ := strings.Cut(job, " ")
	url, path, _ := strings.Cut(rest, " ")
	switch what {
	case "commit":
		return commitOnFullDisk(url, path)
	case "hydrate":
		return hydrateOnFullDisk(url, path)
	case "restore":
		return restoreOnFullDisk(url, path)
	}
	return fmt.Errorf("no job is called %q", what)
}

// limitFiles is the size in bytes beyond which no file of this process may grow.
func limitFiles(size uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(size, limit.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

const noLimit = ^uint64(0)

// commitOnFullDisk commits until the disk is full, is refused for a while, and reads meanwhile. When it is told to, it goes on with room.
// It says the number of each row that is committed, and "full" when enough was refused.
func commitOnFullDisk(url, dir string) error {
	c := writerConfig(url, dir)
	c.SyncInterval = time.Minute // all of it stays in the log
	db, conn, n, err := beginCommitting(c)
	if err != nil {
		return err
	}
	if err := limitFiles(largest(dir) + 100<<10 + rand.Uint64N(600<<10)); err != nil {
		return err
	}
	for refused := 0; refused < 30; {
		switch err := addRow(conn, n+1); {
		case err == nil:
			n++
			fmt.Println(n)
			continue
		case !errors.Is(litefss3.Cause(conn, "main"), syscall.EFBIG):
			return fmt.Errorf("row %d: %w, because of: %w", n+1, err, litefss3.Cause(conn, "main"))
		}
		refused++
		if there, err := countRows(conn); err != nil || there != n {
			return fmt.Errorf("refused %d times: %d rows are committed, and %d are read: %w", refused, n, there, err)
		}
	}
	fmt.Println("full")
	if _, err := fmt.Scanln(); err != nil && !strings.Contains(err.Error(), "newline") {
		return err
	}
	if err := limitFiles(noLimit); err != nil {
		return err
	}
	for range 20 {
		n++
		if err := addRow(conn, n); err != nil {
			return fmt.Errorf("with room again, row %d: %w, because of: %w", n, err, litefss3.Cause(conn, "main"))
		}
		fmt.Println(n)
	}
	return errors.Join(conn.Close(), db.Close())
}

// largest is the size of the largest file in a directory.
func largest(dir string) (size uint64) {
	files, _ := filepath.Glob(filepath.Join(dir, "*")) // the pattern is a good one
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			size = max(size, uint64(info.Size()))
		}
	}
	return size
}

// TestDiskFull_Writer fills the disk below a commit log. What does not fit is refused and leaves no trace, reads go on, what had returned is
// there: after a kill as after room was made.
func TestDiskFull_Writer(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	bucket := minio.Bucket(t)
	rounds := kills.Count(t, 4)
	committed := 0
	for round := range rounds {
		url := minio.URL(bucket, fmt.Sprint("apps/full-", round))
		job := url + " " + filepath.Join(t.TempDir(), "log")
		c := startChild(t, fullChild, "commit "+job)
		n := found(t, c)
		n, last := c.rows(n)
		if last != "full" {
			t.Fatalf("the writer says: %s", last)
		}
		if round%2 == 0 {
			c.kill()
		} else {
			fmt.Fprintln(c.in)
			if n, last = c.rows(n); last != "" {
				t.Fatalf("the writer says: %s", last)
			}
			if err := c.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		checkBucket(t, minio, url, job, n)
		if got := rowsOf(t, minio.S3, url); got != n {
			t.Errorf("%d rows were committed, %d are there", n, got)
		}
		committed += n
	}
	t.Logf("%d full disks, %d rows committed", rounds, committed)
}

// rows reads the numbers that a writer says, up to something else: it returns the last of them, and that.
func (c *child) rows(n int) (last int, said string) {
	for c.lines.Scan() {
		if _, err := fmt.Sscan(c.lines.Text(), &n); err != nil {
			return n, c.lines.Text()
		}
	}
	return n, ""
}

// hydrateOnFullDisk keeps a local copy for which there is half the room, and reads everything all the same.
func hydrateOnFullDisk(url, path string) error {
	if err := limitFiles(fullDatabase / 2); err != nil {
		return err
	}
	stopped := make(chan error, 1)
	c := litefss3.Config{ReplicaURL: url, PollInterval: -1}
	c.Hydration = hydrate.Options{Path: path, OnProgress: func(p hydrate.Progress) {
		if p.State == hydrate.Stopped {
			select {
			case stopped <- p.Err:
			default:
			}
		}
	}}
	db, err := litefss3.OpenDB(c)
	if err != nil {
		return err
	}
	if err := db.Ping(); err != nil {
		return err
	}
	select {
	case err = <-stopped:
	case <-time.After(2 * time.Minute):
		return errors.New("the copy does not say that it was stopped")
	}
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		return fmt.Errorf("integrity_check: %q, %w", verdict, err)
	}
	fmt.Println("stopped:", err)
	select {} // to be killed
}

// fullDatabase is about the size in bytes of the database that is too large for the disk.
const fullDatabase = 8 << 20

func fullReplica(t *testing.T, url string) *primary.Primary {
	t.Helper()
	p := primary.New(t, openReplica(t, url), primary.Options{})
	p.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	p.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?) INSERT INTO t(x) SELECT randomblob(3000) FROM n", fullDatabase/4096)
	p.Sync()
	return p
}

// TestDiskFull_Hydration: a local copy for which there is no room says so, and everything is read from the bucket. With room it is completed.
func TestDiskFull_Hydration(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	url := minio.URL(minio.Bucket(t), "apps/full-copy")
	p := fullReplica(t, url)
	path := filepath.Join(t.TempDir(), "local.db")
	for range kills.Count(t, 2) {
		c := startChild(t, fullChild, "hydrate "+url+" "+path)
		if c.lines.Scan(); !strings.HasPrefix(c.lines.Text(), "stopped:") || !strings.Contains(c.lines.Text(), syscall.EFBIG.Error()) {
			t.Fatalf("the child says: %s", c.lines.Text())
		}
		c.kill()
	}
	db, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: url, PollInterval: -1, Hydration: hydrate.Options{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, "PRAGMA litestream_hydrate = 'wait'")
	p.CheckSame(p.TXID, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p.CheckSame(p.TXID, openFile(t, path))
}

// restoreOnFullDisk restores a database for which there is half the room, and follows it then. Both have to be refused.
func restoreOnFullDisk(url, path string) error {
	store, tracker, err := trackReplica(url)
	if err != nil {
		return err
	}
	if err := limitFiles(fullDatabase / 2); err != nil {
		return err
	}
	src := bulk.Source{Store: store, Mover: tracker}
	_, err = restore.File(context.Background(), src, tracker.View(), path, restore.Options{Existing: restore.Replace})
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), path) {
		return fmt.Errorf("the restore ends with: %w", err)
	}
	fmt.Println("refused:", err)
	return nil
}

// TestDiskFull_Restore: a restore for which there is no room ends with an error that says so. What was at the path stays, nothing is left
// beside it, and with room the next one works.
func TestDiskFull_Restore(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	url := minio.URL(minio.Bucket(t), "apps/full-restore")
	p := fullReplica(t, url)
	path := filepath.Join(t.TempDir(), "restored.db")
	refuse := func() {
		t.Helper()
		c := startChild(t, fullChild, "restore "+url+" "+path)
		if c.lines.Scan(); !strings.HasPrefix(c.lines.Text(), "refused:") {
			t.Fatalf("the child says: %s", c.lines.Text())
		}
		c.kill()
	}
	refuse()
	checkAlone(t, path, false)
	old, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, old, "CREATE TABLE what_was_there(x)")
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	refuse()
	checkAlone(t, path, true)
	execute(t, openFile(t, path), "SELECT * FROM what_was_there")

	store, tracker, err := trackReplica(url)
	if err != nil {
		t.Fatal(err)
	}
	src := bulk.Source{Store: store, Mover: tracker}
	if _, err := restore.File(t.Context(), src, tracker.View(), path, restore.Options{Existing: restore.Replace}); err != nil {
		t.Fatal(err)
	}
	p.CheckSame(p.TXID, openFile(t, path))
}

// checkAlone checks that there is nothing in the directory of path but what is there, if that is.
func checkAlone(t *testing.T, path string, there bool) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !there || e.Name() != filepath.Base(path) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
	if there && len(entries) == 0 {
		t.Errorf("%s is gone", path)
	}
}
