package integration

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/verify"
)

// TestRestore_EqualsLitestreams restores from a bucket that an unmodified Litestream writes to, compacts and expires meanwhile: at the head
// and at three earlier times the file is to the byte what litestream restore makes of it. A file that is followed meanwhile is the source in
// the end; and verify finds nothing wrong, at any time.
func TestRestore_EqualsLitestreams(t *testing.T) {
	minio := servers.StartMinIO(t)
	minio.SetEnv(t)
	path := filepath.Join(t.TempDir(), "source.db")
	source := openBank(t, path)
	daemon := servers.StartLitestream(t, servers.FastLitestream(minio.S3, minio.Bucket(t), "apps/bank", path))
	if _, err := daemon.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	store := openReplica(t, daemon.URL())
	tracker, err := index.Open(t.Context(), store, index.Options{PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { keepWriting(ctx, t, source) })
	followed := filepath.Join(t.TempDir(), "followed.db")
	wg.Go(func() { followBank(ctx, t, store, followed) })

	time.Sleep(12 * time.Second) // files of all levels, and some that have gone
	for range 3 {
		restoreHead(t, daemon, store, tracker)
	}
	restoreTimes(t, daemon, store, tracker)
	checkVerify(t, store, tracker)

	stop()
	wg.Wait()
	head := stopDaemon(t, daemon)
	last, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	if err := follow(last, store, followed, head, end); err != nil {
		t.Fatal(err)
	}
	db := openFile(t, followed)
	if primary.Dump(t, db) != primary.Dump(t, source.db) {
		t.Error("the followed file does not read as the source does")
	}
	checkRestore(t, daemon, db)
}

func openReplica(t *testing.T, url string) objstore.Store {
	t.Helper()
	cfg, prefix, err := s3store.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	store, err := s3store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.CloseIdle)
	return objstore.WithPrefix(objstore.Retry(store, objstore.RetryOptions{}), prefix)
}

func keepWriting(ctx context.Context, t *testing.T, source *bank) {
	for ctx.Err() == nil {
		if err := source.transfer(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
		select {
		case <-time.After(40 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// followBank keeps a file up to date, while somebody reads it as an ordinary database.
func followBank(ctx context.Context, t *testing.T, store objstore.Store, path string) {
	ready := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-ready:
		case <-ctx.Done():
			return
		}
		db := openFile(t, path)
		db.SetMaxOpenConns(1)
		for ctx.Err() == nil {
			tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
			if err != nil {
				continue // the end
			}
			if _, err := check(ctx, tx); err != nil && ctx.Err() == nil {
				t.Errorf("the followed file: %v", err)
				return
			}
			_ = tx.Rollback()
		}
	})
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err == nil {
		err = restore.Follow(ctx, bulk.Source{Store: store, Mover: tracker}, tracker, path, restore.FollowOptions{
			PollInterval: 100 * time.Millisecond, OnUpdate: func(restore.Update) { once.Do(func() { close(ready) }) },
		})
	}
	if err != nil && ctx.Err() == nil {
		t.Errorf("follow: %v", err)
	}
	wg.Wait()
}

// follow brings a followed file to txid and ends.
func follow(ctx context.Context, store objstore.Store, path string, txid index.TXID, end func()) error {
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		return err
	}
	reached := false
	err = restore.Follow(ctx, bulk.Source{Store: store, Mover: tracker}, tracker, path, restore.FollowOptions{
		PollInterval: 50 * time.Millisecond,
		OnUpdate: func(u restore.Update) {
			if u.TXID == txid {
				reached = true
				end()
			}
		},
	})
	if err == nil && !reached {
		err = errors.New("the followed file never came to the head")
	}
	return err
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// restoreHead compares restores of the newest moment. It may be merged away before Litestream gets to it; then another one is taken.
func restoreHead(t *testing.T, daemon *servers.Litestream, store objstore.Store, tracker *index.Tracker) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		if err := tracker.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := tracker.View()
		theirs := filepath.Join(t.TempDir(), "theirs.db")
		err := daemon.Restore(t.Context(), theirs, servers.RestoreOptions{TXID: v.TXID})
		if err != nil && attempt < 5 {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if compareRestores(t, store, tracker, v, theirs) {
			return
		}
	}
}

// restoreTimes compares restores of three times of the last seconds.
func restoreTimes(t *testing.T, daemon *servers.Litestream, store objstore.Store, tracker *index.Tracker) {
	t.Helper()
	for _, ago := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		for !restoreTime(t, daemon, store, tracker, time.Now().Add(-ago)) {
		}
	}
}

// restoreTime compares restores of a time. It returns false when that moment went away meanwhile.
func restoreTime(t *testing.T, daemon *servers.Litestream, store objstore.Store, tracker *index.Tracker, when time.Time) bool {
	t.Helper()
	theirs := filepath.Join(t.TempDir(), "theirs.db")
	if err := daemon.Restore(t.Context(), theirs, servers.RestoreOptions{Timestamp: when}); err != nil {
		t.Fatal(err)
	}
	timeline, err := tracker.Timeline(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	txid, err := pitr.Locate(t.Context(), timeline, when)
	if err != nil {
		t.Fatal(err)
	}
	v, err := timeline.At(t.Context(), txid)
	if errors.Is(err, index.ErrViewExpired) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return compareRestores(t, store, tracker, v, theirs)
}

// compareRestores compares our restore of v with theirs. It returns false when v went away meanwhile.
func compareRestores(t *testing.T, store objstore.Store, tracker *index.Tracker, v *index.View, theirs string) bool {
	t.Helper()
	ours := filepath.Join(t.TempDir(), "ours.db")
	report, err := restore.File(t.Context(), bulk.Source{Store: store, Mover: tracker}, v, ours, restore.Options{})
	if errors.Is(err, index.ErrViewExpired) {
		t.Logf("txid %s expired meanwhile", v.TXID)
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("at txid %s the restored file of %d bytes is not what litestream restore made, of %d", v.TXID, len(a), len(b))
	}
	t.Logf("txid %s, %d pages: %d requests, %d bytes, %v", v.TXID, report.Pages, report.Requests, report.Fetched, report.Took)
	return true
}

func checkVerify(t *testing.T, store objstore.Store, tracker *index.Tracker) {
	t.Helper()
	r := verify.Run(t.Context(), store, verify.Options{})
	if r.Outcome != verify.Good || r.Checked == 0 {
		t.Errorf("%s: %v", r.Outcome, r.Problems)
	}
	t.Logf("%d files checked of %d, %d moments, head %s", r.Checked, r.Files, r.Moments, r.Head)
	if err := tracker.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	image, err := verify.Deep(t.Context(), bulk.Source{Store: store, Mover: tracker}, tracker.View(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	db := openFile(t, image.Path)
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %q, %v", verdict, err)
	}
	if err := errors.Join(db.Close(), image.Remove()); err != nil {
		t.Error(err)
	}
}
