package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/internal/kills"
	"github.com/litefs-s3/litefs-s3/restore"
)

// restoreOnFullDisk restores a database for which there is half the room, which has to be refused.
func restoreOnFullDisk(d smallDisk, url string) error {
	store, tracker, err := trackReplica(url)
	if err != nil {
		return err
	}
	if err := d.fill(fullDatabase / 2); err != nil {
		return err
	}
	path := d.path("restored.db")
	src := bulk.Source{Store: store, Mover: tracker}
	_, err = restore.File(context.Background(), src, tracker.View(), path, restore.Options{Existing: restore.Replace})
	if !errors.Is(err, d.errFull()) || !strings.Contains(err.Error(), path) {
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
	disk := newSmallDisk(t, fullDisk)
	path := disk.path("restored.db")
	refuse := func() {
		t.Helper()
		c := startOnDisk(t, "restore", disk, url)
		c.saysFull(t, "refused:", disk)
		c.kill()
	}
	refuse()
	checkAlone(t, disk, path, false)
	before := []byte("what was there")
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	refuse()
	checkAlone(t, disk, path, true)
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("what was there is %q now, %v", after, err)
	}
	if disk.real {
		if err := disk.makeRoom(); err != nil {
			t.Fatal(err)
		}
	}

	store, tracker, err := trackReplica(url)
	if err != nil {
		t.Fatal(err)
	}
	src := bulk.Source{Store: store, Mover: tracker}
	if _, err := restore.File(t.Context(), src, tracker.View(), path, restore.Options{Existing: restore.Replace}); err != nil {
		t.Fatal(err)
	}
	p.CheckSame(p.TXID, openFile(t, disk.copyOut(t, "restored.db")))
}

// checkAlone checks that there is nothing in the directory of path but what is there, if that is.
func checkAlone(t *testing.T, disk smallDisk, path string, there bool) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if (!there || e.Name() != filepath.Base(path)) && !disk.isBallast(e.Name()) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
	if _, err := os.Stat(path); there && err != nil {
		t.Error(err)
	}
}

// followOnFullDisk follows a replica into a file, on a disk that becomes full and has room again. It says at which transaction the file is, and
// what is logged.
func followOnFullDisk(d smallDisk, url string) error {
	store, tracker, err := trackReplica(url)
	if err != nil {
		return err
	}
	src := bulk.Source{Store: store, Mover: tracker}
	updates, ended := make(chan index.TXID), make(chan error, 1)
	go func() {
		ended <- restore.Follow(context.Background(), src, tracker, d.path("followed.db"), restore.FollowOptions{
			PollInterval: 20 * time.Millisecond, OnUpdate: func(u restore.Update) { updates <- u.TXID },
			Log: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
	}()
	for first := true; ; first = false {
		select {
		case txid := <-updates:
			fmt.Println("at", txid)
		case err := <-ended:
			return err
		}
		if first {
			if err := errors.Join(awaitGoOn(), d.fill(100<<10)); err != nil {
				return err
			}
			fmt.Println("full")
			if err := errors.Join(awaitGoOn(), d.makeRoom()); err != nil {
				return err
			}
		}
	}
}

// saysAtLast reads lines until that one.
func (c *child) saysAtLast(t *testing.T, line string) {
	t.Helper()
	for c.lines.Scan() {
		if c.lines.Text() == line {
			return
		}
	}
	t.Fatalf("the child never says %q", line)
}

// TestDiskFull_Follow: a followed file for whose growth there is no room stays at its moment, and the log says why. With room it goes on, in the same
// process as in the next one.
func TestDiskFull_Follow(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	for round := range kills.Count(t, 2) {
		url := minio.URL(minio.Bucket(t), fmt.Sprint("apps/full-follow-", round))
		p := fullReplica(t, url)
		disk := newSmallDisk(t, fullDisk)
		c := startOnDisk(t, "follow", disk, url)
		c.says(t, "at "+p.TXID.String())
		c.goOn(t)
		c.says(t, "full")
		before := p.TXID
		grow(p)
		c.saysFull(t, "time=", disk)
		if round%2 == 0 {
			c.kill()
			p.CheckSame(before, openFile(t, disk.copyOut(t, "followed.db")))
			if disk.real {
				if err := disk.makeRoom(); err != nil {
					t.Fatal(err)
				}
			}
			c = startOnDisk(t, "follow", disk, url)
		} else {
			c.goOn(t)
		}
		c.saysAtLast(t, "at "+p.TXID.String())
		c.kill()
		p.CheckSame(p.TXID, openFile(t, disk.copyOut(t, "followed.db")))
	}
}
