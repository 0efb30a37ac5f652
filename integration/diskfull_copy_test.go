package integration

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/internal/kills"
)

// hydrateOnFullDisk keeps a local copy for which there is half the room, and reads everything all the same.
func hydrateOnFullDisk(d smallDisk, url string) error {
	if err := d.fill(fullDatabase / 2); err != nil {
		return err
	}
	db, states, err := openCopy(d, url)
	if err != nil {
		return err
	}
	if err := stopped(db, states); err != nil {
		return err
	}
	select {} // to be killed
}

// openCopy opens a database with a local copy, whose states come out of the channel.
func openCopy(d smallDisk, url string) (*sql.DB, <-chan hydrate.Progress, error) {
	states := make(chan hydrate.Progress, 1000)
	c := litefss3.Config{ReplicaURL: url, PollInterval: 50 * time.Millisecond}
	c.Hydration = hydrate.Options{Path: d.path("local.db"), OnProgress: func(p hydrate.Progress) {
		select {
		case states <- p:
		default:
		}
	}}
	db, err := litefss3.OpenDB(c)
	if err != nil {
		return nil, nil, err
	}
	return db, states, db.Ping()
}

// await returns the progress of a copy when it comes to that state.
func await(states <-chan hydrate.Progress, state hydrate.State) (hydrate.Progress, error) {
	late := time.After(4 * time.Minute)
	for {
		select {
		case p := <-states:
			if p.State == state {
				return p, nil
			}
		case <-late:
			return hydrate.Progress{}, fmt.Errorf("the copy does not come to be %v", state)
		}
	}
}

// stopped waits for a copy to be stopped, reads all of the database, and says why it was stopped.
func stopped(db *sql.DB, states <-chan hydrate.Progress) error {
	p, err := await(states, hydrate.Stopped)
	if err != nil {
		return err
	}
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		return fmt.Errorf("integrity_check: %q, %w", verdict, err)
	}
	fmt.Println("stopped:", p.Err)
	return nil
}

// advanceOnFullDisk keeps a local copy that is complete when the disk becomes full, and goes on when there is room.
func advanceOnFullDisk(d smallDisk, url string) error {
	db, states, err := openCopy(d, url)
	if err != nil {
		return err
	}
	if _, err := await(states, hydrate.Complete); err != nil {
		return err
	}
	if err := d.fill(100 << 10); err != nil {
		return err
	}
	fmt.Println("complete")
	if err := stopped(db, states); err != nil {
		return err
	}
	if err := errors.Join(awaitGoOn(), d.makeRoom()); err != nil {
		return err
	}
	if _, err := await(states, hydrate.Complete); err != nil {
		return err
	}
	fmt.Println("complete again")
	return errors.Join(awaitGoOn(), db.Close())
}

// fullDatabase is about the size in bytes of the database that is too large for the disk.
const fullDatabase = 8 << 20

// fullDisk is the size in bytes of a disk that has room for it, and for what a local copy leaves to others.
const fullDisk = 32 << 20

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
	disk := newSmallDisk(t, fullDisk)
	for range kills.Count(t, 2) {
		c := startOnDisk(t, "hydrate", disk, url)
		if text := c.says(t, "stopped:"); !strings.Contains(text, hydrate.ErrDiskFull.Error()) && !strings.Contains(text, disk.errFull().Error()) {
			t.Fatalf("the child says: %s", text)
		}
		c.kill()
	}
	if disk.real {
		if err := disk.makeRoom(); err != nil {
			t.Fatal(err)
		}
	}
	completeCopy(t, disk, url, p)
}

// completeCopy opens the database with its local copy, and checks both when that is complete.
func completeCopy(t *testing.T, disk smallDisk, url string, p *primary.Primary) {
	t.Helper()
	db, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: url, PollInterval: -1, Hydration: hydrate.Options{Path: disk.path("local.db")}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, "PRAGMA litestream_hydrate = 'wait'")
	p.CheckSame(p.TXID, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p.CheckSame(p.TXID, openFile(t, disk.copyOut(t, "local.db")))
}

// TestDiskFull_Advance: the disk becomes full when a local copy is complete, and the database grows. The copy says so, and what it lacks is read
// from the bucket. With room it goes on, and so does the next process.
func TestDiskFull_Advance(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	for round := range min(2, kills.Count(t, 1)) { // the second waits for the copy to look for room, half a minute
		url := minio.URL(minio.Bucket(t), fmt.Sprint("apps/full-advance-", round))
		p := fullReplica(t, url)
		disk := newSmallDisk(t, 2*fullDisk)
		c := startOnDisk(t, "advance", disk, url)
		c.says(t, "complete")
		grow(p)
		if text := c.says(t, "stopped:"); !strings.Contains(text, disk.errFull().Error()) {
			t.Fatalf("the child says: %s", text)
		}
		if round == 1 {
			c.goOn(t)
			c.says(t, "complete again")
			c.goOn(t)
			if err := c.Wait(); err != nil {
				t.Fatal(err)
			}
			p.CheckSame(p.TXID, openFile(t, disk.copyOut(t, "local.db")))
			continue
		}
		c.kill()
		if disk.real {
			if err := disk.makeRoom(); err != nil {
				t.Fatal(err)
			}
		}
		completeCopy(t, disk, url, p)
	}
}

// grow makes the database half as large again.
func grow(p *primary.Primary) {
	p.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?) INSERT INTO t(x) SELECT randomblob(3000) FROM n", fullDatabase/2/4096)
	p.Sync()
}
