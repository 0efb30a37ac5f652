package integration

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// hydrationChild makes the test binary hydrate a replica slowly, to be killed while it does: URL and path, with a space between them.
const hydrationChild = "INTEGRATION_HYDRATION_CHILD"

// TestLitestream_Hydration fills and follows a local copy while an unmodified Litestream commits, merges, vacuums and expires files, and
// eight connections check every moment that they read, during and after hydration.
func TestLitestream_Hydration(t *testing.T) {
	minio := servers.StartMinIO(t)
	minio.SetEnv(t)
	path := filepath.Join(t.TempDir(), "source.db")
	source := openBank(t, path)
	if _, err := source.db.Exec("CREATE TABLE ballast AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 6000) SELECT i, randomblob(2500) AS b FROM n"); err != nil {
		t.Fatal(err)
	}
	daemon := servers.StartLitestream(t, servers.FastLitestream(minio.S3, minio.Bucket(t), "apps/bank", path))
	first, err := daemon.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.WaitTXID(t.Context(), first); err != nil {
		t.Fatal(err)
	}

	local := filepath.Join(t.TempDir(), "local.db")
	var during atomic.Int64 // moments read before the copy was complete
	var moments, expired atomic.Int64
	c := litefss3.Config{ReplicaURL: daemon.URL(), PollInterval: 100 * time.Millisecond}
	c.Hydration = hydrate.Options{Path: local, Bandwidth: 2 << 20, OnProgress: func(p hydrate.Progress) {
		if p.State == hydrate.Complete {
			during.CompareAndSwap(0, moments.Load())
		}
	}}
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	enough := func() bool { return during.Load() >= 20 && moments.Load() >= during.Load()+int64(scaled(500, 20)) }
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { readMoments(ctx, t, db, i == 7, &moments, &expired) })
	}
	for begun := time.Now(); ctx.Err() == nil && !(enough() && time.Since(begun) > scaled(15*time.Second, 0)); {
		if err := source.transfer(ctx); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(40 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	stop()
	wg.Wait()
	if !enough() {
		t.Errorf("%d moments were read before the copy was complete and %d after", during.Load(), moments.Load()-during.Load())
	}

	head := stopDaemon(t, daemon)
	execute(t, db, fmt.Sprintf("PRAGMA litestream_wait_txid = '%s'", head), "PRAGMA litestream_hydrate = 'wait'")
	want := primary.Dump(t, source.db)
	if primary.Dump(t, db) != want {
		t.Error("the replica does not read as the source does")
	}
	checkRestore(t, daemon, db)
	s := readStatus(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := sql.Open("sqlite3", "file:"+local+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if primary.Dump(t, plain) != want {
		t.Error("the local copy does not read as the source does")
	}
	var verdict string
	if err := plain.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check of the local copy: %q, %v", verdict, err)
	}
	t.Logf("%d moments read, %d before the copy was complete, %d expired; %d commits; %d pages read locally, %d bytes fetched by the walk for %d of database",
		moments.Load(), during.Load(), expired.Load(), source.counter.Load(), s.Cache.Local, s.Hydration.Fetched, s.Position.Bytes)
}

func readStatus(t *testing.T, db *sql.DB) (s litefss3.Status) {
	t.Helper()
	var text string
	if err := db.QueryRow("PRAGMA litestream_status").Scan(&text); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// hydrateSlowly prints how many per cent of the pages are known to be local after a restart, each time that changes.
func hydrateSlowly(job string) error {
	replica, path, _ := strings.Cut(job, " ")
	c := litefss3.Config{ReplicaURL: replica, PollInterval: -1}
	c.Hydration = hydrate.Options{Path: path, Bandwidth: 1 << 20, OnProgress: func(p hydrate.Progress) { fmt.Println(int(p.Percent())) }}
	db, err := litefss3.OpenDB(c)
	if err != nil {
		return err
	}
	_, err = db.Exec("PRAGMA litestream_hydrate = 'wait'")
	return err
}

// TestHydration_ResumesAfterKill kills a process that has fetched about a third, and counts what the next one fetches.
func TestHydration_ResumesAfterKill(t *testing.T) {
	minio := servers.StartMinIO(t)
	minio.SetEnv(t)
	url := minio.URL(minio.Bucket(t), "apps/resume")
	store, _, err := litefss3.OpenStore(t.Context(), litefss3.Config{ReplicaURL: url})
	if err != nil {
		t.Fatal(err)
	}
	p := primary.New(t, store, primary.Options{})
	p.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	p.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 7500) INSERT INTO t(x) SELECT randomblob(3000) FROM n")
	p.Sync()

	path := filepath.Join(t.TempDir(), "local.db")
	c := startChild(t, hydrationChild, url+" "+path)
	killed := 0
	for c.lines.Scan() {
		percent, err := strconv.Atoi(c.lines.Text())
		if err != nil {
			t.Fatalf("the child says: %s", c.lines.Text())
		}
		if percent >= 30 {
			killed = percent
			break
		}
	}
	c.kill()
	if killed == 0 {
		t.Fatal("the child ended before it was killed")
	}

	db, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: url, PollInterval: -1, Hydration: hydrate.Options{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, "PRAGMA litestream_hydrate = 'wait'")
	p.CheckSame(p.TXID, db)
	s := readStatus(t, db)
	if s.Hydration.Fetched > s.Position.Bytes*85/100 || s.Requests.Get > 60 {
		t.Errorf("killed at %d per cent; then %d bytes were fetched of a database of %d, with %d requests",
			killed, s.Hydration.Fetched, s.Position.Bytes, s.Requests.Get)
	}
	t.Logf("killed at %d per cent; then %d bytes were fetched of a database of %d, with %d requests", killed, s.Hydration.Fetched, s.Position.Bytes, s.Requests.Get)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	p.CheckSame(p.TXID, plain)
}
