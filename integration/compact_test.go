package integration

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// openBucket returns the keys below a replica's prefix.
func openBucket(t *testing.T, s3 servers.S3, bucket, prefix string) objstore.Store {
	t.Helper()
	cfg, prefix, err := s3store.ParseURL(s3.URL(bucket, prefix))
	if err != nil {
		t.Fatal(err)
	}
	cfg.PartSize, cfg.AccessKeyID, cfg.SecretAccessKey = 5<<20, s3.AccessKey, s3.SecretKey
	store, err := s3store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.CloseIdle)
	return objstore.Retry(objstore.WithPrefix(store, prefix), objstore.RetryOptions{})
}

func newCompactor(t *testing.T, store objstore.Store, later time.Duration) *compact.Compactor {
	t.Helper()
	c, err := compact.New(store, compact.Options{
		Levels: []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}, TempDir: t.TempDir(),
		Now: func() time.Time { return time.Now().Add(later) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCompact_RestoredByLitestream: what a real Litestream wrote is compacted, level 0 removed, and unmodified Litestream
// lists it, restores its head and three moments of it, and goes on from it.
func TestCompact_RestoredByLitestream(t *testing.T) {
	minio := servers.StartMinIO(t)
	path := filepath.Join(t.TempDir(), "source.db")
	source := openBank(t, path)
	opts := servers.FastLitestream(minio.S3, minio.Bucket(t), "apps/bank", path)
	opts.Levels = []time.Duration{time.Hour} // it leaves the work to us
	opts.SnapshotInterval, opts.SnapshotRetention, opts.L0Retention = 24*time.Hour, 24*time.Hour, time.Hour
	daemon := servers.StartLitestream(t, opts)
	var moments []time.Time
	began := time.Now()
	for time.Since(began) < 14*time.Second {
		if err := source.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(moments); n < 3 && time.Since(began) > time.Duration(n+1)*3500*time.Millisecond {
			moments = append(moments, time.Now())
		}
		select {
		case <-time.After(30 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	head := stopDaemon(t, daemon)

	store := openBucket(t, minio.S3, opts.Bucket, opts.Path)
	compacted := newCompactor(t, store, 0)
	p, err := compacted.Plan(t.Context())
	if err != nil || p.Deferred == "" {
		t.Errorf("beside a Litestream that was alive a moment ago: %v, %v", p, err)
	}
	r, err := newCompactor(t, store, time.Hour).Once(t.Context()) // an hour later, so that much is due
	if err != nil {
		t.Fatal(err)
	}
	if _, err = newCompactor(t, store, 2*time.Hour).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := checkListed(t, minio, store, daemon)
	zero, merged := 0, map[int]int{}
	for _, f := range files {
		if f.Level == 0 {
			zero++
		}
		merged[f.Level]++
	}
	if zero > 2 || merged[1] < 8 || merged[2] < 2 || len(r.Made) < 10 {
		t.Errorf("objects by level: %v; made %d", merged, len(r.Made))
	}

	restored := filepath.Join(t.TempDir(), "head.db")
	if err := daemon.Restore(t.Context(), restored, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	checkSame(t, source.db, restored)
	for _, when := range moments {
		restored := filepath.Join(t.TempDir(), "moment.db")
		if err := daemon.Restore(t.Context(), restored, servers.RestoreOptions{Timestamp: when}); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		lowest, highest := source.between(when.Add(-4*time.Second), when)
		if n := counterOf(t, restored); n < lowest || n > highest {
			t.Errorf("at %s: transaction %d, want %d to %d", when, n, lowest, highest)
		}
	}

	if err := daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := source.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if again := stopDaemon(t, daemon); again <= head {
		t.Errorf("Litestream went on from %s to %s", head, again)
	}
	restored = filepath.Join(t.TempDir(), "again.db")
	if err := daemon.Restore(t.Context(), restored, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	checkSame(t, source.db, restored)
}

// checkListed compares what litestream ltx lists with what is there.
func checkListed(t *testing.T, minio *servers.MinIO, store objstore.Store, daemon *servers.Litestream) []servers.LTXFile {
	t.Helper()
	files, err := daemon.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listed, err := servers.LitestreamLTX(t.Context(), minio.S3, daemon.URL())
	if err != nil {
		t.Fatal(err)
	}
	if len(listed) != len(files) {
		t.Errorf("litestream ltx lists %d files, the bucket has %d", len(listed), len(files))
	}
	c, err := index.ListAll(t.Context(), store)
	if err != nil || len(c.Files) != len(files) {
		t.Errorf("we list %d files, %v; the bucket has %d", len(c.Files), err, len(files))
	}
	return files
}

// checkSame compares a restored file with the source, row by row.
func checkSame(t *testing.T, source *sql.DB, path string) {
	t.Helper()
	restored, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if primary.Dump(t, source) != primary.Dump(t, restored) {
		t.Error("what was restored does not read as the source does")
	}
	sample.IntegrityCheck(t, path)
}

func counterOf(t *testing.T, path string) int64 {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	n, err := check(context.Background(), db)
	if err != nil {
		t.Errorf("restored: %v", err)
	}
	return n
}

// TestCompact_PushIsAdopted: a pushed database is what Litestream restores, and a Litestream that is started over it with the
// restored file goes on from it; then it is compacted, and still is.
func TestCompact_PushIsAdopted(t *testing.T) {
	minio := servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	local := filepath.Join(t.TempDir(), "local.db")
	source := openBank(t, local)
	for range 60 {
		if err := source.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := source.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	store := openBucket(t, minio.S3, bucket, "pushed/app")
	if _, err := newCompactor(t, store, 0).Push(t.Context(), compact.Image{ReaderAt: bytes.NewReader(image), Size: int64(len(image))}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "adopted.db")
	if err := servers.LitestreamRestore(t.Context(), minio.S3, minio.URL(bucket, "pushed/app"), path, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, image) {
		t.Errorf("Litestream restores %d bytes, pushed were %d: %v", len(got), len(image), err)
	}

	adopted := &bank{}
	if adopted.db, err = sample.OpenSource(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { adopted.db.Close() })
	adopted.counter.Store(source.counter.Load())
	opts := servers.FastLitestream(minio.S3, bucket, "pushed/app", path)
	opts.Levels = []time.Duration{time.Hour}
	opts.SnapshotInterval = 24 * time.Hour
	daemon := servers.StartLitestream(t, opts)
	for range 40 {
		if err := adopted.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := daemon.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if head := stopDaemon(t, daemon); head < 20 {
		t.Errorf("head is %s", head)
	}
	for _, later := range []time.Duration{time.Hour, 2 * time.Hour, 80 * time.Hour} {
		if _, err := newCompactor(t, store, later).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	restored := filepath.Join(t.TempDir(), "restored.db")
	if err := daemon.Restore(t.Context(), restored, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	checkSame(t, adopted.db, restored)
}

// mergedUpTo is the last transaction that is in a file of a higher level.
func mergedUpTo(t *testing.T, daemon *servers.Litestream) (last index.TXID) {
	t.Helper()
	files, err := daemon.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Level > 0 {
			last = max(last, f.Max)
		}
	}
	return last
}

// TestC3_RepairedForLitestream: with a file missing litestream restore refuses the newest state; after the repair it restores the one
// before the gap, and a Litestream that begins anew from that goes on.
func TestC3_RepairedForLitestream(t *testing.T) {
	minio := servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	path := filepath.Join(t.TempDir(), "source.db")
	source := openBank(t, path)
	opts := servers.FastLitestream(minio.S3, bucket, "apps/gap", path)
	opts.Levels = []time.Duration{time.Hour}
	opts.SnapshotInterval, opts.L0Retention = 24*time.Hour, time.Hour
	daemon := servers.StartLitestream(t, opts)
	counters := map[index.TXID]int64{}
	var below, newest index.TXID
	for newest < 30 || below+10 > newest { // the daemon merges once when it starts, whenever that is
		if err := source.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if newest, err = daemon.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		counters[newest] = source.counter.Load()
		for below = mergedUpTo(t, daemon) + 3; below < newest && counters[below] == 0; below++ {
		}
	}
	head := stopDaemon(t, daemon)
	if merged := mergedUpTo(t, daemon); merged > below {
		t.Fatalf("the daemon has merged again, up to %s", merged)
	}
	want := counters[below]
	store := openBucket(t, minio.S3, bucket, "apps/gap")
	missing := index.File{Level: 0, Min: below + 1, Max: below + 1}
	if err := store.Delete(t.Context(), missing.Key()); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "gap.db")
	if err := daemon.Restore(t.Context(), restored, servers.RestoreOptions{}); err == nil {
		t.Error("Litestream restored over the gap")
	}

	c := newCompactor(t, store, 0)
	plan, err := c.PlanRepair(t.Context())
	if err != nil || plan.Below != below || plan.New != head+1 {
		t.Fatalf("plan %+v, %v; want one from %s to %s", plan, err, below, head+1)
	}
	if _, err := c.Repair(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
	restored = filepath.Join(t.TempDir(), "repaired.db")
	if err := daemon.Restore(t.Context(), restored, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := counterOf(t, restored); n != want {
		t.Errorf("transaction %d, want %d", n, want)
	}

	anew := &bank{}
	if anew.db, err = sample.OpenSource(restored); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { anew.db.Close() })
	anew.counter.Store(want)
	opts.DB = restored
	again := servers.StartLitestream(t, opts)
	for range 10 {
		if err := anew.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := again.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if txid := stopDaemon(t, again); txid <= plan.New {
		t.Errorf("Litestream went on at %s, the repair was %s", txid, plan.New)
	}
	last := filepath.Join(t.TempDir(), "last.db")
	if err := again.Restore(t.Context(), last, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	checkSame(t, anew.db, last)
}
